"""Where relevance starts: a channel or a direction of one tap, everywhere or at one position."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..names import unknown

WHERE = ("everywhere", "best", "either")


@dataclass(frozen=True)
class Start:
    """The target at its tap: its gradient and its relevance, (n, c, positions) each, and which images lack it."""

    at: str
    where: str
    slope: Tensor
    relevance: Tensor
    dead: Tensor


def directions(activations: Tensor, target: Tensor, at: str) -> Tensor:
    """Return one direction per image in the channels of activations (n, c, positions): (n, c), ones for channels."""
    n, channels = activations.shape[:2]
    target = torch.as_tensor(target, device=activations.device)
    if target.is_floating_point():
        if target.shape != (n, channels):
            raise ValueError(f"directions at {at} are ({n}, {channels}), found {tuple(target.shape)}")
        return target.to(activations.dtype)
    if target.shape != (n,):
        raise ValueError(f"{at} needs one channel per image, ({n},), found {tuple(target.shape)}")
    wrong = target[(target < 0) | (target >= channels)]
    if len(wrong):
        raise ValueError(f"{at} has channels 0 to {channels - 1}, not {int(wrong[0])}")
    return F.one_hot(target.long(), channels).to(activations.dtype)


def begin(activations: Tensor, target: Tensor, at: str, where: str) -> Start:
    """Place a target at its tap's activations (n, c, positions)."""
    if where not in WHERE:
        raise KeyError(unknown("where", where, WHERE))
    along = directions(activations, target, at)[:, :, None]  # (n, c, 1)
    lost = ((activations * along).sum(1) == 0).all(1)  # (n,)
    slope = along.expand_as(activations)
    first = slope * activations
    if where != "everywhere":
        nearest = F.cosine_similarity(activations, along, dim=1).argmax(1)  # (n,)
        best = along * F.one_hot(nearest, activations.shape[-1]).to(along.dtype)[:, None]
        moved = (lost if where == "either" else torch.ones_like(lost))[:, None, None]
        slope, first = torch.where(moved, best, slope), torch.where(moved, best, first)
    return Start(at, where, slope, first, lost)


def dead(activations: Tensor, target: Tensor) -> Tensor:
    """Tell on which images a target is zero at every position of activations (n, c, positions): (n,) bool."""
    return begin(activations, target, "the tap", "everywhere").dead


def warn_of_dead(start: Start, relevance: str) -> None:
    """Say once when a target is zero on some images, so that nothing can be relevant to it there."""
    count = int(start.dead.sum())
    if count and (start.where == "everywhere" or relevance not in ("LRP", "AttnLRP")):
        warnings.warn(
            f"the target at {start.at} is zero everywhere on {count} of {len(start.dead)} images, and {relevance} "
            "of zero is zero; with where='either' LRP starts at the nearest position there",
            RuntimeWarning, stacklevel=3,
        )  # fmt: skip
