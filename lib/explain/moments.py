"""Second moments of concepts and activations: all that the solver needs, from one pass over the images.

Products are taken in float32 and added up in float64, of values minus a shift that is a multiple of a power of two:
sums of labels are exact, so that a parent which is the sum of its children is exactly that.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .splits import Splits

ROWS, COLUMNS = 4096, 256  # images and concepts in one product
SAMPLE = 1024  # images that tell about where a mean is
LEAST = 1e-6  # spread beside the mean: what is below it is rounding


@dataclass(frozen=True, eq=False)
class Moments:
    """Of one split, centred on the split's own means, in units of the training spreads; float64."""

    G: Tensor  # (M, M) concepts with concepts
    C: Tensor  # (M, K) concepts with units
    var: Tensor  # (K,) of the units


@dataclass(frozen=True, eq=False)
class Scale:
    """Means on the training images, and spreads there; one over the spread is 0 for what doesn't vary."""

    p_mean: Tensor  # (M,)
    p_over: Tensor  # (M,)
    q_mean: Tensor  # (K,)
    q_std: Tensor  # (K,)
    q_over: Tensor  # (K,)


def moments(p: Tensor, q: Tensor, splits: Splits) -> tuple[Moments, Moments, Scale]:
    """Return the moments of concepts (n, M) and activations (n, K) on train and val, and the training scale."""
    sample = splits.train[:: 1 + len(splits.train) // SAMPLE]
    shifts = shift(p[sample]), shift(q[sample])
    train, p_mean, q_mean = centred(p, q, splits.train, shifts)
    val, *_ = centred(p, q, splits.val, shifts)
    p_std, q_std = train.G.diagonal().clamp_min(0).sqrt(), train.var.clamp_min(0).sqrt()
    p_over, q_over = inverse(p_std, p_mean), inverse(q_std, q_mean)
    scale = Scale(p_mean, p_over, q_mean, q_std, q_over)
    return scaled(train, p_over, q_over), scaled(val, p_over, q_over), scale


def shift(sample: Tensor) -> Tensor:
    """Return about the mean of each column (n, m), as a multiple of a power of two below its spread."""
    spread = sample.std(0, correction=0).clamp(2.0**-40, 1)
    step = 2.0 ** spread.log2().floor()
    return (sample.mean(0) / step).round() * step


def centred(p: Tensor, q: Tensor, rows: Tensor, shifts: tuple[Tensor, Tensor]) -> tuple[Moments, Tensor, Tensor]:
    """Sum over some rows, some at a time; return moments in plain units and the two means."""
    wide, (m, k) = dict(dtype=torch.float64, device=p.device), (p.shape[1], q.shape[1])
    G, C, var, x_sum, y_sum = (torch.zeros(size, **wide) for size in ((m, m), (m, k), (k,), (m,), (k,)))
    for some in rows.split(ROWS):
        x, y = p[some].sub_(shifts[0]), q[some].sub_(shifts[1])
        for i in range(0, m, COLUMNS):  # G is symmetric: the blocks from the diagonal on are enough
            G[i : i + COLUMNS, i:] += x[:, i : i + COLUMNS].T @ x[:, i:]
        C += x.T @ y
        var += y.square().sum(0)
        x_sum += x.sum(0)
        y_sum += y.sum(0)
    for i in range(0, m, COLUMNS):
        block = G[i : i + COLUMNS, i:]
        G[i:, i : i + COLUMNS] = block.T.clone()
    n, x_mean, y_mean = len(rows), x_sum / len(rows), y_sum / len(rows)
    G.div_(n).addr_(x_mean, x_mean, alpha=-1)
    C.div_(n).addr_(x_mean, y_mean, alpha=-1)
    return Moments(G, C, var / n - y_mean.square()), shifts[0] + x_mean, shifts[1] + y_mean


def inverse(std: Tensor, mean: Tensor) -> Tensor:
    """Return one over a spread, 0 where a column is constant up to rounding."""
    return torch.where(std > LEAST * mean.abs(), 1 / std, 0.0)


def scaled(plain: Moments, p_over: Tensor, q_over: Tensor) -> Moments:
    """Divide moments by spreads."""
    G = plain.G.mul_(p_over).mul_(p_over[:, None])
    return Moments(G, plain.C.mul_(q_over).mul_(p_over[:, None]), plain.var * q_over.square())
