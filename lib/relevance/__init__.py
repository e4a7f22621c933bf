"""How much each activation matters for a target: `f(model, x, target, taps) -> {tap: (n, c, positions)}`.

`x` is what the network eats (normalised pixels). `target` is one channel of the tap `at` per image, (n,) whole numbers,
or one direction in its channels per image, (n, c). With `where="everywhere"` relevance starts as the target's own
activation, at all positions; with "best" as one at the position that points most nearly along the target; with
"either" as "best" on those images where the target is zero everywhere, which are `dead`, and else as "everywhere".
See `book/vital/3-3-relevance`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from .forward import Activations, relevance_and_activations
from .start import dead

__all__ = ["RELEVANCE", "Activations", "attnlrp", "dead", "gradient_times_activation", "guided_backpropagation", "lrp",
           "relevance_and_activations"]  # fmt: skip


def gradient_times_activation(
    model: nn.Module, x: Tensor, target: Tensor, taps: Sequence[str], *, at: str = "logits", where: str = "everywhere"
) -> Activations:
    """Multiply each activation with the gradient of the target: its share of the target, to first order."""
    return _alone("gradient x activation", model, x, target, taps, at=at, where=where)


def lrp(
    model: nn.Module, x: Tensor, target: Tensor, taps: Sequence[str], *, at: str = "logits", where: str = "everywhere"
) -> Activations:
    """Share the target out along positive weights (the z+ rule), for networks of convolutions and ReLUs."""
    return _alone("LRP", model, x, target, taps, at=at, where=where)


def attnlrp(
    model: nn.Module, x: Tensor, target: Tensor, taps: Sequence[str], *, at: str = "logits", where: str = "everywhere"
) -> Activations:
    """Share the target out by signed contributions, also through attention, for transformers and ConvNeXt."""
    return _alone("AttnLRP", model, x, target, taps, at=at, where=where)


def guided_backpropagation(
    model: nn.Module, x: Tensor, target: Tensor, taps: Sequence[str], *, at: str = "logits", where: str = "everywhere"
) -> Activations:
    """Follow only positive gradients through active ReLUs, and keep the positive ones that arrive."""
    return _alone("guided backpropagation", model, x, target, taps, at=at, where=where)


def _alone(name: str, model: nn.Module, x: Tensor, target: Tensor, taps: Sequence[str], **how) -> Activations:
    """Return relevance from a forward pass of its own."""
    return relevance_and_activations(model, x.detach(), target, taps, relevance=name, **how)[0]


RELEVANCE: dict[str, Callable[..., Activations]] = {
    "gradient x activation": gradient_times_activation,
    "LRP": lrp,
    "AttnLRP": attnlrp,
    "guided backpropagation": guided_backpropagation,
}
