"""Which concepts an image shows, counted on its pixels: what is hidden isn't there, a colour is what one sees."""

import torch
from torch import Tensor

from .pen import COLOURS as PALETTE
from .pen import PARTS, TEXTURES
from .vocabulary import NOUNS, membership

PALETTE_RGB = torch.tensor(list(PALETTE.values()))  # (12, 3)
LEAST = dict(noun=12, part=4, texture=12, colour=8)  # pixels at 64 px that count as seen
SHARE = 0.2  # of an object's paint that makes it "red"


def counts(ids: Tensor, names: int) -> Tensor:
    """Count the pixels of each id 0..names in maps (n, s, s): (n, names + 1)."""
    n = len(ids)
    row = torch.arange(n).view(-1, 1, 1) * (names + 1)
    return torch.bincount((ids.long() + row).flatten(), minlength=n * (names + 1)).view(n, names + 1)


def nearest_colour(pixels: Tensor) -> Tensor:
    """Return the number of the palette's nearest colour for pixels (m, 3)."""
    return (2 * pixels @ PALETTE_RGB.T - PALETTE_RGB.square().sum(1)).argmax(1)


def colours(canvas: Tensor, filled: Tensor, instance: Tensor, unit: float) -> Tensor:
    """Tell which colours at least one object shows on a fifth of its paint, (n, colours)."""
    n, k = len(canvas), len(PALETTE)
    image, row, column = (filled & (instance > 0) & (instance < 3)).nonzero(as_tuple=True)
    which = instance[image, row, column].long() - 1
    place = (image * 2 + which) * k + nearest_colour(canvas[image, :, row, column])
    found = torch.bincount(place, minlength=n * 2 * k).view(n, 2, k)
    seen = (found >= SHARE * found.sum(2, keepdim=True)) & (found >= LEAST["colour"] * unit)
    return seen.any(1)


def concepts(plan, maps: tuple[Tensor, Tensor, Tensor], canvas: Tensor, filled: Tensor) -> Tensor:
    """Tell which concepts scenes show, (n, concepts), from their instance, part and texture maps."""
    instance, part, texture = maps
    unit = (instance.shape[-1] / 64) ** 2
    there = counts(instance, 3)[:, 1:3] >= LEAST["noun"] * unit
    nouns = torch.zeros(len(canvas), len(NOUNS) + 1, dtype=torch.bool)
    for k, ids in enumerate((plan.label, plan.second)):
        nouns.scatter_(1, torch.where(there[:, k], ids, len(NOUNS))[:, None] % (len(NOUNS) + 1), True)
    nouns = nouns[:, :-1]
    groups = (nouns.float() @ membership().float()) > 0
    places = torch.nn.functional.one_hot(plan.background, 10).bool()
    textures = counts(texture, len(TEXTURES))[:, 1:] >= LEAST["texture"] * unit
    parts = counts(part, len(PARTS))[:, 1:] >= LEAST["part"] * unit
    two = there.all(1, keepdim=True)
    return torch.cat([nouns, groups, places, textures, colours(canvas, filled, instance, unit), parts, two], 1)
