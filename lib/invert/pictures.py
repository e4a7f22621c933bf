"""What the models of this room learn from: scenes of the world that no network of the zoo was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import prompts

if TYPE_CHECKING:
    from numpy import ndarray

    from ..editions.pictures import Files

# Ranges of the train split's endless row of scenes: the zoo's networks learnt from the first 24 000.
RANGES = {"base": (24_000, 72_000), "inverter": (72_000, 96_000), "val": (0, 480)}
TALES = 4  # captions of each scene


@dataclass(frozen=True, eq=False)
class Shown:
    """Images (bytes, n, 3, s, s), their prompts (n, tales, tokens, words), and where they were kept, more.

    Images on the disk give such bytes by number. `maps` (2, n, c, h, w) holds a network's features of the images, then
    of their mirror images; `latents` what a codec makes of them.
    """

    images: Tensor | Files
    said: Tensor
    words: tuple[str, ...]
    captions: tuple[str, ...] = ()
    maps: ndarray | None = None
    latents: ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)


def shown(edition: str, what: str, n: int | None = None) -> Shown:
    """Return the pictures of an edition for training "base" or "inverter", or "val", the first n of them."""
    return world(what, n) if edition == "world" else others(edition, what, n)


def world(what: str, n: int | None = None) -> Shown:
    """Draw scenes of the world, or read them from the cache file."""
    from ..world import captions, split

    start, stop = RANGES[what]
    stop = min(stop, start + n) if n else stop
    scenes = split("val", stop, maps=False) if what == "val" else drawn(start, stop)
    words = prompts.world_words()
    tales = [captions(scenes, seed) for seed in range(TALES)]
    said = torch.stack([prompts.read(tale, words) for tale in tales], 1)
    return Shown(scenes.image, said, words, tuple(tales[0]))


def drawn(start: int, stop: int):
    """Draw a range of the train split's scenes without their maps, once."""
    from safetensors.torch import load_file

    from ..world import Scenes, split_plan, splits

    path = splits.cache_folder() / f"world-{splits.fingerprint()}" / f"train-from-{start}-to-{stop}-64-flat.safetensors"
    if path.exists():
        return Scenes(**load_file(path))
    scenes = splits.draw_blocks(split_plan("train", range(start, stop)), 64, maps=False, progress="drawing")
    splits.keep(path, scenes)
    return scenes


def others(edition: str, what: str, n: int | None = None) -> Shown:
    """Find the pictures of another edition, read when they are used; its prompts are the names of classes."""
    from .. import editions
    from ..editions.pictures import on_disk

    given, split = editions.load(edition), "val" if what == "val" else "train"
    if given.pictures.source == "world":
        found = given.images(split, n)
        images, labels = found.scenes.image, found.labels
    else:
        images, labels = on_disk(given, split, n)
    words = tuple(given.classes)
    said = prompts.special(prompts.UNSAID, len(labels)).clone()
    said[:, 0, 0] = len(prompts.SPECIAL) + labels
    return Shown(images, said[:, None], words, tuple(words[label] for label in labels.tolist()))


def chosen(given: Shown, size: int, draws: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw numbers of images, of one prompt of each, and whether each is mirrored, (b,) all."""
    rows = torch.randint(len(given), (size,), generator=draws)
    tale = torch.randint(given.said.shape[1], (size,), generator=draws)
    return rows, tale, torch.rand(size, generator=draws) < 0.5


def taken(given: Shown, rows: Tensor, mirrored: Tensor | None = None) -> Tensor:
    """Return images by number, (b, 3, s, s) in [0, 1], mirrored where told."""
    images = given.images[rows].float() / 255
    return images if mirrored is None else torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
