"""The frozen records of an edition; the work behind each method lives in a module of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..names import DATA

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Images:
    """A batch: pixels float (n,3,s,s) in [0,1], labels long (n,), and the world's scenes or None."""

    pixels: Tensor
    labels: Tensor
    scenes: Any = None

    def __len__(self) -> int:
        """Count the images."""
        return len(self.labels)


@dataclass(frozen=True)
class Pictures:
    """Where images come from, as the ``images`` block of an edition file says it."""

    source: str = "folder"
    root: str = ""
    splits: dict[str, str] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    outputs: tuple[int, ...] = ()
    resize: int = 0
    download: str = ""


@dataclass(frozen=True)
class Network:
    """One network of an edition: a name, or an architecture with weights, or a builder function."""

    role: str
    kind: str = "classifier"
    name: str = ""
    architecture: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    weights: str = ""
    builder: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    task: str = ""
    note: str = ""


@dataclass(frozen=True)
class Inverter:
    """How features of a network are drawn: from which tap, on which diffusion network ("": one trained on the images).

    `size` is the side of a drawn picture where the diffusion network doesn't say it; `drawing` holds steps, guidance.
    """

    role: str
    tap: str = "block5"
    base: str = ""
    size: int = 0
    drawing: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Edition:
    """What a run looks at. Images stay on the CPU; networks go to ``device``."""

    name: str
    title: str
    size: int
    device: str
    pictures: Pictures
    networks: dict[str, Network]
    folders: dict[str, str]
    note: str
    file: Path
    inverters: dict[str, Inverter] = field(default_factory=dict)

    @property
    def asked(self) -> str:
        """What --edition takes for it: the name of one that ships with the book, else its file."""
        return self.file.stem if self.file.parent == DATA / "editions" else str(self.file)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Readable class names, in label order."""
        from .pictures import classes

        return tuple(classes(self).values())

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        """Each class's output in a pretrained network: 0, 1, ... unless the data is a part of ImageNet."""
        from .pictures import outputs

        return outputs(self)

    def images(self, split: str = "test", n: int | None = None) -> Images:
        """Give the images of a split, or n of them: the first n of one fixed shuffle."""
        from .pictures import images

        return images(self, split, n)

    def references(
        self, classes: Sequence[str | int], n: int = 50, *, seed: int = 0, split: str = "train"
    ) -> Tensor:
        """Draw n clean images of each class: float (k, n, 3, s, s)."""
        from .pictures import references

        return references(self, classes, n, seed=seed, split=split)

    def model(self, role: str) -> torch.nn.Module:
        """Build the network of a role: eval mode, frozen parameters, on the edition's device."""
        from .networks import build

        return build(self, role)

    def gives(self, what: str) -> str:
        """Answer "" when the edition has it (masks, parts, a network ...), else one sentence why not."""
        from .gives import gives

        return gives(self, what)

    def explain(self) -> dict[str, str]:
        """List everything a notebook can ask for: "yes", or the sentence that says why not."""
        from .gives import topics

        return {what: self.gives(what) or "yes" for what in topics(self)}

    def folder(self, name: str) -> Path:
        """Give one of the extra data folders the edition file names."""
        from .gives import folder

        return folder(self, name)
