"""An affine function that a network applied, run again on other values: the same winners, the same scale."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .calls import Call


def grouped(call: Call, x: Tensor) -> Tensor:
    """View what a normalisation normalises over as the last dimension."""
    if call.name == "layer_norm":
        return x.flatten(x.ndim - len(call.argument(1, "normalized_shape")))
    return x.reshape(len(x), call.argument(1, "num_groups"), -1)


def deviation(call: Call) -> Tensor:
    """Return the standard deviation over each group of a normalisation."""
    x = grouped(call, call.flowing[0])
    return (x.var(-1, unbiased=False, keepdim=True) + call.argument(4, "eps", 1e-5)).sqrt()


def normalised(call: Call, x: Tensor, scale: Tensor) -> Tensor:
    """Apply a layer or group norm to x (n, ...) by a given standard deviation: an affine function of x."""
    parts = grouped(call, x)
    out = ((parts - parts.mean(-1, keepdim=True)) / scale).reshape(x.shape)
    weight, bias = call.argument(2, "weight"), call.argument(3, "bias")
    shape = (1, -1, *[1] * (x.ndim - 2)) if call.name == "group_norm" else call.argument(1, "normalized_shape")
    out = out if weight is None else out * weight.reshape(shape)
    return out if bias is None else out + bias.reshape(shape)


def again(call: Call, values: dict[int, Tensor], scale: Callable[[Call], Tensor]) -> Tensor:
    """Run the affine map that a function was for its own inputs on other values, named by the inputs' ids."""
    (x, *_), name = call.flowing, call.name
    if name in ("layer_norm", "group_norm"):
        return normalised(call, values[id(x)], scale(call))
    if name in ("max_pool2d", "adaptive_max_pool2d"):
        own = call.function(x, *call.arguments[1:], **call.options | {"return_indices": True})[1].flatten(2)
        v = values[id(x)].flatten(2)
        return v.gather(2, own.expand(len(v), -1, -1)).unflatten(2, call.run().shape[2:])
    return call.run(values)
