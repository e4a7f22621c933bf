"""DeepLIFT's rescale rule: the slope of an activation function is its difference over that of its input.

The first half of the batch is what is explained, the second half its reference, image by image. Anything else (pools,
norms, softmax) keeps its slope.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

POINTWISE = {"celu", "elu", "gelu", "hardswish", "hardsigmoid", "hardtanh", "leaky_relu", "mish", "relu", "relu6",
             "selu", "sigmoid", "silu", "softplus", "tanh"}  # fmt: skip
SAME = 1e-6  # differences of inputs, as a share of the largest, below which the slope itself is taken


class Rescale(TorchFunctionMode):
    """Give every pointwise activation function the slope between both halves of its batch, while the mode is on."""

    def __torch_function__(self, function, types, arguments=(), options=None):
        options = dict(options or {})
        name = getattr(function, "__name__", "").strip("_")
        x = arguments[0] if arguments else options.get("input")
        if name not in POINTWISE or not isinstance(x, Tensor) or not x.requires_grad:
            return function(*arguments, **options)
        options.pop("inplace", None)
        rest = arguments[1:] if len(arguments) > 1 and name not in ("relu", "silu", "mish") else ()

        def compute(value: Tensor) -> Tensor:
            given = {k: v for k, v in options.items() if k != "input"}
            return function(value.clone(), *rest, **given)

        return between_halves(compute, x)


def between_halves(compute, x: Tensor) -> Tensor:
    """Return a pointwise function's value at x (2n, ...) with the slope between its first half and its second."""
    with torch.enable_grad():
        point = x.detach().requires_grad_(True)
        value = compute(point)
        slope = torch.autograd.grad(value.sum(), point)[0]
    (x1, x0), (y1, y0) = x.detach().chunk(2), value.detach().chunk(2)
    across = x1 - x0
    far = across.abs() > SAME * across.abs().max()
    shared = torch.where(far, (y1 - y0) / torch.where(far, across, 1.0), slope.chunk(2)[0])
    return value.detach() + torch.cat([shared, shared]) * (x - x.detach())
