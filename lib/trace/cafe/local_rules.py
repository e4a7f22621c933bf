"""AttnLRP as gradient x input: inside the mode, four kinds of functions give another gradient and the same values.

An activation function hands relevance through (its gradient is act(x) / x), a normalization counts its deviation as a
constant, and a product of two activations shares evenly between them, so that attention gives a quarter to queries, a
quarter to keys and half to values. Everything else keeps its gradient, softmax too. `relevance.attention` has the same
rules function by function, with a stabiliser; this form needs none, takes one backward pass and serves any start.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ...relevance.attention import RULES
from ...relevance.tape import no_rule, tensors

_ACTIVATIONS = frozenset(("elu", "gelu", "hardswish", "hardtanh", "leaky_relu", "mish", "relu", "silu", "tanh"))
_PRODUCTS = frozenset(("bmm", "matmul", "mul"))
_SHARES = {"query": 1 / 4, "key": 1 / 4, "value": 1 / 2}  # of attention, each product halved
_SAME = {
    "rmatmul": "matmul", "rmul": "mul", "imul": "mul", "iadd": "add", "radd": "add", "isub": "sub", "truediv": "div",
}  # fmt: skip
_PLAIN = frozenset(("double", "float", "identity", "masked_fill", "neg", "rsub", "sum", "to", "type_as"))


class _Scaled(torch.autograd.Function):
    """A tensor as it is, and `factor` of its gradient."""

    @staticmethod
    def forward(ctx, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, slope: Tensor):
        return slope * ctx.factor, None


class _HandedThrough(torch.autograd.Function):
    """An activation function's value, with the gradient value / x."""

    @staticmethod
    def forward(ctx, x: Tensor, value: Tensor, limit: Tensor) -> Tensor:
        ctx.save_for_backward(x, value, limit)
        return value.view_as(value)

    @staticmethod
    def backward(ctx, slope: Tensor):
        x, value, limit = ctx.saved_tensors
        return slope * torch.where(x == 0, limit, value / torch.where(x == 0, 1, x)), None, None


class _SteadyNorm(torch.autograd.Function):
    """A layer normalization's value, with the gradient of (x - mean) * constant."""

    @staticmethod
    def forward(ctx, x: Tensor, value: Tensor, weight: Tensor | None, dims: int, eps: float) -> Tensor:
        over = tuple(range(-dims, 0))
        scale = (x.var(over, unbiased=False, keepdim=True) + eps).rsqrt()
        ctx.save_for_backward(scale if weight is None else scale * weight)
        ctx.over = over
        return value.view_as(value)

    @staticmethod
    def backward(ctx, slope: Tensor):
        given = slope * ctx.saved_tensors[0]
        return given - given.mean(ctx.over, keepdim=True), None, None, None, None


class LocalRules(TorchFunctionMode):
    """Let a network's functions give AttnLRP's gradients while the mode is on."""

    def __init__(self, network: str = "this network"):
        super().__init__()
        self.network = network

    def __torch_function__(self, function, types, arguments=(), options=None):
        options = dict(options or {})
        if not torch.is_grad_enabled() or not any(t.requires_grad for t in tensors((arguments, options))):
            return function(*arguments, **options)
        written = getattr(function, "__name__", str(function)).strip("_")
        name = _SAME.get(written, written)
        if name == "scaled_dot_product_attention":
            return _attention(function, arguments, options)
        if name == "layer_norm":
            return _normalised(function, arguments, options)
        if name in _ACTIVATIONS:
            return _activated(function, arguments, options)
        if name in _PRODUCTS and sum(map(_moves, arguments[:2])) == 2:
            return function(*(_Scaled.apply(t, 1 / 2) for t in arguments[:2]), *arguments[2:], **options)
        out = function(*arguments, **options)
        made = isinstance(out, Tensor) and out.requires_grad and out is not arguments[0]
        if made and name not in RULES and name not in _PLAIN and written != "get":
            raise ValueError(no_rule("AttnLRP", name, self.network))
        return out


def _moves(value) -> bool:
    """Tell an activation from a weight or a number."""
    return isinstance(value, Tensor) and value.requires_grad and not isinstance(value, nn.Parameter)


def _attention(function, arguments: tuple, options: dict) -> Tensor:
    """Call fused attention on queries, keys and values that get their shares of the gradient."""
    given = dict(zip(_SHARES, arguments, strict=False)) | options
    scaled = {name: _Scaled.apply(given[name], share) for name, share in _SHARES.items()}
    rest = {name: value for name, value in given.items() if name not in scaled}
    return function(*scaled.values(), *arguments[len(scaled) :], **rest)


def _activated(function, arguments: tuple, options: dict) -> Tensor:
    """Call an activation function out of place."""
    x, options = arguments[0], {key: value for key, value in options.items() if key != "inplace"}
    name = getattr(function, "__name__", "").strip("_")
    function = getattr(torch.nn.functional, name, None) or getattr(torch, name)
    rest = [value for value in arguments[1:] if not isinstance(value, bool)]
    with torch.no_grad():
        value = function(x, *rest, **options)
        step = torch.full_like(x[:1], 1e-4)
        limit = function(step, *rest, **options) / step  # where x is 0
    return _HandedThrough.apply(x, value, limit.expand_as(x))


def _normalised(function, arguments: tuple, options: dict) -> Tensor:
    """Call a layer normalization and keep its deviation as a constant."""
    names = ("input", "normalized_shape", "weight", "bias", "eps")
    given = dict(zip(names, arguments, strict=False)) | options
    with torch.no_grad():
        value = function(*arguments, **options)
    dims, eps = len(given["normalized_shape"]), given.get("eps", 1e-5)
    return _SteadyNorm.apply(given["input"], value, given.get("weight"), dims, eps)
