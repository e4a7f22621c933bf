"""The concept matrix: how much of each concept is in each probing image. See `fig-linear-1`.

From labels it is exact, from an image-text network it is P = sigmoid(a cos + ab), calibrated on training images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import torch
from torch import Tensor, nn

from ..metrics.images import batches
from ..names import unknown

AT_ONCE = 512  # concepts that are looked at together


@dataclass(frozen=True, eq=False)
class Matrix:
    """Presence of concepts in images, 0 to 1: one name for each column of values (n, M)."""

    names: tuple[str, ...]
    values: Tensor

    def __post_init__(self) -> None:
        """Refuse names that don't fit the columns."""
        object.__setattr__(self, "names", tuple(map(str, self.names)))
        object.__setattr__(self, "values", torch.as_tensor(self.values))
        if not self.names:
            raise ValueError("the concept set is empty: a neuron can't be explained without a single concept")
        if self.values.ndim != 2 or self.values.shape[1] != len(self.names):
            raise ValueError(f"{len(self.names)} concepts need values (n, {len(self.names)}), got "
                             f"{tuple(self.values.shape)}")  # fmt: skip
        if len(set(self.names)) < len(self.names) or "" in self.names:
            again = next(name for name in self.names if not name or self.names.count(name) > 1)
            raise ValueError(f"every concept needs a name of its own, found {again!r} {self.names.count(again)} times")

    def __len__(self) -> int:
        """Count the concepts."""
        return len(self.names)

    def columns(self, names: Iterable[str]) -> Tensor:
        """Find concepts by name: their columns (m,)."""
        number = {name: i for i, name in enumerate(self.names)}
        wanted = list(names)
        for name in wanted:
            if name not in number:
                raise KeyError(unknown("concept", name, self.names))
        return torch.tensor([number[name] for name in wanted], dtype=torch.long, device=self.values.device)

    def only(self, names: Iterable[str]) -> Matrix:
        """Keep some concepts, in the order asked for."""
        wanted = tuple(names)
        return Matrix(wanted, self.values[:, self.columns(wanted)])


def from_labels(labels: Tensor, names: Sequence[str]) -> Matrix:
    """Take labels (n, M) as they are: true and false, or shares from 0 to 1."""
    values = torch.as_tensor(labels).float()
    if values.numel() and not (0 <= values.min() and values.max() <= 1):  # NaN fails both
        raise ValueError(f"labels lie between 0 and 1, found {values.min():.3g} to {values.max():.3g}")
    return Matrix(tuple(names), values)


def with_parents(matrix: Matrix, parents: Mapping[str, Iterable[str] | str]) -> Matrix:
    """Add a column for everything that concepts also are, however far up: there when any child is there.

    Concepts that all images share or lack are dropped, and so are those with the images of another one; of two names
    for the same images a given one stays before a parent, and of two parents the shorter.
    """
    above = ancestors(parents)
    for child in above:
        if child not in matrix.names and not any(child in group for group in above.values()):
            raise KeyError(unknown("concept", child, matrix.names))
    values = {name: matrix.values[:, i] for i, name in enumerate(matrix.names)}
    given = dict(values)
    for child in matrix.names:
        for parent in above.get(child, ()):
            values[parent] = values[parent].maximum(given[child]) if parent in values else given[child]
    added = sorted(values.keys() - given.keys(), key=lambda name: (len(name.split()), len(name), name))
    kept = distinct({name: values[name] for name in (*matrix.names, *added)})
    return Matrix(tuple(kept), torch.stack(list(kept.values()), 1) if kept else matrix.values[:, :0])


def ancestors(parents: Mapping[str, Iterable[str] | str]) -> dict[str, set[str]]:
    """Return all ancestors of each name that has parents."""
    above = {child: {own} if isinstance(own, str) else set(own) for child, own in parents.items()}
    while True:
        wider = {name: found.union(*(above.get(parent, ()) for parent in found)) for name, found in above.items()}
        if wider == above:
            return {name: found - {name} for name, found in above.items()}
        above = wider


def distinct(columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keep the first of equal columns, and none that is the same everywhere."""
    seen: dict[bytes, str] = {}
    for name, column in columns.items():
        if column.min() < column.max():
            seen.setdefault(sha256(column.contiguous().cpu().numpy()).digest(), name)
    return {name: columns[name] for name in seen.values()}


@torch.no_grad()
def encode(model: nn.Module, images: Tensor, *, batch: int = 120) -> Tensor:
    """Return the unit vectors (n, width) of images (n, 3, h, w); vectors (n, width) pass through."""
    return images if images.ndim == 2 else torch.cat([model(x) for x in batches(model, images, batch)])


@torch.no_grad()
def cosines(model: nn.Module, images: Tensor, phrases: Sequence[str], *, batch: int = 120) -> Tensor:
    """Compare images (n, 3, h, w), or their vectors from `encode`, with phrases: (n, M)."""
    if isinstance(phrases, str):
        raise TypeError(f"expected a list of phrases, found one string: {phrases!r}")
    phrases = list(phrases)
    if not phrases:
        raise ValueError("the concept set is empty: a neuron can't be explained without a single concept")
    parts = [model.phrases(phrases[i : i + AT_ONCE]) for i in range(0, len(phrases), AT_ONCE)]
    vectors = encode(model, images, batch=batch)
    return vectors @ torch.cat(parts).to(vectors).T


def from_text(
    model: nn.Module, images: Tensor, phrases: Sequence[str], scale: tuple[float, float], *,
    names: Sequence[str] | None = None, batch: int = 120,
) -> Matrix:  # fmt: skip
    """Let an image-text network say how much of each phrase is in images, or in their vectors: sigmoid(a cos + ab).

    `scale` is (a, ab), as `calibrate` finds them; concepts are called by their phrases unless names are given.
    """
    cos = cosines(model, images, phrases, batch=batch)
    return Matrix(tuple(names or phrases), cos.mul_(scale[0]).add_(scale[1]).sigmoid_())


def usable(matrix: Matrix, rows: Tensor, *, top: int = 5, least: float = 0.5) -> Matrix:
    """Keep the concepts that are there at all: a mean of `least` on their `top` best images among the rows."""
    keep = []
    for part in matrix.values.split(AT_ONCE, dim=1):
        some = part[rows]
        best = some.topk(min(top, len(some)), dim=0).values.mean(0)
        keep.append((best >= least) & (some.std(0) >= 1e-5))
    found = torch.cat(keep).nonzero()[:, 0]
    if not len(found):
        raise ValueError(f"none of {len(matrix)} concepts reaches a mean of {least:g} on its {top} best images")
    return Matrix(tuple(matrix.names[i] for i in found.tolist()), matrix.values[:, found])
