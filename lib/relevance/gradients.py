"""Relevance by gradients: plain ones times activations, and guided ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from .start import Start
from .tape import Tape, arrived


def slopes(kept: dict[str, Tensor], start: Start, taps: Sequence[str]) -> dict[str, Tensor]:
    """Return the target's gradient at taps, {tap: (n, c, positions)}."""
    found = torch.autograd.grad(
        kept[start.at], [kept[tap] for tap in taps], start.slope, retain_graph=True, allow_unused=True
    )
    return {tap: arrived(slope, tap, start.at) for tap, slope in zip(taps, found, strict=True)}


def times_activation(tape: None, kept: dict[str, Tensor], start: Start, taps: Sequence[str]) -> dict[str, Tensor]:
    """Multiply the target's gradient at taps with the activations there."""
    return {tap: kept[tap].detach() * slope for tap, slope in slopes(kept, start, taps).items()}


def guided(tape: Tape, kept: dict[str, Tensor], start: Start, taps: Sequence[str]) -> dict[str, Tensor]:
    """Cut negative gradients off at each ReLU, and at the taps."""
    rectified = [step.outputs[0] for step in tape.steps if step.name == "relu"]
    if not rectified:
        raise ValueError(f"guided backpropagation cuts gradients at ReLUs, and {tape.network} has none; "
                         "'gradient x activation' serves any network")  # fmt: skip
    with ExitStack() as hooks:
        for out in rectified:
            hooks.callback(out.register_hook(lambda gradient: gradient.clamp(min=0)).remove)
        return {tap: slope.clamp(min=0) for tap, slope in slopes(kept, start, taps).items()}
