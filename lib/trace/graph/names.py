"""Names for concepts of the world from its truth: what lies under the iERFs of a concept's exemplars."""

from __future__ import annotations

import torch
from torch import Tensor

from ...world import BACKGROUNDS, FAMILIES, NOUNS, PARTS, TEXTURES, Scenes
from ...world.pen import COLOURS
from ...world.vocabulary import ADJECTIVES, TABLE

MOST = 0.6  # share that makes something the rule
WORN = 0.4  # share of a texture that makes an object striped, spotted, ...
LOCAL = 0.05  # of the image's area: what sees no more of it than this sees a texture, not whose it is
HUE = 0.12  # between the largest and the smallest of red, green and blue, from which a colour has a hue
UNEVEN = 0.2  # spread of brightness under an iERF that makes a patch an edge


def name_of(scenes: Scenes, maps: Tensor) -> str:
    """Name a concept by its exemplars (m scenes) and their iERFs (m, s, s): `zebra's leg`, `striped body`, `grass`."""
    if maps.shape != scenes.part.shape:
        raise ValueError(f"iERFs are {tuple(scenes.part.shape)} as the scenes' maps, found {tuple(maps.shape)}")
    mass = maps.float().clamp(min=0)
    total = mass.flatten(1).sum(1)
    if not (total > 0).all():
        raise ValueError("an exemplar's iERF is nowhere positive, so there is nothing to name it by")
    mass = mass / total[:, None, None]
    on = torch.stack([(mass * (scenes.instance == k)).sum((1, 2)) for k in range(4)], 1).mean(0)
    if on[0] > MOST:
        return rule(scenes.background, BACKGROUNDS) or patch(scenes, mass)
    if on[1] + on[2] < 0.3:  # rims, or what stands in front
        return patch(scenes, mass)
    inside = mass * ((scenes.instance == 1) | (scenes.instance == 2))
    shown = torch.where(
        (mass * (scenes.instance == 2)).sum((1, 2)) > inside.sum((1, 2)) / 2, scenes.second, scenes.label
    )
    noun = rule(shown, NOUNS)
    part = covered(scenes.part, inside, PARTS, MOST)
    texture = covered(scenes.texture, inside, TEXTURES, WORN)
    if texture and area(mass) < LOCAL:
        return texture
    if part:
        worn = ADJECTIVES[texture] if texture else ""
        return f"{noun}'s {part}" if noun else f"{worn} {part}".strip()
    family = rule(torch.tensor([FAMILIES.index(TABLE[NOUNS[k]].family) for k in shown.tolist()]), FAMILIES)
    return noun or texture or family or patch(scenes, mass)


def rule(found: Tensor, names: tuple[str, ...]) -> str:
    """Name what most of the exemplars share, "" where they differ."""
    values, counts = found.unique(return_counts=True)
    best = counts.argmax()
    return names[int(values[best])] if counts[best] >= MOST * len(found) else ""


def covered(truth: Tensor, mass: Tensor, names: tuple[str, ...], least: float) -> str:
    """Name the part or texture that holds a share of the mass on objects, "" where none does."""
    held = torch.zeros(len(names) + 1, dtype=mass.dtype).index_add_(0, truth.flatten().long(), mass.flatten())
    shares = held[1:] / mass.sum().clamp(min=1e-12)
    return names[int(shares.argmax())] if shares.max() >= least else ""


def area(mass: Tensor) -> float:
    """Tell how much of the images iERFs (m, s, s) of sum 1 fill, as if they were even: the median of the shares."""
    return float((1 / mass.square().sum((1, 2)) / mass[0].numel()).median())


def patch(scenes: Scenes, mass: Tensor) -> str:
    """Name the mean colour under the iERFs, or say that light and dark meet there."""
    pixels = scenes.pixels()
    light = pixels.mean(1)
    mean = (light * mass).sum((1, 2), keepdim=True)
    spread = ((light - mean).square() * mass).sum((1, 2)).clamp(min=0).sqrt()
    return "edge" if spread.median() > UNEVEN else f"{colour((pixels * mass[:, None]).sum((2, 3)).mean(0))} patch"


def colour(mean: Tensor) -> str:
    """Name a colour (3,): by its hue where it has one, however pale, else by its lightness."""
    palette = torch.tensor(list(COLOURS.values()))
    gap = (palette - mean).norm(dim=1)
    if mean.max() - mean.min() > HUE:
        tint = palette - palette.mean(1, keepdim=True)
        along = torch.nn.functional.cosine_similarity(tint, (mean - mean.mean())[None])
        gap = torch.where((palette.amax(1) - palette.amin(1) > HUE) & (along > 0.9), gap, gap + 3)
    return list(COLOURS)[int(gap.argmin())]


def fits(scenes: Scenes, maps: Tensor, name: str) -> list[bool]:
    """Tell which exemplars (m scenes) with iERFs (m, s, s) would get the name by themselves, or show its noun."""
    found = []
    for i in range(len(maps)):
        noun = NOUNS[int(scenes.label[i])]
        own = name_of(scenes[torch.tensor([i])], maps[i : i + 1])
        found.append(own == name or name in (noun, TABLE[own].family if own in TABLE else ""))
    return found
