"""How much each activation matters for a target: `f(model, x, target, taps) -> {tap: (n, c, positions)}`.

`x` is what the network eats (normalised pixels), `target` one output per image.
See `book/vital/3-2-distribution-matching`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .zoo.taps import record


def gradient_times_activation(model: nn.Module, x: Tensor, target: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
    """Multiply each activation with the gradient of the target's output: its share of the output, to first order."""
    with torch.enable_grad(), record(model, taps) as activations:
        output = model(x.detach().requires_grad_(True))
        score = output.gather(1, torch.as_tensor(target, device=output.device).view(-1, 1)).sum()
        slopes = torch.autograd.grad(score, [activations[tap] for tap in taps])
    return {tap: (activations[tap] * slope).detach() for tap, slope in zip(taps, slopes, strict=True)}


RELEVANCE = {"gradient x activation": gradient_times_activation}
