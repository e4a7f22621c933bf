"""SRD as a differentiable function of the image, for whoever wants to manipulate its maps.

The backward pass of a share point isn't the derivative of anything, so differentiating through it would be wrong. One
ordinary pass records what the share points need; a second one, on a detached image, reads it back: its backward pass
gives the map, and the map's own derivative flows through the recorded activations.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.autograd import Function

from .affine import deviation
from .backward import class_weights, shaped
from .calls import Call
from .encode import Encoded, encode, resolutions
from .share import Sharing, projected, toward


def srd_differentiable(
    model: nn.Module, x: Tensor, target: Tensor | Sequence[int] | None = None, *, at: str | None = None,
    weights: str | Tensor | None = None, bias: str = "spread",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return SRD-input (n, h, w) and the logits of images x (n, c, h, w), both with a graph back to x.

    Every PFV weighs one where no target class is given; else `weights` is as in `srd`.
    """
    if bias == "centred":
        raise ValueError("the differentiable map knows the bias conventions spread and drop, not centred")
    at, name = at or resolutions(model)[0], type(model).__name__
    recording, replaying = Recording(name, "drop"), Replaying(name, bias)
    with torch.inference_mode(False), torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_(True)
        first = encode(model, x.view_as(x), at, [], recording, cut=False)
        mu = weighed(first, target, weights, at)
        replaying.tape = iter(recording.tape)
        second = encode(model, x.detach().requires_grad_(True), at, [], replaying, head=False)
        flow = second.top._flow
        outs = [flow.port] if flow.fresh else [second.top]
        slopes = [mu] if flow.fresh else [toward(first.top, mu, flow.axis)]
        slope, beside = torch.autograd.grad(
            outs, [second.x, second.x._flow.port], slopes, create_graph=True, allow_unused=True
        )
        found = (x * slope).sum(1)
    return found if beside is None else found + beside[:, 0], first.logits


def weighed(
    first: Encoded, target: Tensor | Sequence[int] | None, weights: str | Tensor | None, at: str
) -> Tensor:  # fmt: skip
    """Return the weights of the last PFVs as a map with one channel, with a graph where they are the network's."""
    if isinstance(weights, Tensor):
        return shaped(first.top, weights, at)
    if target is None:
        return torch.ones_like(first.top.select(first.top._flow.axis, 0).unsqueeze(first.top._flow.axis))
    return class_weights(first, target, weights or "clamped", graph=True)


class Recording(Sharing):
    """Let the network run as it is, and note what share points and frozen scales will need."""

    def __init__(self, network: str, bias: str):
        super().__init__(network, bias)
        self.tape: list = []

    def share(self, call: Call, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Note an activation and what it was made of."""
        a = call.run()
        self.tape.append((z, a))
        return a, a.detach().select(z._flow.axis, 0).unsqueeze(z._flow.axis)

    def scale(self, call: Call) -> Tensor:
        """Note the standard deviation that a normalisation divides by."""
        self.tape.append(deviation(call))
        return self.tape[-1]


class Replaying(Sharing):
    """Make share points of a second pass from the record of a first."""

    def share(self, call: Call, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Put a recorded activation in the place of this one."""
        recorded = next(self.tape)
        return Replayed.apply(z, recorded[1].detach(), recorded, z._flow.axis)

    def scale(self, call: Call) -> Tensor:
        """Take a recorded standard deviation, which keeps its derivative."""
        return next(self.tape)


class Replayed(Function):
    """A share point whose way back reads recorded tensors, so that what it gives can be differentiated."""

    @staticmethod
    def forward(ctx, z: Tensor, a: Tensor, recorded: tuple[Tensor, Tensor], axis: int) -> tuple[Tensor, Tensor]:
        """Return the recorded activation and a port of zeros."""
        ctx.recorded, ctx.axis = recorded, axis
        return a.view_as(a), torch.zeros_like(a.select(axis, 0).unsqueeze(axis))

    @staticmethod
    def backward(ctx, slope: Tensor, beside: Tensor):
        """Share relevance out toward the recorded pre-activation."""
        z, a = ctx.recorded
        return toward(z, projected(a, slope, ctx.axis) + beside, ctx.axis), None, None, None
