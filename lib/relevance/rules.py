"""Rules that both families of LRP share: (a step, what arrives at its outputs) -> what its inputs get."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .tape import Step, swapped, tensors

Arriving = Sequence[Tensor | None]


def spread(step: Step, arriving: Arriving) -> Sequence[Tensor | None]:
    """Send values back the way that gradients go: a view, a copy or a concatenation only moves them."""
    inputs, outputs = step.inputs, step.outputs
    if len(inputs) > 1:
        # One input may have been made from another, so the function runs again on its own: only direct ways count.
        leaves = {id(t): t.detach().requires_grad_(True) for t in inputs}
        with torch.enable_grad():
            again = step.function(*swapped(step.arguments, leaves), **swapped(step.options, leaves))
        inputs, outputs = list(leaves.values()), list(tensors(again))
    reached = [(out, value) for out, value in zip(outputs, arriving, strict=True) if value is not None]
    ends, values = zip(*reached, strict=True)
    return torch.autograd.grad(ends, inputs, values, retain_graph=True, allow_unused=True)


def keep(step: Step, arriving: Arriving) -> Sequence[Tensor | None]:
    """Hand relevance through unchanged."""
    return [arriving[0], *[None] * (len(step.inputs) - 1)]


MOVES = dict.fromkeys(
    ("cat", "chunk", "clone", "contiguous", "expand", "flatten", "getitem", "narrow", "pad", "permute", "repeat",
     "reshape", "roll", "select", "split", "squeeze", "stack", "swapaxes", "transpose", "unbind", "unflatten",
     "unsqueeze", "view"),
    spread,
)  # fmt: skip
