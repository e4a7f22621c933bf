"""What a network sees of its training images: flipped, shifted, grained, and now and then adversarial."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .families import MEAN, STD
from .losses import Loss


def augment(images: Tensor, draws: torch.Generator, recipe: dict) -> Tensor:
    """Flip, shift and grain bytes (n, 3, h, w); return normalised pixels."""
    n, s, height, width = len(images), recipe["shift"], *images.shape[2:]
    x = (images.float() / 255 - MEAN[0]) / STD[0]
    if recipe["flip"]:
        turned = torch.rand(n, 1, 1, 1, generator=draws) < 0.5
        x = torch.where(turned, x.flip(-1), x)
    x = F.pad(x, (s, s, s, s), mode="reflect")
    corners = torch.randint(0, 2 * s + 1, (n, 2), generator=draws).tolist()
    x = torch.stack([one[:, y : y + height, z : z + width] for one, (y, z) in zip(x, corners, strict=True)])
    # The clamp leaves half of the images without grain.
    grain = (torch.rand(n, 1, 1, 1, generator=draws) * 2 - 1).clamp(min=0) * recipe["noise"] / STD[0]
    return x + torch.randn(x.shape, generator=draws) * grain


def attack(model: nn.Module, images: Tensor, rows: Tensor, loss: Loss, size: float) -> Tensor:
    """Push every pixel by `size` (of the range 0..1) the way that raises the loss (FGSM)."""
    images = images.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(loss(model, images, rows), images)
    return (images + size / STD[0] * slope.sign()).detach()
