"""One function that a network calls, as sharing ratios see it: an activation, a piece of an affine map, or neither."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...relevance.tape import swapped, tensors

ACTIVATIONS = frozenset(
    "celu clamp clamp_max clamp_min elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu logsigmoid "
    "mish prelu relu relu6 rrelu selu sigmoid silu softplus softshrink softsign tanh tanhshrink threshold".split()
)
AFFINE = frozenset(
    "adaptive_avg_pool2d adaptive_max_pool2d add avg_pool2d batch_norm cat chunk clone contiguous conv2d div double "
    "dropout dropout2d expand flatten float getitem group_norm interpolate layer_norm linear max_pool2d mean mul "
    "narrow neg pad permute reshape rsub select split squeeze sub sum to transpose unbind unflatten unsqueeze "
    "view".split()
)
_SAME = {
    "iadd": "add", "radd": "add", "isub": "sub", "subtract": "sub", "imul": "mul", "rmul": "mul", "multiply": "mul",
    "truediv": "div", "itruediv": "div", "divide": "div", "concat": "cat", "concatenate": "cat",
    "swapaxes": "transpose",
}  # fmt: skip


@dataclass(frozen=True)
class Flow:
    """What follows an activation through a network.

    `axis` is the channels' dimension. `port` is a map beside the activation, 1 along that axis: where relevance
    that no channel carries goes on to the windows behind. `beside` is what a recursion carries along.
    """

    axis: int
    port: Tensor
    beside: Tensor | None = None
    fresh: bool = False  # comes straight from an activation function


@dataclass(frozen=True)
class Call:
    """One function that is called: its name, all it is given, and the activations among that."""

    name: str
    function: Callable
    arguments: tuple
    options: dict
    flowing: tuple[Tensor, ...]
    in_place: bool

    def argument(self, place: int, name: str, default=None):
        """Return one of the function's arguments, by its place or its name."""
        return self.arguments[place] if len(self.arguments) > place else self.options.get(name, default)

    def run(self, new: dict[int, Tensor] | None = None):
        """Call the function, on other activations (by the ids of its own) where some are given."""
        given = (swapped(self.arguments, new), swapped(self.options, new)) if new else (self.arguments, self.options)
        return self.function(*given[0], **given[1])


def read(function: Callable, arguments: tuple, options: dict) -> Call:
    """Describe a function that is being called, out of place."""
    # A DenseNet goes on filling the list of maps that it has just joined, so lists are kept as they are now.
    flowing = tuple(t for t in tensors((arguments, options)) if hasattr(t, "_flow"))
    written = getattr(function, "__name__", str(function))
    name = _SAME.get(written.strip("_"), written.strip("_"))
    ending = written.endswith("_") and not written.endswith("__") or written in ("__iadd__", "__isub__", "__imul__")
    in_place = bool(options.get("inplace")) or ending or written in ("__itruediv__", "__setitem__")
    if in_place and "inplace" in options:
        options = options | {"inplace": False}
    elif in_place:
        function = getattr(torch, name, None) or getattr(F, name, function)
    return Call(name, function, arguments, options, flowing, in_place)


def refuse(call: Call, network: str, *, hidden: bool = False) -> None:
    """Say in one sentence why sharing ratios end at a function: a gate, or one that nobody described."""
    lost = next((t._overwritten for t in call.flowing if hasattr(t, "_overwritten")), None)
    if lost:
        raise ValueError(f"{place()} of {network} goes on with an activation that {lost} has overwritten")
    if gates(call):
        raise ValueError(f"{place()} of {network} multiplies activations with each other (a gate, such as squeeze-and-"
                         f"excitation or a GLU), {_COVERS}")  # fmt: skip
    if call.name not in AFFINE and call.name not in ACTIVATIONS:
        raise ValueError(f"{place()} of {network} uses {call.name}, {_COVERS}")
    alien = any(t.requires_grad and not hasattr(t, "_flow") for t in tensors((call.arguments, call.options)))
    if alien or hidden:
        raise ValueError(f"{place()} of {network} works by an autograd function of its own, {_COVERS}")


_COVERS = ("which SRD doesn't cover: it shares through affine functions and pointwise activations, "
           "and 'gradient x activation' serves any network")  # fmt: skip


def gates(call: Call) -> bool:
    """Tell whether a function multiplies or divides activations by others."""
    if call.name == "div":
        return hasattr(call.argument(1, "other"), "_flow")
    return call.name == "mul" and len(call.flowing) > 1


def place() -> str:
    """Name the innermost module that is running, by its class."""
    for frame in inspect.stack()[1:]:
        owner = frame.frame.f_locals.get("self")
        if isinstance(owner, nn.Module):
            return type(owner).__name__
    return "the body"


def constant(call: Call) -> Tensor | float | None:
    """Return what an affine function adds, ready to broadcast over its output, or None."""
    if call.name in ("add", "sub", "rsub"):
        others = [v for v in call.arguments[:2] if not hasattr(v, "_flow")] + [call.options[k] for k in
                  ("input", "other") if k in call.options and not hasattr(call.options[k], "_flow")]  # fmt: skip
        sign = call.options.get("alpha", 1) * (-1 if call.name == "sub" else 1)
        return sign * others[0] if others else None
    if call.name == "batch_norm":
        return shift(call)
    bias = call.argument(*{"conv2d": (2, "bias"), "linear": (2, "bias"), "layer_norm": (3, "bias"),
                           "group_norm": (3, "bias")}.get(call.name, (99, "")))  # fmt: skip
    return None if bias is None else along(bias, call.flowing[0])


def shift(call: Call) -> Tensor:
    """Return what batch norm in eval mode adds to each channel."""
    _, mean, var, weight, bias = (call.argument(i, n) for i, n in enumerate(
        ("input", "running_mean", "running_var", "weight", "bias")))  # fmt: skip
    gain = (var + call.argument(7, "eps", 1e-5)).rsqrt() * (1 if weight is None else weight)
    return along((0 if bias is None else bias) - mean * gain, call.flowing[0])


def along(vector: Tensor, x: Tensor) -> Tensor:
    """View a value per channel so that it broadcasts over activations."""
    shape = [1] * x.ndim
    shape[x._flow.axis] = -1
    return vector.reshape(shape)
