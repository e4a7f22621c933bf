"""Where the share of a constant goes: back along a function's windows, evenly to all positions in each.

A port is a map beside an activation whose gradient is relevance. Every rule takes ports forward by weights that
add up to one for each position, so what autograd takes back adds up to what came in.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .calls import Call, Flow


def carried(call: Call, out: Tensor) -> Flow:
    """Return the flow of an affine function's output, from those of its inputs."""
    flow = call.flowing[0]._flow
    port = joined([t._flow.port for t in call.flowing])
    axis, port = RULES.get(call.name, unmoved)(call, out, flow.axis, port)
    return replace(flow, axis=axis, port=port, beside=None, fresh=False)


def joined(ports: list[Tensor]) -> Tensor:
    """Average ports of activations that are added or joined, broadcast over each other."""
    if all(p is ports[0] for p in ports):
        return ports[0]
    return torch.stack(torch.broadcast_tensors(*ports)).mean(0)


def unmoved(call: Call, out: Tensor, axis: int, port: Tensor) -> tuple[int, Tensor]:
    """Leave positions as they are."""
    return axis, port


def pair(value) -> tuple[int, int]:
    """Return a size in both directions."""
    return (value, value) if isinstance(value, int) else (tuple(value) * 2)[:2]


def window(port: Tensor, kernel, stride, padding, dilation=1, ceil: bool = False) -> Tensor:
    """Average a port (n, 1, h, w) over windows, of which only real positions count."""
    kernel, stride, dilation = pair(kernel), pair(stride), pair(dilation)
    if kernel == (1, 1) and pair(padding if padding != "same" else 0) == (0, 0):
        return port if stride == (1, 1) else port[..., :: stride[0], :: stride[1]]
    plain = dilation == (1, 1) and not isinstance(padding, str)
    if plain and all(2 * p <= k for p, k in zip(pair(padding), kernel, strict=True)):
        return F.avg_pool2d(port, kernel, stride, pair(padding), ceil, count_include_pad=False)
    weight, how = port.new_ones(1, 1, *kernel), (stride, padding, dilation)
    count = F.conv2d(port.new_ones(1, 1, *port.shape[2:]), weight, None, *how)
    return F.conv2d(port, weight, None, *how) / count.clamp(min=1)


def convolved(call: Call, out: Tensor, axis: int, port: Tensor) -> tuple[int, Tensor]:
    """Spread over a convolution's windows."""
    stride, padding, dilation = (call.argument(i, n, d) for i, n, d in (
        (3, "stride", 1), (4, "padding", 0), (5, "dilation", 1)))  # fmt: skip
    kernel = tuple(call.argument(1, "weight").shape[2:])
    return axis, window(port, kernel, stride, 0 if padding == "valid" else padding, dilation)


def pooled(call: Call, out: Tensor, axis: int, port: Tensor) -> tuple[int, Tensor]:
    """Spread over a pooling's windows, whichever position won."""
    kernel, ceil = call.argument(1, "kernel_size"), (5 if call.name == "max_pool2d" else 4, "ceil_mode")
    stride, padding = call.argument(2, "stride") or kernel, call.argument(3, "padding", 0)
    dilation = call.argument(4, "dilation", 1) if call.name == "max_pool2d" else 1
    return axis, window(port, kernel, stride, padding, dilation, bool(call.argument(*ceil)))


def adapted(call: Call, out: Tensor, axis: int, port: Tensor) -> tuple[int, Tensor]:
    """Spread over windows that depend on the size."""
    return axis, F.adaptive_avg_pool2d(port, out.shape[2:])


def averaged(call: Call, out: Tensor, axis: int, port: Tensor) -> tuple[int, Tensor]:
    """Spread over all positions of a mean or a sum."""
    dims, keep = call.argument(1, "dim"), bool(call.argument(2, "keepdim", False))
    dims = [d % port.ndim for d in ([dims] if isinstance(dims, int) else dims or range(port.ndim))]
    if 0 in dims or axis in dims and not keep:
        raise ValueError(f"SRD shares between positions, and a {call.name} over images or channels leaves none")
    return (axis if keep else axis - sum(d < axis for d in dims)), port.mean(dims, keepdim=keep)


def reshaped(call: Call, out: Tensor, axis: int, port: Tensor) -> tuple[int, Tensor]:
    """Follow positions through a view, where it keeps channels apart or joins everything."""
    x = call.flowing[0]
    if out.ndim == 2:
        return 1, port.flatten(1).mean(1, keepdim=True)
    if axis == 1 and out.shape[:2] == x.shape[:2]:
        return 1, port.reshape(len(port), 1, *out.shape[2:])
    if axis == x.ndim - 1 and out.shape[-1] == x.shape[-1]:
        return out.ndim - 1, port.reshape(len(port), *out.shape[1:-1], 1)
    return axis, port


def permuted(call: Call, out: Tensor, axis: int, port: Tensor) -> tuple[int, Tensor]:
    """Follow channels and positions through a permutation."""
    if port.ndim != out.ndim:  # channels are split in groups for a while
        return axis, port
    rest = call.arguments[1:] or tuple(call.options.values())
    dims = [d % port.ndim for d in (rest[0] if isinstance(rest[0], tuple | list) else rest)]
    if call.name == "transpose":
        (one, two), dims = dims, list(range(port.ndim))
        dims[one], dims[two] = two, one
    return dims.index(axis), port.permute(dims)


def padded(call: Call, out: Tensor, axis: int, port: Tensor) -> tuple[int, Tensor]:
    """Give what falls on padding to the nearest real position."""
    sizes, mode = list(call.argument(1, "pad")), call.argument(2, "mode", "constant")
    if not any(sizes) or port.ndim != 4 or any(sizes[4:]):
        return axis, port
    return axis, F.pad(port, sizes[:4], mode="replicate" if mode == "constant" else mode)


def sliced(call: Call, out: Tensor, axis: int, port: Tensor) -> tuple[int, Tensor]:
    """Keep the positions that slices keep, whatever they do to channels."""
    asked = call.arguments[1] if isinstance(call.arguments[1], tuple) else (call.arguments[1],)
    if port.ndim != out.ndim or not all(isinstance(part, slice) for part in asked):
        return axis, port
    return axis, port[tuple(slice(None) if dim == axis else part for dim, part in enumerate(asked))]


def resized(call: Call, out: Tensor, axis: int, port: Tensor) -> tuple[int, Tensor]:
    """Spread as interpolation does."""
    return axis, F.interpolate(port, out.shape[2:], mode="nearest")


RULES = {
    "conv2d": convolved, "max_pool2d": pooled, "avg_pool2d": pooled, "adaptive_avg_pool2d": adapted,
    "adaptive_max_pool2d": adapted, "mean": averaged, "sum": averaged, "permute": permuted, "transpose": permuted,
    "pad": padded, "interpolate": resized, "getitem": sliced,
    **dict.fromkeys(("flatten", "reshape", "squeeze", "unflatten", "unsqueeze", "view"), reshaped),
}  # fmt: skip
