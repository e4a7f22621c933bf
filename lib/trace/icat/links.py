"""A link between two layers: what a layer is made of, the network from there to a later one, and what is asked there.

Concepts of the earlier layer make up its activations (sparse codes); a target is a concept of the later layer, by the
cosine at each position weighted with its own code there (the paper's eq. 13), or an output of the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...concepts.dictionaries import Dictionary
from ...zoo.suffix import Suffix
from ...zoo.taps import record, split

CROWDING = 4  # behind a norm, which hardly tells a little of something from all of it


@dataclass(frozen=True)
class Link:
    """Two layers of a network on n images."""

    model: nn.Module
    x: Tensor  # (n, 3, h, w)
    layers: tuple[str, str]
    atoms: Tensor  # (K, c) concepts of the earlier layer, length one
    codes: Tensor  # (n, positions, K) how much of each is where
    directions: Tensor  # (T, channels) targets in the later layer
    weights: Tensor  # (n, positions there, T) how much each position counts, 0 where a target isn't
    cosine: bool  # targets are compared by angle; else by their plain sums
    alone: bool  # the network between the layers is the same for all images

    def approximation(self, images: Tensor) -> Tensor:
        """Return what the codes of some images make up, (m, c, positions)."""
        return (self.codes[images] @ self.atoms).mT

    def pairs(self, targets: Tensor | None = None) -> Tensor:
        """Return all (image, target) in which a target is present, (m, 2), of some targets or all."""
        there = (self.weights != 0).any(1)
        if targets is not None:
            there &= torch.zeros_like(there[0]).index_fill(0, targets.to(there.device), True)
        return there.nonzero()

    @property
    def crowding(self) -> int:
        """Return how much steps between no concepts and all of them crowd near to none, 1 for not at all."""
        return CROWDING if any("LayerNorm" in type(module).__name__ for module in self.model.modules()) else 1

    @contextmanager
    def between(self, images: Tensor) -> Iterator[Suffix]:
        """Give the network between the layers, (m, c, positions) -> (m, channels, positions there), for some images."""
        if not self.alone and len(images) > 1:
            raise ValueError(f"{type(self.model).__name__} between {' and '.join(self.layers)} depends on the image: "
                             "one at a time")  # fmt: skip
        with split(self.model, *self.layers, like=self.x[images[:1]]) as rest:
            yield rest


def between(
    model: nn.Module, x: Tensor, layers: tuple[str, str], earlier: Dictionary, later: Dictionary
) -> Link:
    """Link the concepts of two layers on images x (n, 3, h, w)."""
    x, low, high, alone = seen(model, x, layers)
    here = low.device
    return Link(model, x, layers, earlier.atoms.to(here), coded(earlier, low, layers[0]), later.atoms.to(here),
                coded(later, high, layers[1]), True, alone)  # fmt: skip


def to_outputs(model: nn.Module, x: Tensor, layer: str, concepts: Dictionary, *, at: str = "logits") -> Link:
    """Link the concepts of a layer to the outputs of a network on images x (n, 3, h, w)."""
    x, low, high, alone = seen(model, x, (layer, at))
    n, outputs, positions = high.shape
    return Link(model, x, (layer, at), concepts.atoms.to(low.device), coded(concepts, low, layer),
                torch.eye(outputs).to(low), low.new_ones(n, positions, outputs), False, alone)  # fmt: skip


@torch.no_grad()
def seen(model: nn.Module, x: Tensor, layers: tuple[str, str]) -> tuple[Tensor, Tensor, Tensor, bool]:
    """Return images, activations of both layers (n, c, positions), and whether the way between needs no image."""
    x = x.detach().to(next(model.parameters()).device)
    with record(model, layers) as kept:
        model(x)
    low, high = (kept[layer] for layer in layers)
    rows = torch.arange(0, len(x), max(1, len(x) // 8))
    with split(model, *layers, like=x[:1]) as rest:  # refuses layers in the wrong order
        again = rest(low[rows])
    return x, low, high, bool((again - high[rows]).abs().max() <= 1e-4 * high.abs().max())


def coded(concepts: Dictionary, activations: Tensor, layer: str) -> Tensor:
    """Return sparse codes (n, positions, K) at a layer."""
    if concepts.atoms.shape[1] != activations.shape[1]:
        raise ValueError(f"{layer} has {activations.shape[1]} channels, its concepts have {concepts.atoms.shape[1]}")
    return concepts.codes(activations)
