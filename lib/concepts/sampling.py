"""Feature vectors that matter: one position of each image, drawn with a chance in proportion to its relevance.

Relevance is given as {tap: (n, positions)}, for all layers from one pass: sharing ratios for convolutional networks,
`token_relevance` for transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..relevance import relevance_and_activations
from ..zoo.taps import record

AT_ONCE = 32  # images in one pass
Relevance = Callable[[nn.Module, Tensor, Sequence[str]], dict[str, Tensor]]  # (model, x, taps) -> {tap: (n, positions)}


@dataclass(frozen=True)
class Sample:
    """Feature vectors of one layer, and where each was found."""

    vectors: Tensor  # (m, c)
    image: Tensor  # (m,)
    position: Tensor  # (m,) pixels row by row, or tokens with the class token first


def draw(relevance: Tensor, chance: Tensor) -> Tensor:
    """Draw positions (n, m) from relevance (n, positions), negative counting as none, by numbers (n, m) in [0, 1).

    Images where nothing is relevant get -1.
    """
    if not relevance.isfinite().all():
        raise ValueError("positions are drawn by finite relevance; some of it is infinite or not a number")
    mass = relevance.double().clamp(min=0).cumsum(1)
    total = mass[:, -1:]
    position = torch.searchsorted(mass, chance.to(mass) * total, right=True).clamp(max=mass.shape[1] - 1)
    return torch.where(total > 0, position, -1)


def sample(activations: Tensor, relevance: Tensor, chance: Tensor, first: int = 0) -> Sample:
    """Take drawn vectors out of activations (n, c, positions); `first` is the number of the first image."""
    if activations.shape[::2] != relevance.shape:
        raise ValueError(f"activations {tuple(activations.shape)} need relevance of (n, positions), "
                         f"found {tuple(relevance.shape)}")  # fmt: skip
    position = draw(relevance, chance)
    image, which = (position >= 0).nonzero(as_tuple=True)
    position = position[image, which]
    return Sample(activations.detach()[image, :, position], image + first, position)


def samples(
    model: nn.Module, x: Tensor, taps: Sequence[str], relevance: Relevance, *, each: int = 1, seed: int = 0,
    at_once: int = AT_ONCE,
) -> dict[str, Sample]:  # fmt: skip
    """Draw `each` positions of every image x (n, 3, h, w) at each tap; how images are batched changes nothing.

    Images without relevance at a tap give none there.
    """
    device, found = next(model.parameters()).device, {tap: [] for tap in taps}
    chance = torch.rand(len(x), len(taps), each, generator=torch.Generator().manual_seed(seed)).to(device)
    for first in range(0, len(x), at_once):
        chunk = x[first : first + at_once].to(device)
        with record(model, taps) as kept:
            with torch.no_grad():
                model(chunk)
        weights = relevance(model, chunk, taps)
        for place, tap in enumerate(taps):
            found[tap].append(sample(kept[tap], weights[tap], chance[first : first + at_once, place], first))
    return {tap: joined(parts, tap) for tap, parts in found.items()}


def joined(parts: Sequence[Sample], tap: str) -> Sample:
    """Put samples of several batches together."""
    whole = Sample(*(torch.cat([getattr(part, name) for part in parts]) for name in ("vectors", "image", "position")))
    if len(whole.vectors) == 0:
        raise ValueError(f"no image has a position of positive relevance at {tap}")
    return whole


def token_relevance(
    model: nn.Module, x: Tensor, taps: Sequence[str], *, target: Tensor | None = None
) -> dict[str, Tensor]:
    """Weigh positions by the length of their AttnLRP relevance to a class, the predicted one unless told (n,).

    This suits transformers and ConvNeXt: {tap: (n, positions)}, never negative.
    """
    if target is None:
        with torch.no_grad():
            target = model(x).argmax(1)
    found, _ = relevance_and_activations(model, x, target, taps, relevance="AttnLRP")
    return {tap: value.norm(dim=1) for tap, value in found.items()}
