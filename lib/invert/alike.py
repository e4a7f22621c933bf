"""How alike two pictures look, as vectors whose squared distance says it; no trained network is asked.

`pixels` compares colours pixel by pixel. `looks` compares the colour of patches, and how much of which direction and
fineness there is around each place: stripes are like stripes wherever their edges fall.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..names import unknown

PLACES = 8  # patches a side: as wide as the world's stripes are apart
WAVES, DIRECTIONS = (1 / 16, 1 / 8), 4  # lengths in widths of the picture
FINE = 4  # pixels of the wave that kernels are made for
DUST = 0.01  # what varies less than this isn't blown up
BATCH = 32  # images whose waves stay in the cache

View = Callable[[Tensor], Tensor]


def colours(images: Tensor) -> Tensor:
    """Return the mean colours of patches of images (n, 3, s, s): (n, 3, 8, 8)."""
    return F.adaptive_avg_pool2d(images, PLACES)


def quadrature(wave: float, angle: float) -> Tensor:
    """Return a wave of a length in pixels under a bell, and its quarter turn, that see no even grey: (2, k, k)."""
    reach = math.ceil(wave)
    t = torch.arange(-reach, reach + 1).float()
    y, x = torch.meshgrid(t, t, indexing="ij")
    bell = torch.exp(-(x.square() + y.square()) / (2 * (0.45 * wave) ** 2))
    phase = (x * math.cos(angle) + y * math.sin(angle)) * (2 * math.pi / wave)
    even, odd = bell * phase.cos(), bell * phase.sin()
    even = even - bell * (even.sum() / bell.sum())
    both = torch.stack([even, odd])
    return both / both.flatten(1).norm(dim=1)[:, None, None]


def directions(images: Tensor) -> Tensor:
    """Return the strength of each length and direction of wave around places, (n, 8, 8, 8), whatever the phase."""
    found = []
    for wave in WAVES:
        length = wave * images.shape[-1]
        shrink = max(1, round(length / FINE))  # longer waves are looked for in smaller pictures
        parts = F.avg_pool2d(images, shrink).split(BATCH)
        found.append(torch.cat([strengths(part, length / shrink) for part in parts]))
    return torch.cat(found, 1)


def strengths(images: Tensor, wave: float) -> Tensor:
    """Return the strength of waves of one length in pixels in each direction, over all colours: (n, 4, 8, 8)."""
    n, side = len(images), images.shape[-1]
    kernels = torch.cat([quadrature(wave, math.pi * k / DIRECTIONS) for k in range(DIRECTIONS)])
    padded = F.pad(images.reshape(-1, 1, side, side), (kernels.shape[-1] // 2,) * 4, mode="replicate")
    seen = F.conv2d(padded, kernels[:, None].to(images)).view(n, 3, DIRECTIONS, 2, side, side)
    strength = seen.square().sum((1, 3)).sqrt()
    near = F.avg_pool2d(strength, 2 * round(wave / 2) + 1, 1, round(wave / 2), count_include_pad=False)
    return F.adaptive_avg_pool2d(near, PLACES)


def pixels(originals: Tensor) -> tuple[Tensor, View]:
    """Compare all pixels."""
    return originals.flatten(1), lambda images: images.flatten(1)


def looks(originals: Tensor) -> tuple[Tensor, View]:
    """Compare colours and directions, of which each varies as much as the other over originals."""
    kinds = (colours, directions)
    parts = [kind(originals).flatten(1) for kind in kinds]
    spreads = [math.sqrt(part.var(0, unbiased=False).sum().item()) for part in parts]
    if max(spreads) < DUST:
        raise ValueError("all originals look the same, so there is nothing to measure likeness by")
    spreads = [max(spread, DUST) for spread in spreads]

    def joined(found: list[Tensor]) -> Tensor:
        return torch.cat([part / spread for part, spread in zip(found, spreads, strict=True)], 1)

    return joined(parts), lambda images: joined([kind(images).flatten(1) for kind in kinds])


VIEWS = {"looks": looks, "pixels": pixels}


def view(by: str, originals: Tensor) -> tuple[Tensor, View]:
    """Return originals (n, 3, s, s) in [0, 1] as vectors (n, d), and what makes such vectors of other images."""
    if by not in VIEWS:
        raise ValueError(unknown("likeness", by, VIEWS))
    return VIEWS[by](originals)
