"""One forward pass that gives both activations and their relevance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from ..names import unknown
from ..zoo.taps import record
from . import attention, gradients, zplus
from .start import begin, warn_of_dead
from .tape import Tape, send_back

Activations = dict[str, Tensor]

# what follows the forward pass: (tape or None, kept activations, start, taps) -> relevance
METHODS: dict[str, Callable[..., Activations]] = {
    "gradient x activation": gradients.times_activation,
    "LRP": lambda *run: send_back(*run, rules=zplus.RULES, name="LRP"),
    "AttnLRP": lambda *run: send_back(*run, rules=attention.RULES, name="AttnLRP"),
    "guided backpropagation": gradients.guided,
}


def relevance_and_activations(
    model: nn.Module, x: Tensor, target: Tensor, taps: Sequence[str], *, relevance: str = "LRP", at: str = "logits",
    where: str = "everywhere",
) -> tuple[Activations, Activations]:  # fmt: skip
    """Return relevance and activations at taps, {tap: (n, c, positions)} each, from one forward pass.

    Activations keep their graph to `x` where `x` wants gradients; relevance is detached.
    """
    if relevance not in METHODS:
        raise KeyError(unknown("relevance", relevance, METHODS))
    network, taps = type(model).__name__, [taps] if isinstance(taps, str) else list(taps)
    if any(module.training for module in model.modules()):
        raise ValueError(f"relevance needs {network} in eval mode; call model.eval() first")
    wants_gradient = torch.is_grad_enabled() and x.requires_grad
    with torch.inference_mode(False), torch.enable_grad():
        x = x if wants_gradient else x.detach().clone().requires_grad_(True)
        tape = None if relevance == "gradient x activation" else Tape(x, network)
        with record(model, [*(tap for tap in taps if tap != at), at]) as kept, tape or nullcontext():
            model(x)
        start = begin(kept[at].detach(), target, at, where)
        found = METHODS[relevance](tape, kept, start, taps)
    warn_of_dead(start, relevance)
    return found, {tap: kept[tap] if wants_gradient else kept[tap].detach() for tap in taps}
