"""Images of an edition: drawn by the world, or read from a folder tree or an .npz file.

A folder is ``root/<split>/<class>/*.jpg`` or ``root/<class>/*.jpg``; an .npz holds ``images`` (n,h,w,3 or
n,3,h,w) and ``labels``. Without splits each class is divided: a fifth for test and val, the
rest for train.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from ..names import unknown
from . import sources
from .record import Edition, Images

MOST = 8 * 2**30  # bytes of float pixels that one call may ask for


def classes(edition: Edition) -> dict[str, str]:
    """Map folder names (or label numbers) to readable class names, in label order."""
    if edition.pictures.source == "world":
        from .. import world

        return {noun: noun for noun in world.NOUNS}
    return sources.classes(edition)


def outputs(edition: Edition) -> tuple[int, ...]:
    """Find each class's output in a pretrained network: as the file says, by WordNet id, or 0, 1, 2, ..."""
    named = classes(edition)
    given = edition.pictures.outputs
    if given and len(given) != len(named):
        raise ValueError(f"{edition.file}: images: outputs has {len(given)} entries for {len(named)} classes")
    if given:
        return given
    order = sources.wordnet(named)
    return tuple(order[key][0] for key in named) if order else tuple(range(len(named)))


def images(edition: Edition, split: str, n: int | None) -> Images:
    """Give the first n images (all by default) of one fixed shuffle of a split."""
    if n is not None and n < 1:
        raise ValueError(f"n is {n}, expected at least one image")
    if edition.pictures.source == "world":
        scenes = world_with(split).split(split, n=n, size=edition.size)
        return Images(scenes.pixels(), scenes.label.long(), scenes)
    files, labels = on_disk(edition, split, n)
    affordable(edition, len(files))
    return Images(sources.pixels(edition, split, files.items), labels)


@dataclass(frozen=True)
class Files:
    """Images of a split that stay on the disk: `files[rows]` reads those and gives their bytes, (k,3,s,s)."""

    edition: Edition
    split: str
    items: list

    def __len__(self) -> int:
        """Count the images."""
        return len(self.items)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """Read images by number."""
        wanted = self.items[rows] if isinstance(rows, slice) else [self.items[i] for i in rows.tolist()]
        return (sources.pixels(self.edition, self.split, wanted) * 255).round().to(torch.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """Say the shape that all of them would have."""
        return len(self), 3, self.edition.size, self.edition.size

    @property
    def known(self) -> str:
        """Tell them from others without reading them."""
        files = [item for item in self.items if isinstance(item, Path)] or [sources.source(self.edition, self.split)[0]]
        return f"{self.edition.pictures} {self.shape} {self.items} {[file.stat().st_mtime_ns for file in files]}"


def on_disk(edition: Edition, split: str, n: int | None) -> tuple[Files, Tensor]:
    """Find the first n images (all by default) of one fixed shuffle of a split, and their labels, and read none."""
    found = [(label, item) for label, items in enumerate(sources.members(edition, split)) for item in items]
    if n is not None and n > len(found):
        place = sources.where(edition, split)
        raise ValueError(f"{n} images of split {split!r} were asked for, {place} has {len(found)}")
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))[:n].tolist()
    return Files(edition, split, [found[i][1] for i in order]), torch.tensor([found[i][0] for i in order])


def world_with(split: str) -> ModuleType:
    """Give the world, once it is sure to have a split."""
    from .. import world

    if split not in world.SPLITS:
        raise ValueError(unknown("split", split, world.SPLITS))
    return world


def references(edition: Edition, wanted: Sequence[str | int], n: int, *, seed: int, split: str) -> Tensor:
    """Draw n images of each wanted class, the same for a seed whatever else is asked: float (k,n,3,s,s)."""
    if n < 1:
        raise ValueError(f"n is {n}, expected at least one reference per class")
    labels = [index(edition, name) for name in wanted]
    if not labels:
        raise ValueError("no class was asked for; references need at least one class name")
    affordable(edition, len(labels) * n)
    if edition.pictures.source == "world":
        nouns = [edition.classes[label] for label in labels]
        return world_with(split).references(nouns, n=n, seed=seed, size=edition.size, name=split)
    members = sources.members(edition, split, only=labels)
    return torch.stack([draw(edition, split, label, members[label], n, seed) for label in labels])


def draw(edition: Edition, split: str, label: int, items: list, n: int, seed: int) -> Tensor:
    """Read n of one class's images, drawn without replacement: float (n,3,s,s)."""
    if len(items) < n:
        raise ValueError(
            f"{n} references of {edition.classes[label]!r} were asked for, and "
            f"{sources.where(edition, split, label)} has {len(items)} images: ask for fewer, or add some"
        )
    generator = torch.Generator().manual_seed(seed * 100_003 + label)
    chosen = torch.randperm(len(items), generator=generator)[:n].tolist()
    return sources.pixels(edition, split, [items[i] for i in chosen])


def index(edition: Edition, name: str | int) -> int:
    """Find the label of a class given by readable name, folder name or number."""
    named = classes(edition)
    for names in (list(named.values()), list(named)):
        if name in names:
            return names.index(name)
    if isinstance(name, int) and not isinstance(name, bool) and 0 <= name < len(named):
        return name
    raise ValueError(unknown("class", name, named.values()) + f" (edition {edition.name})")


def affordable(edition: Edition, count: int) -> None:
    """Refuse a request that would fill the memory, before the first image is read."""
    need = count * 3 * edition.size**2 * 4
    if need > MOST:
        raise ValueError(
            f"{count} images at {edition.size} px are {need / 2**30:.0f} GB, more than the "
            f"{MOST / 2**30:.0f} GB that one call may take: ask for fewer with n"
        )
