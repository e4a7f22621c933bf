"""How far a number could have come out otherwise."""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

MOST = 2**22  # values that are drawn at a time


def standard_error(share: float, n: int) -> float:
    """Return the standard error of a share that was counted in n cases."""
    if not 0 <= share <= 1 or n < 1:
        raise ValueError(f"a share lies between 0 and 1 and is counted in 1 case or more, got {share} in {n}")
    return math.sqrt(share * (1 - share) / n)


def wilson(share: float, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's confidence interval of a share counted in n cases; it has a width at 0 and 1, too."""
    standard_error(share, n)  # refuses what isn't a share
    z = NormalDist().inv_cdf((1 + level) / 2)
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def bootstrap(
    values: np.ndarray,
    statistic: Callable[..., np.ndarray] = np.nanmean,
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the confidence interval of a statistic (with an `axis`) by drawing rows of values (n, ...) anew.

    A row is whatever is independent: an image, or all answers of one person (NaN where there is none).
    """
    values = np.asarray(values, dtype=float)
    if values.ndim == 0 or not len(values) or np.isnan(values).all():
        return math.nan, math.nan
    rows = np.random.default_rng(seed).integers(len(values), size=(draws, len(values)))
    found = []
    for some in np.array_split(rows, max(1, draws * values.size // MOST)):
        drawn = values[some].reshape(len(some), -1)
        found.append(statistic(drawn[~np.isnan(drawn).all(1)], axis=1))
    low, high = np.quantile(np.concatenate(found), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
