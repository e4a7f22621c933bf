"""Sharing ratios the way they are defined, without autograd: pair by pair, and as a recursion of iERFs to the front.

Slow on purpose: this is what the backward pass of `srd` is checked against, and what shows single ratios.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from ...names import unknown
from ...relevance.tape import tensors
from . import calls
from .affine import again
from .calls import Call, Flow
from .encode import encode
from .ports import carried
from .share import BIASES, EPSILON, Sharing


@torch.no_grad()
def sharing_ratios(affine: Callable[[Tensor], Tensor], v: Tensor, *, bias: str = "spread") -> Tensor:
    """Return the share of each position of v (1, c, h, w) in each position of affine(v): (positions out, in).

    Every position in turn stands alone on an empty canvas; what comes out of it is compared with the whole.
    """
    if bias not in BIASES:
        raise KeyError(unknown("bias convention", bias, BIASES))
    if v.ndim != 4 or len(v) != 1:
        raise ValueError(f"sharing ratios are those of one map (1, c, h, w), found {tuple(v.shape)}")
    alone = pixels(v)  # (in, 1, h, w)
    whole, nothing = affine(v)[0].flatten(1), affine(torch.zeros_like(v))[0].flatten(1)  # (c', out)
    parts = affine(alone * v).flatten(2) - nothing  # (in, c', out)
    target = whole - nothing if bias == "centred" else whole
    length = target.square().sum(0) + EPSILON
    ratios = torch.einsum("icp,cp->pi", parts, target) / length[:, None]
    if bias == "spread":
        touched = reached(affine, alone, v).to(v.dtype)
        ratios += touched / touched.sum(1, keepdim=True).clamp(min=1) * ((nothing * target).sum(0) / length)[:, None]
    return ratios


def pixels(x: Tensor) -> Tensor:
    """Return one map for each position of x (1, c, h, w), 1 there and else 0: (positions, 1, h, w)."""
    count = x.shape[2] * x.shape[3]
    return torch.eye(count, dtype=x.dtype, device=x.device).reshape(count, 1, *x.shape[2:])


def reached(affine: Callable[[Tensor], Tensor], alone: Tensor, v: Tensor) -> Tensor:
    """Tell which positions reach which, (positions out, in) bool, by a canvas that is one everywhere or drawn."""
    drawn = 1 + torch.rand(v.shape, dtype=v.dtype, generator=torch.Generator().manual_seed(0)).to(v.device)
    change = (affine(alone * drawn) - affine(torch.zeros_like(v))).abs().sum(1).flatten(1)
    return change.T > 32 * torch.finfo(v.dtype).eps * change.max()


@torch.no_grad()
def forward_ierf(model: nn.Module, x: Tensor, at: str, *, bias: str = "spread") -> Tensor:
    """Return the iERFs of all PFVs at a tap, (positions, h, w), of one image (1, c, h, w), from pixels forward."""
    if x.ndim != 4 or len(x) != 1:
        raise ValueError(f"the recursion takes one image (1, c, h, w), found {tuple(x.shape)}")
    top = encode(model, x.clone(), at, [], Forwarding(type(model).__name__, bias), head=False).top
    flow = top._flow
    share = flow.port if flow.fresh else shares(flow.beside, target_of(top, bias), flow.axis)
    return share.flatten(1).T.reshape(-1, *x.shape[2:])


def shares(parts: Tensor, target: Tensor, axis: int) -> Tensor:
    """Return <part, target> / |target|^2 of parts (pixels, ...) that make up a map: (pixels, 1, h, w)."""
    return (parts * target).sum(axis, keepdim=True) / (target.square().sum(axis, keepdim=True) + EPSILON)


def target_of(z: Tensor, bias: str) -> Tensor:
    """Return what parts are compared with: the whole, or all that isn't constant in it."""
    return z._flow.beside.sum(0, keepdim=True) if bias == "centred" else z


class Forwarding(Sharing):
    """Carry along what each pixel has in each PFV: E_p a_j at position j, where E is the iERF (pixels, 1, h, w)."""

    differentiates = False

    def enter(self, x: Tensor) -> Tensor:
        """Let each pixel hold itself."""
        x._flow = Flow(1, pixels(x), pixels(x) * x, fresh=True)
        return x

    def activate(self, call: Call) -> Tensor:
        """Turn parts into shares, which an activation hands on."""
        (z, *_), a = call.flowing, call.run()
        share = shares(z._flow.beside, target_of(z, self.bias), z._flow.axis)
        a._flow = Flow(z._flow.axis, share, share * a, fresh=True)
        return a

    def affine(self, call: Call, out):
        """Apply an affine function to the parts, and add its constant's shares."""
        parts = again(call, {id(t): t._flow.beside for t in call.flowing}, self.scale)
        nothing = again(call, {id(t): torch.zeros_like(t) for t in call.flowing}, self.scale)
        out = out.view_as(out) if any(out is t for t in call.flowing) else out
        c = calls.constant(call) if self.bias == "spread" else None
        for t, part, zero in zip(tensors(out), tensors(parts), tensors(nothing), strict=True):
            flow = carried(call, t)
            t._flow = replace(flow, beside=part - zero if c is None else part - zero + flow.port * c)
        return out
