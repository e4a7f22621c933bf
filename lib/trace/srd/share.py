"""Sharing ratios as a modified backward pass: inside `Sharing`, every pointwise activation is a share point.

Between activations a network is affine, so v_j = sum_i f(v_i) + c, and position i holds the share
<f(v_i), v_j> / |v_j|^2 of position j. With G_j = R_j v_j / |v_j|^2 the relevance of i is <v_i, (J^T G)_i>: one
vector-Jacobian product per layer, so autograd does convolutions, pools, sums and joins, and only activations need
another backward pass. Layer norms count with their standard deviation held fixed; gates are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import repeat

import torch
from torch import Tensor
from torch.autograd import Function
from torch.overrides import TorchFunctionMode

from ...names import unknown
from ...relevance.tape import tensors
from . import calls
from .affine import again, deviation, normalised
from .calls import Call, Flow
from .ports import carried

BIASES = ("spread", "drop", "centred")
EPSILON = 1e-30  # absolute: anything larger takes relevance away where activations are small


def projected(a: Tensor, slope: Tensor, axis: int) -> Tensor:
    """Return the relevance of each position, <a, slope> over channels."""
    return (a * slope).sum(axis, keepdim=True)


def toward(z: Tensor, relevance: Tensor, axis: int) -> Tensor:
    """Return the gradient R z / |z|^2 that carries relevance to what z was made of."""
    return z * (relevance / (z.square().sum(axis, keepdim=True) + EPSILON))


class SharePoint(Function):
    """An activation a = act(z) with a port: relevance <a, g> comes in and R z / |z|^2 goes out."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, target: Tensor, act, axis: int) -> tuple[Tensor, Tensor]:
        """Return the activation and a port of zeros."""
        a = act(z)
        return a, a.new_zeros([1 if d == axis else size for d, size in enumerate(a.shape)])

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep what the way back needs."""
        ctx.save_for_backward(inputs[1], output[0])
        ctx.axis = inputs[3]

    @staticmethod
    def backward(ctx, slope: Tensor, beside: Tensor):
        """Share relevance out toward the pre-activation."""
        target, a = ctx.saved_tensors
        return toward(target, projected(a, slope, ctx.axis) + beside, ctx.axis), None, None, None


class Constant(Function):
    """Mark that y holds a constant c, whose share <c, G> goes through the port instead of getting lost."""

    generate_vmap_rule = True

    @staticmethod
    def forward(y: Tensor, c: Tensor, port: Tensor, axis: int) -> Tensor:
        """Hand y on."""
        return y.view_as(y)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep the constant."""
        ctx.save_for_backward(inputs[1])
        ctx.axis = inputs[3]

    @staticmethod
    def backward(ctx, slope: Tensor):
        """Send the constant's share to the port."""
        (c,) = ctx.saved_tensors
        return slope, None, share_of(c, slope, ctx.axis), None


def share_of(c: Tensor, slope: Tensor, axis: int) -> Tensor:
    """Return <c, slope> over channels; for one value per channel without a product of full size."""
    if c.numel() == slope.shape[axis] == c.shape[axis - slope.ndim]:
        vector = c.reshape(1, -1)
        if axis == slope.ndim - 1:
            return slope @ vector.transpose(0, 1)
        if axis == 1:
            return (vector @ slope.reshape(*slope.shape[:2], -1)).reshape(len(slope), 1, *slope.shape[2:])
    return projected(c, slope, axis)


class Sharing(TorchFunctionMode):
    """Reroute the activations of a feed-forward network to share points while the mode is on."""

    differentiates = True

    def __init__(self, network: str, bias: str = "spread"):
        super().__init__()
        if bias not in BIASES:
            raise KeyError(unknown("bias convention", bias, BIASES))
        self.network, self.bias, self.on = network, bias, True
        self.frozen: list[str] = []  # the normalisations whose scale is held fixed

    def enter(self, x: Tensor) -> Tensor:
        """Let an image batch (n, c, h, w) be where everything starts."""
        port = x.detach().new_zeros(len(x), 1, *x.shape[2:]).requires_grad_(True)
        x._flow = Flow(1, port, fresh=True)
        return x

    def __torch_function__(self, function, types, arguments=(), options=None):
        call = calls.read(function, arguments, options or {})
        if not self.on or not call.flowing:
            return function(*arguments, **(options or {}))
        if call.name in calls.ACTIVATIONS or call.name in calls.AFFINE or call.in_place:
            calls.refuse(call, self.network, hidden=self.differentiates and not torch.is_grad_enabled())
        if call.in_place:
            call.arguments[0]._overwritten = call.name
        if call.name in calls.ACTIVATIONS:
            return self.activate(call)
        out = self.normalise(call) if call.name in ("layer_norm", "group_norm") else call.run()
        if call.name not in calls.AFFINE and call.name != "detach" and any(True for _ in tensors(out)):
            calls.refuse(call, self.network)
        return self.affine(call, out) if call.name in calls.AFFINE else out

    def activate(self, call: Call) -> Tensor:
        """Make a share point of an activation function."""
        (z, *_), flow = call.flowing, call.flowing[0]._flow
        target = z if flow.beside is None else z - flow.beside
        a, port = self.share(call, z, target.detach())
        a._flow = Flow(flow.axis, port, fresh=True)
        return a

    def share(self, call: Call, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Apply an activation; return its output and port."""
        return SharePoint.apply(z, target, lambda t: call.run({id(z): t}), z._flow.axis)

    def affine(self, call: Call, out):
        """Let the flow go on through an affine function, and mark the constant it adds."""
        if not isinstance(out, Tensor):
            for t, beside in zip(out, self.beside(call), strict=False):
                t._flow = replace(carried(call, t), beside=beside)
            return out
        flow, c = carried(call, out), calls.constant(call)
        if c is not None and self.bias == "spread":
            out = self.offset(out, torch.as_tensor(c, dtype=out.dtype, device=out.device), flow)
        # A function that hands its input on must not change the flow of what went in.
        out = out.view_as(out) if any(out is t for t in call.flowing) else out
        out._flow = replace(flow, beside=next(iter(self.beside(call))))
        return out

    def offset(self, out: Tensor, c: Tensor, flow: Flow) -> Tensor:
        """Send a constant's share to the port."""
        if [1 if d == flow.axis else s for d, s in enumerate(out.shape)] != list(flow.port.shape):
            raise ValueError(f"{calls.place()} of {self.network} rearranges positions in a way that biases can't be "
                             "spread over; bias='drop' leaves them out")  # fmt: skip
        return Constant.apply(out, c, flow.port, flow.axis)

    def beside(self, call: Call) -> Iterable[Tensor | None]:
        """Carry the affine map's own constant along for each output, for shares toward v_j - c."""
        if self.bias != "centred":
            return repeat(None)
        zero = {id(t): torch.zeros_like(t) if t._flow.beside is None else t._flow.beside for t in call.flowing}
        with torch.no_grad():
            return list(tensors(again(call, zero, self.scale)))

    def normalise(self, call: Call) -> Tensor:
        """Normalise with a standard deviation held fixed."""
        self.frozen.append(call.name)
        return normalised(call, call.flowing[0], self.scale(call))

    def scale(self, call: Call) -> Tensor:
        """Return the standard deviation that a normalisation divides by."""
        return deviation(call).detach()
