"""The rule set of VITAL's LRP: positive weights share relevance out, a residual sum by size.

Convolutions and linear layers count without their biases; batch norm, ReLU and dropout hand relevance through;
max-pooling counts as average pooling. Positive weights mean positive shares only where activations come from ReLUs, so
these rules are for networks of convolutions and ReLUs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from .rules import MOVES, Arriving, keep
from .tape import Step

EPSILON = 1e-5  # the official stabiliser; what it takes away is the loss that conservation allows
_PARTS: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def part(weight: Tensor, bound: str) -> Tensor:
    """Return a weight clamped at zero from below ("min") or above ("max"), worked out once until the weight changes."""
    state = weight._version, weight.data_ptr(), weight.device
    if weight not in _PARTS or _PARTS[weight][0] != state:
        _PARTS[weight] = state, {}
    made = _PARTS[weight][1]
    if bound not in made:
        made[bound] = weight.detach().clamp(**{bound: 0})
    return made[bound]


@torch.enable_grad()
def shares(parts: Sequence[Tensor], function: Callable[..., Tensor], arriving: Tensor) -> Tensor:
    """Share relevance out in proportion to what each entry adds to a linear function, none of it negative."""
    parts = [part.requires_grad_(True) for part in parts]
    total = function(*parts)
    # Fast convolutions round sums of nothing to either side of zero.
    back = torch.autograd.grad(total, parts, arriving / (total.detach().clamp(min=0) + EPSILON))
    return sum(part.detach() * b for part, b in zip(parts, back, strict=True))


def z_plus(step: Step, arriving: Arriving) -> Sequence[Tensor]:
    """Share relevance out by positive contributions: a w+, and a- w- too where activations have both signs."""
    weight, x = step.argument(1, "weight"), step.inputs[0].detach()
    rest = {name: value for name, value in step.options.items() if name not in ("weight", "bias")}
    bounds = ["min"] if step.positive else ["min", "max"]
    parts = [x] if step.positive else [x.clamp(**{bound: 0}) for bound in bounds]

    def sums(*parts: Tensor) -> Tensor:
        # Without biases, which would take relevance that no activation gets.
        weights = [part(weight, bound) for bound in bounds]
        return sum(step.function(x, w, None, *step.arguments[3:], **rest) for x, w in zip(parts, weights, strict=True))

    return [shares(parts, sums, arriving[0])]


def by_size(step: Step, arriving: Arriving) -> Sequence[Tensor]:
    """Share relevance between the two branches of a residual sum by their absolute values."""
    if len(step.inputs) == 1:
        return arriving
    sizes = [t.detach().abs() for t in step.inputs]
    first = sizes[0] / (sizes[0] + sizes[1] + 1e-12)
    return [first * arriving[0], (1 - first) * arriving[0]]


def average(step: Step, arriving: Arriving) -> Sequence[Tensor]:
    """Share a mean's relevance by the absolute values that it was taken of."""
    size = step.inputs[0].detach().abs()
    return [shares([size], lambda x: step.function(x, *step.arguments[1:], **step.options), arriving[0])]


def as_average(step: Step, arriving: Arriving) -> Sequence[Tensor]:
    """Treat max-pooling as the mean over windows as wide as its stride, the official code's stand-in."""
    kernel, stride, padding = (step.argument(i, n) for i, n in enumerate(("kernel_size", "stride", "padding"), 1))
    ceil, shape = bool(step.argument(5, "ceil_mode")), arriving[0].shape

    def mean(x: Tensor) -> Tensor:
        tiles = F.avg_pool2d(x, stride or kernel, ceil_mode=True)
        # A stride of one would tile the map by single pixels.
        fits = tiles.shape == shape != x.shape
        return tiles if fits else F.avg_pool2d(x, kernel, stride, padding, ceil, False)

    return [shares([step.inputs[0].detach().abs()], mean, arriving[0])]


RULES = MOVES | {
    "conv2d": z_plus, "linear": z_plus, "add": by_size, "max_pool2d": as_average,
    "avg_pool2d": average, "adaptive_avg_pool2d": average, "mean": average,
    "batch_norm": keep, "relu": keep, "dropout": keep,
}  # fmt: skip
