"""Do features still hold colour? A linear probe from cells to the mean colour of the patch beneath each.

Where the probe finds a colour that pictures lack, the drawing lost it; where it finds none, the network did. A model
that draws from the true posterior gives a picture of whose colours the *correlation* with the original's is the share
of variance that features explain, so that `kept` of pictures and the probe's score are on one scale. (The probe is
linear and looks at one cell: what a drawing knows from beyond either may lie above it.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# luminance, and two opponents that are zero on greys; rows of unit length
OPPONENTS = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [0.5, 0.5, -1.0]])
OPPONENTS = OPPONENTS / OPPONENTS.norm(dim=1, keepdim=True)
STRENGTHS = tuple(10.0**k for k in range(-4, 3))  # of the ridge, per vector


@dataclass(frozen=True, eq=False)
class Probe:
    """The probe's score on images that it didn't learn from (`rows`): variance explained, of two parts of colour."""

    luminance: float
    chroma: float
    rows: Tensor
    strength: float


def cells(images: Tensor, grid: tuple[int, int]) -> Tensor:
    """Average images (n, 3, h, w) over the patches of a grid: luminance and two opponent colours, (n, 3, *grid)."""
    return torch.einsum("kc,nchw->nkhw", OPPONENTS.to(images), F.adaptive_avg_pool2d(images, grid))


def flat(maps: Tensor) -> Tensor:
    """Put the cells of maps (n, c, h, w) in one row, (n h w, c), in double precision."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2).double()


@torch.no_grad()
def probe(maps: Tensor, images: Tensor, *, seed: int = 0) -> Probe:
    """Learn colours of patches from feature maps (n, c, h, w) of images (n, 3, s, s): half of them to learn from,
    a quarter to choose the ridge by, a quarter to score."""
    n = len(maps)
    if len(images) != n or n < 8:
        raise ValueError(f"a probe takes 8 images or more and their maps, found {len(images)} and {n} maps")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    parts = order.tensor_split((n // 2, 3 * n // 4))
    colours = cells(images, tuple(maps.shape[2:]))
    learnt, chosen, scored = ((flat(maps[rows]), flat(colours[rows])) for rows in parts)
    answers = ridges(*learnt, (chosen[0], scored[0]))
    errors = {strength: (found[0] - chosen[1]).square().sum().item() for strength, found in answers.items()}
    strength = min(errors, key=errors.get)
    return Probe(*explained(answers[strength][1], scored[1]), parts[2], strength)


def ridges(x: Tensor, y: Tensor, others: tuple[Tensor, ...]) -> dict[float, list[Tensor]]:
    """Fit y (n, k) to x (n, c) with every strength of the ridge, from one eigendecomposition; predict for others."""
    mean, middle = x.mean(0), y.mean(0)
    spread = x.std(0)
    scale = torch.where(spread > 0, spread, 1.0)
    z = (x - mean) / scale
    values, vectors = torch.linalg.eigh(z.T @ z / len(z))
    along = vectors.T @ (z.T @ (y - middle)) / len(z)
    bases = [((other - mean) / scale) @ vectors for other in others]
    return {s: [base @ (along / (values + s)[:, None]) + middle for base in bases] for s in STRENGTHS}


def explained(found: Tensor, true: Tensor) -> tuple[float, float]:
    """Return the share of variance explained of luminance and of chroma, by guesses (m, 3) of colours (m, 3)."""
    left, total = (found - true).square().sum(0), (true - true.mean(0)).square().sum(0)
    return 1 - (left[0] / total[0]).item(), 1 - (left[1:].sum() / total[1:].sum()).item()


def kept(images: Tensor, pictures: Tensor, grid: tuple[int, int]) -> tuple[float, float]:
    """Return how far patches of pictures (n, 3, s, s) have their originals' colours: correlations of luminance and of
    chroma, to be set beside a probe's score."""
    true, found = (flat(cells(each, grid)) for each in (images, pictures))
    true, found = true - true.mean(0), found - found.mean(0)
    both, sizes = (true * found).sum(0), [each.square().sum(0) for each in (true, found)]

    def correlation(part: slice) -> float:
        size = (sizes[0][part].sum() * sizes[1][part].sum()).sqrt()
        return (both[part].sum() / size).item() if size > 0 else 0.0

    return correlation(slice(0, 1)), correlation(slice(1, 3))
