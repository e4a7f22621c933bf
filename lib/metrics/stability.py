"""Stability: how far maps move, at most, when a little noise moves the image. See `tab-ierf-1`."""

from collections.abc import Callable

import torch
from torch import Tensor

from .maps import scaled

Explain = Callable[[Tensor], Tensor]


def noises(shape: tuple[int, ...], *, samples: int = 10, std: float = 0.1, seed: int = 0) -> Tensor:
    """Draw Gaussian noise for one image (3, h, w): (samples, 3, h, w), which all images and methods share."""
    if samples < 1 or std <= 0:
        raise ValueError(f"{samples} samples of standard deviation {std:g} move nothing; expected 1 or more above 0")
    return std * torch.randn(samples, *shape, generator=torch.Generator().manual_seed(seed))


def stability(explain: Explain, x: Tensor, noise: Tensor, *, maps: Tensor | None = None) -> Tensor:
    """Return the largest distance of maps per distance of images, over samples of noise: (..., n), small is good.

    `explain` makes maps (..., n, h, w) of images like `x` (n, 3, h, w), those of several methods at once if it likes.
    Maps are brought to the images' size and to [-1, 1] first. `maps` are those of `x` itself, where they are known.
    """
    if tuple(noise.shape[1:]) != tuple(x.shape[1:]):
        raise ValueError(f"noise is {tuple(noise.shape)}, images need (samples, {', '.join(map(str, x.shape[1:]))})")
    size = tuple(x.shape[-2:])
    own = scaled(explain(x) if maps is None else maps, size)
    largest = torch.zeros(own.shape[:-2], dtype=own.dtype, device=own.device)
    for sample in noise.to(x):
        moved = scaled(explain(x + sample), size)
        if moved.shape != own.shape:
            raise ValueError(f"maps of noisy images are {tuple(moved.shape)}, those of the images {tuple(own.shape)}")
        largest = torch.maximum(largest, (moved - own).flatten(-2).norm(dim=-1) / sample.norm())
    return largest
