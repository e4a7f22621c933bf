"""Feature vectors of relevant positions as plain tensors, so that pages can keep and share them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..concepts.sampling import Sample, samples, token_relevance
from ..names import unknown
from ..zoo import normalise
from .srd import relevance_of_layers


def by_srd(model: nn.Module, x: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
    """Weigh positions by their SRD relevance to the predicted class: {tap: (n, positions)}."""
    with torch.no_grad():
        target = model(x).argmax(1)
    return relevance_of_layers(model, x, target, taps)


WAYS = {"SRD": by_srd, "AttnLRP": token_relevance}


def drawn(
    model: nn.Module, images: Tensor, taps: Sequence[str], *, each: int = 1, seed: int = 0, relevance: str = "SRD"
) -> dict[str, Tensor]:  # fmt: skip
    """Draw `each` positions of every image (n, 3, h, w) in [0, 1] at each tap by relevance, for `taken`."""
    if relevance not in WAYS:
        raise ValueError(unknown("relevance", relevance, WAYS))
    found = samples(model, normalise(model, images), taps, WAYS[relevance], each=each, seed=seed)
    return {f"{tap} {name}": value for tap, sample in found.items() for name, value in vars(sample).items()}


def taken(found: dict[str, Tensor], tap: str) -> Sample:
    """Take one tap's sample out of what `drawn` returns; a position that came twice counts once."""
    vectors, image, position = (found[f"{tap} {name}"] for name in ("vectors", "image", "position"))
    spot = torch.stack([image, position], 1)
    order = torch.unique(spot, dim=0, return_inverse=True)[1]
    first = torch.full((int(order.max()) + 1,), len(order), device=order.device)
    first = first.scatter_reduce(0, order, torch.arange(len(order), device=order.device), "amin")
    return Sample(vectors[first], image[first], position[first])


def one_of_each_image(distance: Tensor, image: Tensor, count: int) -> Tensor:
    """Name the nearest of some vectors by distance (m,), the nearest of each image (m,) only, nearest first."""
    numbers, first = image.tolist(), {}
    for row in distance.argsort().tolist():
        first.setdefault(numbers[row], row)
        if len(first) == count:
            break
    return torch.tensor(list(first.values()))
