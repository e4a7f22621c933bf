"""Which concepts of a layer make which concepts of a later one (ICAT): all edges of a pair of layers at once.

One pass for each target gives the shares of all concepts, and only images that have the target take part. Where few
concepts are asked about, one pass for each of them gives all targets (forward mode), with the same result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...concepts.dictionaries import Dictionary
from ...names import unknown
from .attributors import ATTRIBUTORS, SMOOTH
from .links import Link, between, to_outputs
from .parts import parts
from .tangents import by_concepts

DEARER = 2  # a pass in forward mode costs so many of a pass backwards


@dataclass(frozen=True)
class Edges:
    """How much concepts of one layer do for targets in a later one, summed over positions and images."""

    strength: Tensor  # (K, T)
    concepts: Tensor  # (K,) which of the earlier layer's
    targets: Tensor  # (T,) which of the later layer's, or which outputs
    change: Tensor  # (T,) what all concepts together change: the score with them less the score without any

    @property
    def gap(self) -> float:
        """Return how far all shares together are from what they should add up to, as a share of it."""
        missing = (self.strength.sum(0) - self.change).abs().sum()
        return float(missing / self.change.abs().sum().clamp(min=1e-12))


def edges(
    model: nn.Module, x: Tensor, layers: tuple[str, str], earlier: Dictionary, later: Dictionary, **how
) -> Edges:
    """Return all edges between the concepts of two layers on images x (n, 3, h, w); options are those of `edges_of`."""
    return edges_of(between(model, x, layers, earlier, later), **how)


def importance(
    model: nn.Module, x: Tensor, layer: str, concepts: Dictionary, classes: Sequence[int], **how
) -> Edges:
    """Return how much concepts of a layer do for classes on images x (n, 3, h, w); options are those of `edges_of`."""
    return edges_of(to_outputs(model, x, layer, concepts), targets=classes, **how)


def edges_of(
    link: Link, *, targets: Sequence[int] | Tensor | None = None, concepts: Sequence[int] | Tensor | None = None,
    attributor: str = "integrated gradients", steps: int = 64, mode: str = "auto",
) -> Edges:  # fmt: skip
    """Return the edges of a link from all concepts, or some, to all targets, or some.

    Mode is "reverse" (a pass for each target), "forward" (a pass for each concept), or "auto", the cheaper one.
    """
    rows = chosen(concepts, len(link.atoms), f"concept of {link.layers[0]}", link.x.device)
    columns = chosen(targets, len(link.directions), f"target at {link.layers[1]}", link.x.device)
    pairs = link.pairs(columns)
    strength = link.atoms.new_zeros(len(link.atoms), len(link.directions))
    change = strength.new_zeros(len(link.directions))
    for number, live, shares, changes in shared(link, pairs, attributor, steps, mode=mode, concepts=rows):
        target = pairs[number, 1]
        strength[live] = strength[live].index_add(1, target, shares.T)
        change.index_add_(0, target, changes)
    return Edges(strength[rows][:, columns], rows, columns, change[columns])


def pair_edges(
    link: Link, pairs: Tensor, *, attributor: str = "integrated gradients", steps: int = 64
) -> tuple[Tensor, Tensor]:
    """Return what each concept does for single targets in single images, pairs (m, 2): (m, K), and the change (m,)."""
    pairs = pairs.to(link.x.device)
    strength, change = link.atoms.new_zeros(len(pairs), len(link.atoms)), link.atoms.new_zeros(len(pairs))
    for number, live, shares, changes in shared(link, pairs, attributor, steps):
        strength[number[:, None], live] = shares
        change[number] = changes
    return strength, change


def shared(
    link: Link, pairs: Tensor, attributor: str, steps: int, *, mode: str = "reverse", concepts: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Attribute (image, target) pairs part by part: their numbers, the concepts (k,), shares (m, k), changes (m,)."""
    if attributor not in ATTRIBUTORS:
        raise ValueError(unknown("attributor", attributor, ATTRIBUTORS))
    if mode not in ("auto", "reverse", "forward"):
        raise ValueError(unknown("mode", mode, ("auto", "reverse", "forward")))
    if mode == "forward" and attributor not in SMOOTH:
        raise ValueError(f"forward mode serves {' and '.join(SMOOTH)}, not {attributor}")
    if steps < 1:
        raise ValueError(f"an attribution takes at least one step, not {steps}")
    for part, live, places in parts(link, pairs, steps):
        number, image, slot = places.T
        some = (torch.isin(live, concepts) if concepts is not None else live >= 0).nonzero()[:, 0]
        short = attributor in SMOOTH and DEARER * len(some) < part.weights.shape[1]
        if mode == "forward" or mode == "auto" and short:
            shares = by_concepts(part, *SMOOTH[attributor](part, steps), some)
        else:
            shares = ATTRIBUTORS[attributor](part, steps)
        yield number, live, shares[image, slot], part.change()[image, slot]


def chosen(some: Sequence[int] | Tensor | None, count: int, kind: str, device: torch.device) -> Tensor:
    """Return the numbers asked for, or all of `count`."""
    if some is None:
        return torch.arange(count, device=device)
    numbers = torch.as_tensor(some, dtype=torch.long, device=device)
    wrong = numbers[(numbers < 0) | (numbers >= count)]
    if len(wrong) or numbers.ndim != 1:
        raise IndexError(f"there is no {kind} {wrong.tolist()[:3]}: they are 0 to {count - 1}")
    return numbers
