"""What MILAN's captioner learns from: regions of other networks' units and of planted ones, with all that is true.

A planted unit copies the mask of a word, or of two at once, blurred and noisy, since real units seldom care for a thing
as small as a tongue.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .masks import Category
from .milan import encoder
from .milan_regions import LEVELS, QUANTILE, TOP, Exemplars, bounded, highest, region_features, survey
from .milan_words import Account, accounts, region_categories, shares

PAIRS = 512  # regions that are described together
SIDES = (4, 8, 16)  # of planted units' maps
JOINT = (("colour", "noun"), ("texture", "noun"), ("colour", "part"), ("texture", "part"), ("part", "noun"))
PIXELS, IMAGES = 12, 30  # a word is planted where so many images show so many pixels of it


@dataclass(frozen=True, eq=False)
class Examples:
    """Units' region features (K, regions, features) and what is true of each."""

    features: Tensor
    facts: list[Account]


def gather(networks: list[str], split: str, images: int, *, shards=1, plants=0, seed=0) -> Examples:
    """Describe all units of all blocks of world networks, and planted ones, on each shard of a split's first images.

    `plants` is how many pairs of words are planted beside the single words; none is planted without.
    """
    from .. import world, zoo

    models = [zoo.model(f"world/{name}") for name in networks]
    scenes, draws = world.split(split, images), torch.Generator().manual_seed(seed)
    parts, facts = [], []
    for rows in torch.arange(images).chunk(shards):
        some = scenes[rows]
        categories = region_categories(some)
        found = [units for model in models for units in living(model, some.image)]
        found += planted(categories, plants, draws) if plants else []
        parts += region_features(encoder(), some.image, found)
        facts += [account for units in found for account in told(units, some, categories)]
    return Examples(torch.cat(parts), facts)


def living(model: nn.Module, images: Tensor) -> list[Exemplars]:
    """Find the exemplars of each block's units that fire."""
    return [found.pick(found.fires.nonzero()[:, 0]) for found in survey(model, images, LEVELS).values()]


def told(exemplars: Exemplars, scenes, categories: tuple[Category, ...]) -> list[Account]:
    """Say what is true of the regions of each unit."""
    flat, size = exemplars.image.flatten(), scenes.image.shape[2:]
    parts = [shares(categories, flat[pairs], exemplars.regions(pairs, size))
             for pairs in torch.arange(len(flat)).split(PAIRS)]  # fmt: skip
    whole = {c.name: torch.cat([part[c.name] for part in parts]) for c in categories}
    shown = {name: share.unflatten(0, exemplars.image.shape) for name, share in whole.items()}
    return accounts(shown, scenes.background[exemplars.image])


def planted(categories: tuple[Category, ...], pairs: int, draws: torch.Generator) -> list[Exemplars]:
    """Make units whose maps are the masks of all words, and of some pairs of words, and noise: for each side."""
    masks = [*single_masks(categories), *joint_masks(categories, pairs, draws)]
    layers = []
    for side in SIDES:
        found = [plant(mask, side, draws) for mask in masks]
        fields = ("image", "maps", "threshold", "fires")
        layers.append(Exemplars(*(torch.cat([getattr(unit, field) for unit in found]) for field in fields)))
    return layers


def plant(mask: Tensor, side: int, draws: torch.Generator) -> Exemplars:
    """Make one unit from a mask (n, 1, h, w), on half of its images or more, with noise of some strength."""
    less, strength = torch.rand(2, generator=draws).tolist()
    shown = torch.rand(len(mask), 1, 1, 1, generator=draws) >= less / 2
    maps = F.adaptive_avg_pool2d(mask, side) * shown
    maps += 0.2 * strength * torch.randn(maps.shape, generator=draws)
    return bounded(highest(None, maps, 0, TOP), maps.flatten(2), QUANTILE)


def single_masks(categories: tuple[Category, ...]) -> list[Tensor]:
    """Return the blurred masks of all words that enough images show."""
    masks = (c.labels == number for c in categories for number in range(1, 1 + len(c.words)))
    return [blurred(mask) for mask in masks if enough(mask)]


def joint_masks(categories: tuple[Category, ...], n: int, draws: torch.Generator) -> list[Tensor]:
    """Return up to n blurred masks of two words that go together in some pixels, drawn from the pixels."""
    labels, found = {c.name: c.labels for c in categories}, []
    for i in range(n):
        first, second = (labels[name] for name in JOINT[i % len(JOINT)])
        both = ((first > 0) & (second > 0)).flatten().nonzero()[:, 0]
        at = both[torch.randint(len(both), (), generator=draws)]
        mask = (first == first.flatten()[at]) & (second == second.flatten()[at])
        if enough(mask):
            found.append(blurred(mask))
    return found


def blurred(mask: Tensor) -> Tensor:
    """Turn a mask (n, h, w) into shares of as many positions as a planted unit has at most, (n, 1, side, side)."""
    return F.adaptive_avg_pool2d(mask[:, None].float(), max(SIDES))


def enough(mask: Tensor) -> bool:
    """Tell whether enough images show enough of a mask (n, h, w)."""
    return int((mask.flatten(1).sum(1) >= PIXELS).sum()) >= IMAGES
