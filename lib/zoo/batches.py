"""What a network sees of its training images: flipped, shifted, grained, recoloured, pushed along its own gradient."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .families import MEAN, STD


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
    x = x + torch.randn(x.shape, generator=draws) * grain
    return recolour(x, draws, recipe["colour"]) if recipe["colour"] else x


def recolour(x: Tensor, draws: torch.Generator, share: float) -> Tensor:
    """Turn the hue of a share of the images (n, 3, h, w) and stretch or drain their colours.

    A network that can't go by colour alone has to learn shapes.
    """
    n = len(x)
    chosen = torch.rand(n, 1, 1, generator=draws) < share
    angle = torch.rand(n, 1, 1, generator=draws) * 2 * math.pi
    strength = torch.rand(n, 1, 1, generator=draws) * 1.2
    grey, same, s = torch.full((3, 3), 1 / 3), torch.eye(3), 3**-0.5
    turn = torch.tensor([[0, -s, s], [s, 0, -s], [-s, s, 0]])  # a quarter turn about the grey axis
    matrix = grey + strength * (angle.cos() * (same - grey) + angle.sin() * turn)
    low, high = ((v - MEAN[0]) / STD[0] for v in (0, 1))
    return torch.einsum("nij,njhw->nihw", torch.where(chosen, matrix, same), x).clamp(low, high)


def pushed(x: Tensor, slope: Tensor, size: float) -> Tensor:
    """Move every pixel by `size` (of the range 0..1) the way that raises the loss."""
    return (x + size / STD[0] * slope.sign()).detach()
