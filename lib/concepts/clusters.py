"""What a channel that answers to several things answers to: its patches, sorted by k-means.

Also the modes of a class, from all its images. See `book/vital/b-1-inner-neurons`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

TRIED = range(2, 7)  # numbers of clusters


@dataclass(frozen=True)
class Clusters:
    """Groups of like pictures, the largest first."""

    label: Tensor  # (n,) which group each picture is in
    centre: Tensor  # (k, d)
    nearest: Tensor  # (k, m) the pictures nearest to each centre, the nearest first
    silhouette: float  # -1 to 1: how far groups are apart, compared with how wide they are


def clusters(features: Tensor, k: int | None = None, *, nearest: int = 50, seed: int = 0) -> Clusters:
    """Group pictures by their features (n, d), into the number of groups with the best silhouette unless k is told.

    `nearest` pictures are named for each group, or as many as the smallest group has.
    """
    if features.ndim != 2 or len(features) < max(3, (k or 0) + 1):
        raise ValueError(f"{k or 'some'} clusters need features (n, d) of more pictures; got {tuple(features.shape)}")
    if k is not None and k < 2:
        raise ValueError(f"{k} clusters are no grouping: ask for 2 or more")
    points = features.double().cpu()
    counts = [k] if k else [count for count in TRIED if count < len(points)]
    silhouette, label = max((grouped(points, count, seed) for count in counts), key=lambda found: found[0])
    label = by_size(label)
    centre = torch.stack([points[label == group].mean(0) for group in range(int(label.max()) + 1)])
    found = closest(points, label, centre, nearest)
    return Clusters(label, centre.to(features), found, silhouette)


def grouped(points: Tensor, k: int, seed: int) -> tuple[float, Tensor]:
    """Group points (n, d) by k-means: the silhouette and each point's label (n,)."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    label = KMeans(k, n_init=10, random_state=seed).fit_predict(points.numpy())
    if len(set(label)) < 2:
        raise ValueError(f"{len(points)} pictures with the same features can't be grouped")
    return float(silhouette_score(points.numpy(), label)), torch.from_numpy(label).long()


def by_size(label: Tensor) -> Tensor:
    """Number groups again, the largest first."""
    values, count = label.unique(return_counts=True)
    rank = torch.empty(int(values.max()) + 1, dtype=torch.long)
    rank[values[count.argsort(descending=True, stable=True)]] = torch.arange(len(values))
    return rank[label]


def closest(points: Tensor, label: Tensor, centre: Tensor, count: int) -> Tensor:
    """Return the members nearest to each centre (k, m), as many as asked for or as the smallest group has."""
    distance = torch.cdist(centre, points)
    own = label == torch.arange(len(centre))[:, None]
    smallest = int(own.sum(1).min())
    return distance.masked_fill(~own, torch.inf).argsort(1)[:, : min(count, smallest)]
