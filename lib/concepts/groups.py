"""Groups of feature vectors that lie in a few directions each: sparse subspace clustering, or k-means.

Every vector is written as a sparse sum of the others. Those that it is made of are its neighbours, and groups are what
the graph of neighbours falls into.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..names import unknown
from . import lasso
from .clusters import by_size

GAMMA = 10  # how far the lasso goes below where nothing is used
KEPT = 0.75  # share of vectors that aren't outliers
STARTS = 20  # of k-means


def grouping(vectors: Tensor, *, method: str = "lasso", most: int = 3, seed: int = 0) -> Callable[[int], Tensor]:
    """Return a function that sorts vectors (m, c) of length one into k groups, k up to `most`: labels (m,).

    Labels are 0 for the largest group and so on, and -1 for outliers, which only the lasso leaves out.
    """
    if method not in METHODS:
        raise ValueError(unknown("method", method, METHODS))
    if not 1 <= most < KEPT * len(vectors):
        raise ValueError(f"{len(vectors)} vectors can't be sorted into {most} groups")
    return METHODS[method](vectors, most, seed)


def by_lasso(vectors: Tensor, most: int, seed: int) -> Callable[[int], Tensor]:
    """Group by neighbours; the quarter that takes most of the others to describe is left out."""
    own, keep = without_outliers(vectors)
    place = embedding(affinity(own), most)

    def groups(k: int) -> Tensor:
        label = torch.full((len(vectors),), -1)
        label[keep] = sort(F.normalize(place[:, :k], dim=1), k, seed)
        return label

    return groups


def by_means(vectors: Tensor, most: int, seed: int) -> Callable[[int], Tensor]:
    """Group by distance alone, outliers too."""
    return lambda k: sort(vectors, k, seed)


def sort(points: Tensor, k: int, seed: int) -> Tensor:
    """Sort points (m, d) into k groups by k-means, the largest first: labels (m,)."""
    from sklearn.cluster import KMeans

    found = KMeans(k, n_init=STARTS, random_state=seed).fit_predict(points.double().cpu().numpy())
    return by_size(torch.from_numpy(found).long())


METHODS = {"lasso": by_lasso, "k-means": by_means}


def without_outliers(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Write vectors (m, c) by each other, drop the hardest, write the rest: codes (m', m') and rows kept (m',)."""
    before = nearness(vectors)
    codes = by_others(vectors, before, torch.arange(len(vectors)))
    length = codes.abs().sum(1)
    stays = length <= length.quantile(KEPT)
    left, own, lost = vectors[stays], codes[stays][:, stays], codes[stays][:, ~stays]
    now = nearness(left)
    # what used no outlier, and whose nearest is still there, is optimal as it stands
    again = ((lost != 0).any(1) | (now < before[stays])).nonzero()[:, 0]
    own[again] = by_others(left, now, again)
    return own, stays.nonzero()[:, 0]


def nearness(vectors: Tensor) -> Tensor:
    """Return the largest correlation of each vector (m, c) with another one, (m,)."""
    return (vectors @ vectors.T).fill_diagonal_(0).abs().amax(1)


def by_others(vectors: Tensor, near: Tensor, rows: Tensor) -> Tensor:
    """Write some rows of vectors (m, c) as sparse sums of all others: codes (rows, m).

    The price of each is its `near` (m,) over GAMMA. It is 1 for all once vectors are scaled, so one call serves all.
    """
    price = (near[rows, None] / GAMMA).clamp_min(1e-12)
    return price * lasso.codes(vectors[rows] / price, vectors, 1.0, barred=rows)


def affinity(codes: Tensor) -> Tensor:
    """Make codes (m, m) of vectors by each other into a graph: symmetric, never negative, rows of length one before."""
    size = F.normalize(codes.abs(), dim=1)
    return (size + size.T) / 2


def embedding(graph: Tensor, k: int) -> Tensor:
    """Return the k smoothest vectors on a graph (m, m), (m, k): the last ones of its normalised Laplacian."""
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import eigsh

    degree = graph.sum(1).clamp_min(1e-12).rsqrt()
    smooth = csr_array((degree[:, None] * graph * degree).double().cpu().numpy())
    start = np.random.default_rng(0).random(len(graph))
    values, vectors = eigsh(smooth, k, which="LA", v0=start)
    return torch.from_numpy(vectors[:, values.argsort()[::-1]].copy())
