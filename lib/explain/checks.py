"""What the scores and baselines ask of their input, one sentence for each thing that can be wrong with it."""

from __future__ import annotations

import torch
from torch import Tensor


def finite(**tensors: Tensor) -> None:
    """Refuse NaN and infinity; a tensor (n, K) is answered with the first unit that has them."""
    for what, value in tensors.items():
        # one sum instead of a mask of the same size: it is finite only if nothing is NaN or infinite
        if not value.is_floating_point() or value.sum().isfinite() or value.isfinite().all():
            continue
        where = (~value.isfinite()).nonzero()[0].tolist()
        unit = f", unit {where[1]}" if value.ndim > 1 else ""
        raise ValueError(f"{what} has a value that is no number (NaN or infinite): row {where[0]}{unit}")


def same_images(**tensors: Tensor) -> int:
    """Refuse tensors that stand for different numbers of images, or for none; return how many it is."""
    sizes = {what: len(value) for what, value in tensors.items()}
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{what} {n}" for what, n in sizes.items())
        raise ValueError(f"all tensors have one row for each image, found {found}")
    (n,) = set(sizes.values())
    if not n:
        raise ValueError(f"there isn't a single image in {' and '.join(sizes)}")
    return n


def matrices(**tensors: Tensor) -> None:
    """Refuse activations that aren't one number for each image and unit."""
    for what, value in tensors.items():
        if value.ndim != 2 or not value.shape[1]:
            raise ValueError(f"{what} is (n, K), one number for each image and unit; got {tuple(value.shape)}")


def labels_fit(labels: Tensor, classes: int) -> None:
    """Refuse labels that a classifier of so many classes doesn't have."""
    if labels.ndim != 1 or labels.is_floating_point():
        raise ValueError(f"labels are (n,) whole numbers; got {tuple(labels.shape)} of {labels.dtype}")
    if labels.min() < 0 or labels.max() >= classes:
        wrong = int(labels[(labels < 0) | (labels >= classes)][0])
        raise ValueError(f"label {wrong} doesn't exist: the classifier has classes 0 to {classes - 1}")


def firing(q: Tensor) -> Tensor:
    """Tell which units (K,) ever change: what doesn't differ between images can't be explained by them."""
    low, high = q.aminmax(dim=0)
    return high - low > 1e-6 * torch.maximum(low.abs(), high.abs())
