"""Attribution in forward mode: one pass for each concept gives its shares in all targets."""

from __future__ import annotations

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from .parts import Part


@torch.no_grad()
def by_concepts(part: Part, alphas: Tensor, shares: Tensor, places: Tensor) -> Tensor:
    """Return shares (B, J, k), of some concepts only, from slopes along each concept's own part of the activations."""
    found = part.codes.new_zeros(len(part.codes), part.weights.shape[1], len(part.atoms))
    z = (part.activations[:, None] * alphas[:, None, None]).flatten(0, 1)
    for k in places.tolist():
        own = (part.codes[:, :, k, None] * part.atoms[k]).mT  # (B, c, positions)
        along = own[:, None].expand(-1, len(alphas), -1, -1).flatten(0, 1)
        # fused attention has no forward mode
        with forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH):
            out, speed = forward_ad.unpack_dual(part.rest(forward_ad.make_dual(z, along)))
            out, speed = (value.unflatten(0, (-1, len(alphas))) for value in (out, speed))
        for j in range(found.shape[1]):
            found[:, j, k] = (part.score(out, j)[1] * speed).sum((2, 3)) @ shares
    return found
