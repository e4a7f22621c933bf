"""Class activation maps: sums of a layer's channels, each weighted by what it does to one logit.

All that gradients can tell comes from one forward pass and the short way back to the layer, for several maps at once,
on the network's own device. The maps equal those of grad-cam, which makes one whole pass back for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ...zoo.layout import attach, from_positions, locate, to_positions
from .gradient_maps import resize, spread_over_one

Formula = Callable[[Tensor, Tensor], Tensor]  # activations and slopes -> weighted activations, (n, c, h, w) all


def gradcam(a: Tensor, g: Tensor) -> Tensor:
    """Weigh channels by their mean slope."""
    return g.mean((2, 3), keepdim=True) * a


def gradcam_plus_plus(a: Tensor, g: Tensor) -> Tensor:
    """Weigh channels by their positive slopes, each slope by how few positions share it."""
    share = g**2 / (2 * g**2 + a.sum((2, 3), keepdim=True) * g**3 + 1e-6)
    return (g.clamp(min=0) * share).sum((2, 3), keepdim=True) * a


def xgradcam(a: Tensor, g: Tensor) -> Tensor:
    """Weigh channels by their slopes where they are active; behind mean pooling this is GradCAM."""
    return (g * a).sum((2, 3), keepdim=True) / (a.sum((2, 3), keepdim=True) + 1e-7) * a


def layercam(a: Tensor, g: Tensor) -> Tensor:
    """Weigh each activation by its own positive slope."""
    return g.clamp(min=0) * a


def layers(model: nn.Module, size: Sequence[int] = (224, 224)) -> tuple[str, str]:
    """Return the taps of low and of high maps: the last stage's output, and the stage of an eighth of the image.

    The low map of a VGG lies behind its last pooling, as in the paper, where images of `size` leave it 4 positions a
    side; a world image would leave it 2.
    """
    if type(model).__name__ != "VGG":
        return "block5", "block3"
    pools = [path for path, module in model.named_modules() if isinstance(module, nn.MaxPool2d)]
    return pools[-1] if min(size) >= 4 * 32 else "block5", "block4"


@contextmanager
def grids(model: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Keep what flows through taps as (n, c, h, w) in a forward pass that is noted from the first of them on."""
    kept, handles = {}, []

    def keep(value: Tensor, spot) -> Tensor:
        if value.ndim != 4:
            raise ValueError(f"{spot.name} of {type(model).__name__} gives no grid of positions but "
                             f"{tuple(value.shape)}; class activation maps need a convolutional layer")  # fmt: skip
        noted = value if value.requires_grad else value.detach().requires_grad_(True)
        rows = noted.shape[1:3] if spot.channels_last else noted.shape[2:]
        kept[spot.name] = to_positions(noted, spot).unflatten(2, tuple(rows))
        return from_positions(kept[spot.name].flatten(2), value.shape, spot).clone()

    try:
        for spot in locate(model, names):
            handles.append(attach(spot, keep))
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def from_slopes(model: nn.Module, x: Tensor, target: Tensor, wanted: Sequence[tuple[Formula, str]]) -> list[Tensor]:
    """Return class activation maps (n, h, w), one for each pair of a formula and a tap, from one pass."""
    names = list(dict.fromkeys(tap for _, tap in wanted))
    with torch.enable_grad(), grids(model, names) as kept:
        logits = model(x.detach())
        slopes = torch.autograd.grad(logits.gather(1, target[:, None]).sum(), [kept[name] for name in names])
    slope = dict(zip(names, slopes, strict=True))
    return [as_map(formula(kept[tap].detach(), slope[tap]), x) for formula, tap in wanted]


def as_map(weighted: Tensor, x: Tensor) -> Tensor:
    """Sum weighted channels (n, c, h, w), keep what speaks for the class, and bring it to the pixels and to [0, 1]."""
    return spread_over_one(resize(weighted.sum(1).clamp(min=0), x.shape[-2:]))
