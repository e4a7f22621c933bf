"""What every pixel shows, by category: the labels that Network Dissection compares a neuron's maps with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Category:
    """Words of one kind, of which a pixel shows one at most: labels are 0, or 1 + the word's number.

    `labels` is (n, h, w), or (n,) where a word holds for the whole image.
    """

    name: str
    words: tuple[str, ...]
    labels: Tensor

    def __post_init__(self) -> None:
        """Refuse labels that aren't words of the category."""
        if not self.words:
            raise ValueError(f"category {self.name!r} has no words")
        if self.labels.ndim not in (1, 3) or self.labels.is_floating_point() or not len(self.labels):
            raise ValueError(f"labels of {self.name!r} are whole numbers (n, h, w) or (n,), "
                             f"got {tuple(self.labels.shape)} of {self.labels.dtype}")  # fmt: skip
        if self.labels.min() < 0 or self.labels.max() > len(self.words):
            raise ValueError(f"labels of {self.name!r} are 0 to {len(self.words)}, found {int(self.labels.min())} to "
                             f"{int(self.labels.max())}")  # fmt: skip


def world_categories(scenes) -> tuple[Category, ...]:
    """Label the world's scenes: nouns, families, parts, textures and colours by pixel, places by image.

    A colour is the palette's nearest to what an object's pixel looks like.
    """
    from .. import world

    if not scenes.instance.numel():
        raise ValueError("Network Dissection needs masks, and these scenes were drawn with maps=False")
    shown = scenes.instance
    nothing = torch.zeros(len(shown), 1, dtype=torch.long)
    objects = torch.cat([nothing, 1 + scenes.label[:, None], 1 + scenes.second[:, None], nothing], 1)
    noun = objects.gather(1, shown.flatten(1).long()).view(shown.shape)
    family = torch.tensor([0, *(1 + world.FAMILIES.index(family_of(name)) for name in world.NOUNS)])
    maps = dict(noun=noun, family=family[noun], part=scenes.part, texture=scenes.texture, colour=colours(scenes))
    found = [Category(name, tuple(world.GROUPS[name]), labels.to(torch.uint8)) for name, labels in maps.items()]
    return (*found, Category("place", tuple(world.GROUPS["place"]), 1 + scenes.background))


def family_of(noun: str) -> str:
    """Return a noun's family."""
    from .. import world

    return next(iter(world.parents(noun) & set(world.FAMILIES)))


def colours(scenes) -> Tensor:
    """Label objects' pixels by the nearest colour of the palette, others by 0: (n, h, w)."""
    from ..world.truth import nearest_colour

    objects = (scenes.instance == 1) | (scenes.instance == 2)
    found = torch.zeros_like(scenes.instance)
    for k in range(0, len(scenes), 256):
        part = objects[k : k + 256]
        pixels = scenes.image[k : k + 256].permute(0, 2, 3, 1)[part].float() / 255
        found[k : k + 256][part] = (1 + nearest_colour(pixels)).to(found.dtype)
    return found
