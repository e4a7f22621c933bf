"""Where the object of a picture is, without a mask: the centre of what a network's answer rests on.

Layers near the front of a network of convolutions and ReLUs, by LRP, say it best: `agreement` with the true masks of
originals tells how far to trust it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .. import zoo
from ..relevance import relevance_and_activations
from .encoder import as_map

BATCH = 120


def heat(model: nn.Module, images: Tensor, target: Tensor | None = None, *, tap: str = "block2",
         relevance: str = "LRP") -> Tensor:  # fmt: skip
    """Return what speaks for an output (n,) in images (n, 3, s, s) in [0, 1], (n, h, w); for the first answer unless
    told."""
    found, device = [], next(model.parameters()).device
    for rows in torch.arange(len(images)).split(BATCH):
        x = zoo.normalise(model, images[rows].to(device))
        with torch.no_grad():
            wanted = model(x).argmax(1) if target is None else target[rows].to(device)
        shares, _ = relevance_and_activations(model, x, wanted, [tap], relevance=relevance)
        maps = as_map(shares[tap].detach(), x.shape[2:], tap, getattr(model, "num_prefix_tokens", 1))
        found.append(maps.sum(1).clamp_min(0).cpu())
    return torch.cat(found)


def centre(maps: Tensor) -> Tensor:
    """Return the centre of mass (n, 2) of maps (n, h, w), x and y in [-1, 1]; the middle where a map is zero."""
    n, h, w = maps.shape
    across, down = ((torch.arange(k, device=maps.device) + 0.5) / k * 2 - 1 for k in (w, h))
    maps = maps.to(across.dtype)
    total = maps.sum((1, 2))
    sums = torch.stack([maps.sum(1) @ across, maps.sum(2) @ down], 1)
    return sums / torch.where(total > 0, total, 1.0)[:, None]


def moved(model: nn.Module, images: Tensor, pictures: Tensor, target: Tensor | None = None, **options) -> Tensor:
    """Return how far the object of pictures is from where it is in their originals, (n,), in half widths.

    Both are asked for the same output (n,): the original's first answer unless told. Options are those of `heat`.
    """
    if target is None:
        device = next(model.parameters()).device
        with torch.no_grad():
            parts = [model(zoo.normalise(model, part.to(device))).argmax(1).cpu() for part in images.split(BATCH)]
        target = torch.cat(parts)
    first, second = (centre(heat(model, each, target, **options)) for each in (images, pictures))
    return (first - second).norm(dim=1)


def agreement(found: Tensor, masks: Tensor) -> tuple[float, float]:
    """Return the correlations of centres (n, 2) with those of true masks (n, h, w), across and down."""
    true = centre(masks.float())
    return tuple(torch.corrcoef(torch.stack([found[:, k], true[:, k]]))[0, 1].item() for k in (0, 1))
