"""Turn cosines into chances: P = sigmoid(a cos + ab), two numbers for each image-text network (paper, eq. 5).

The loss is convex in (a, ab) and needs nothing but two histograms of the cosines, so Newton takes milliseconds.
"""

import torch
from torch import Tensor

BINS = 4096
STEPS = 60


def calibrate(cos: Tensor, truth: Tensor, rows: Tensor, *, most: float = 0.3) -> tuple[float, float]:
    """Fit (a, ab) to cosines (n, M) and what is true (n, M) bool on some rows: logistic regression.

    Concepts that more than a share `most` of the rows have are left out, as nobody would say `a thing` of an image.
    """
    if cos.shape != truth.shape:
        raise ValueError(f"cosines {tuple(cos.shape)} need as many truths, got {tuple(truth.shape)}")
    cos, truth = cos[rows], truth[rows].bool()
    if not cos.sum().isfinite():
        raise ValueError("the cosines hold NaN or infinite values, so they can't become chances")
    told = truth.float().mean(0) <= most
    if not truth[:, told].any():
        raise ValueError(f"calibration needs a concept that some images have, and at most {most:.0%} of them; "
                         f"none of {truth.shape[1]} is so")  # fmt: skip
    a, ab = newton(*histogram(cos[:, told], truth[:, told]))
    if a <= 0:
        raise ValueError(f"the cosines don't rise with the truth (a = {a:.3g}), so they can't become chances")
    return a, ab


def histogram(cos: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Count false and true cosines in each bin and take the bin's mean: three tensors (bins,)."""
    low, high = cos.min(), cos.max()
    place = ((cos - low) / (high - low).clamp_min(1e-12) * (BINS - 1)).long().flatten()
    kind = place + BINS * truth.flatten()
    no, yes = torch.bincount(kind, minlength=2 * BINS).double().cpu().view(2, BINS)
    total = torch.zeros(BINS, dtype=torch.float64).index_add_(0, place.cpu(), cos.flatten().double().cpu())
    there = no + yes > 0
    return (total / (no + yes))[there], no[there], yes[there]


def newton(x: Tensor, no: Tensor, yes: Tensor) -> tuple[float, float]:
    """Minimise the cross-entropy of sigmoid(a x + ab) over counted values x (bins,).

    The targets are Platt's, a hair from 0 and 1, so that values which a threshold parts perfectly have a finite answer.
    """
    centre, spread = x.mean(), x.std(correction=0).clamp_min(1e-12)
    design = torch.stack([(x - centre) / spread, torch.ones_like(x)])  # (2, bins)
    count = no + yes
    wanted = (yes * (yes.sum() + 1) / (yes.sum() + 2) + no / (no.sum() + 2)) / count

    def loss(at: Tensor) -> Tensor:
        z = at @ design
        return (count * (torch.nn.functional.softplus(z) - wanted * z)).sum()

    at = torch.zeros(2, dtype=x.dtype)
    for _ in range(STEPS):
        p = (at @ design).sigmoid()
        slope = design @ (count * (p - wanted))
        bend = (design * (count * p * (1 - p))) @ design.T
        step = torch.linalg.lstsq(bend, slope, driver="gelsd").solution
        size = 1.0
        while loss(at - size * step) > loss(at) and size > 1e-6:
            size /= 2
        at = at - size * step
        if step.abs().max() < 1e-9 * (1 + at.abs().max()):
            break
    a = at[0] / spread
    return float(a), float(at[1] - a * centre)
