"""CLIP-Dissect: the word that an image-text network finds in a neuron's highest images and not in others' (soft-WPMI).

The prior of a word is how well it suits the other neurons, so explaining a part of a layer gives other words than
explaining all of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .checks import finite, firing, matrices, same_images

FIRST, LAST = 0.998, 0.970  # chance that the highest image, and the last of them, belongs to the concept
AT_ONCE = 2**21  # numbers that are gathered together


def soft_wpmi(cos: Tensor, q: Tensor, *, top: int = 100, sharpness: float = 10.0, prior: float = 1.0) -> Tensor:
    """Score words for units from cosines (n, M) of images and words and from activations (n, K): (K, M).

    `top` images of each unit are looked at; `sharpness` turns an image's cosines into shares of the words, and fits
    cosines that spread over a tenth or so; `prior` is the weight of what a word means to all units.
    """
    matrices(cosines=cos, activations=q)
    n = same_images(cosines=cos, activations=q)
    finite(cosines=cos, activations=q)
    if not 0 < top <= n:
        raise ValueError(f"the {top} highest images are asked for; there are {n}")
    shares = (sharpness * cos.float()).softmax(1)
    best = q.to(cos.device).topk(top, dim=0).indices  # (top, K)
    fit = cos.new_zeros(q.shape[1], cos.shape[1], dtype=torch.float32)
    for units in torch.arange(q.shape[1], device=cos.device).split(max(1, AT_ONCE // cos.shape[1])):
        for rank in range(top):
            chance = FIRST - (FIRST - LAST) * rank / top
            fit[units] += shares[best[rank, units]].sub_(1).mul_(chance).add_(1 + 1e-7).log_()
    return fit - prior * (fit.logsumexp(0) - math.log(len(fit)))


def best_words(scores: Tensor, names: Sequence[str], *, q: Tensor | None = None) -> list[str]:
    """Name each unit's best word by scores (K, M); units that never fire in activations q (n, K) get none, ""."""
    if scores.ndim != 2 or scores.shape[1] != len(names):
        raise ValueError(f"scores for {len(names)} words are (K, {len(names)}); got {tuple(scores.shape)}")
    fires = firing(q).tolist() if q is not None else [True] * len(scores)
    if len(fires) != len(scores):
        raise ValueError(f"{len(scores)} units have scores, but {len(fires)} have activations")
    return [names[j] if alive else "" for j, alive in zip(scores.argmax(1).tolist(), fires, strict=True)]
