"""Class activation maps without gradients: channels weighed by what happens to a logit when they are changed."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...zoo.layout import attach, from_positions, locate
from ...zoo.taps import record, split, taps
from .cams import as_map, grids


@torch.no_grad()
def ablationcam(model: nn.Module, x: Tensor, target: Tensor, *, at: str) -> Tensor:
    """Weigh channels by the share of the logit that is lost without them (n, h, w).

    Behind mean pooling and one linear layer the loss has a closed form; elsewhere only the rest of the network runs,
    once for each channel that is active.
    """
    with grids(model, [at]) as kept, record(model, "penultimate") as pooled:
        logits = model(x)
    a = kept[at].detach()
    own = logits.gather(1, target[:, None])
    head = pooled_head(model, a, pooled["penultimate"], logits)
    lost = head[target] * a.mean((2, 3)) if head is not None else own - without_each(model, x, target, a, at)
    return as_map((lost / own)[:, :, None, None] * a, x)


def pooled_head(model: nn.Module, a: Tensor, pooled: Tensor, logits: Tensor) -> Tensor | None:
    """Return the weights (classes, c) of a linear layer that sees nothing but channels' means, if there is one."""
    head = model.get_submodule(taps(model)["logits"])
    if not isinstance(head, nn.Linear) or pooled.shape[1:] != (a.shape[1], 1) or head.out_features != logits.shape[1]:
        return None
    same = torch.allclose(pooled[:, :, 0], a.mean((2, 3)), rtol=1e-4, atol=1e-5)
    return head.weight if same and torch.allclose(head(pooled[:, :, 0]), logits, rtol=1e-4, atol=1e-4) else None


def without_each(model: nn.Module, x: Tensor, target: Tensor, a: Tensor, at: str, batch: int = 512) -> Tensor:
    """Return the logit (n, c) of each image with each channel of activations (n, c, h, w) set to zero."""
    black = torch.zeros_like(x)
    if torch.allclose(with_layer(model, black, at, a), model(x), rtol=1e-4, atol=1e-4):
        return zeroed(lambda value: with_layer(model, black[:1], at, value), target, a, batch)
    # something runs around the layer, so the rest of the network is another function for each image
    found = []
    for one, label, own in zip(x.split(1), target.split(1), a.split(1), strict=True):
        with split(model, at, "logits", like=one) as suffix:
            found.append(zeroed(lambda value, run=suffix: run(value.flatten(2))[:, :, 0], label, own, batch))
    return torch.cat(found)


def with_layer(model: nn.Module, x: Tensor, at: str, value: Tensor) -> Tensor:
    """Return the logits (m, classes) when a layer gives `value` (m, c, h, w), whatever number of images x holds."""
    (spot,) = locate(model, at)
    handle = attach(spot, lambda own, spot: from_positions(value.flatten(2), own.shape, spot).clone())
    try:
        return model(x)
    finally:
        handle.remove()


def zeroed(rest: Callable[[Tensor], Tensor], target: Tensor, a: Tensor, batch: int) -> Tensor:
    """Return the logit (n, c) that the rest of a network gives without each channel of a (n, c, h, w)."""
    label = target[:, None]
    found = rest(a).gather(1, label).repeat(1, a.shape[1])
    for part in a.abs().amax((2, 3)).nonzero().split(batch):  # without a silent channel nothing changes
        image, channel = part.T
        changed = a[image]
        changed[torch.arange(len(image), device=a.device), channel] = 0
        found[image, channel] = rest(changed).gather(1, label[image])[:, 0]
    return found


@torch.no_grad()
def scorecam(
    model: nn.Module, x: Tensor, target: Tensor, *, at: str, most: int | None = None, batch: int = 128
) -> Tensor:
    """Weigh channels by the logit of the image seen through them (n, h, w).

    A channel that is the same everywhere shows a black image: one run serves all of these. With `most` only as many
    channels as that, those that vary most over positions, are weighed, as in Faster Score-CAM.
    """
    with grids(model, [at]) as kept:
        model(x)
    a = kept[at].detach()
    return torch.cat([as_map(weigh(model, *one, most, batch), x) for one in zip(x, target, a, strict=True)])


def weigh(model: nn.Module, x: Tensor, target: Tensor, a: Tensor, most: int | None, batch: int) -> Tensor:
    """Return one image's activations (1, c, h, w) weighted by their softmaxed scores; x is (3, h, w), a (c, h, w)."""
    chosen = a.flatten(1).var(1, correction=0).topk(min(most or len(a), len(a))).indices.sort().values
    a = a[chosen]
    varies = a.amax((1, 2)) > a.amin((1, 2))
    scores = model(torch.zeros_like(x)[None])[0, target].repeat(len(a))
    seen = [model(x * part)[:, target] for part in windows(a[varies], x.shape[-2:]).split(batch)]
    scores[varies] = torch.cat(seen) if seen else scores[varies]
    return (scores.softmax(0)[:, None, None] * a)[None]


def windows(a: Tensor, size: tuple[int, int]) -> Tensor:
    """Return channels (k, h, w) as masks in [0, 1] for an image of some size: (k, 1, h, w)."""
    wide = F.interpolate(a[:, None], size=tuple(size), mode="bilinear", align_corners=True)
    low, high = wide.amin((1, 2, 3), keepdim=True), wide.amax((1, 2, 3), keepdim=True)
    return (wide - low) / (high - low + 1e-8)
