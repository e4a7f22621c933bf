"""Which probing images explain, which choose, which judge. Every notebook of Part II uses it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LEAST = 3  # images in a part: two always correlate perfectly


@dataclass(frozen=True, eq=False)
class Splits:
    """Rows of the probing images: weights are learned on train, concepts chosen on val, scores taken on test."""

    train: Tensor
    val: Tensor
    test: Tensor


def split(n: int, seed: int = 0, shares: tuple[float, float, float] = (0.7, 0.1, 0.2)) -> Splits:
    """Deal n images into three parts by a seed, each part in the images' own order."""
    if len(shares) != 3 or min(shares) <= 0 or not math.isclose(sum(shares), 1):
        raise ValueError(f"the shares of train, val and test are three positive numbers of sum 1, got {shares}")
    needed = math.ceil(round(LEAST / min(shares), 6))
    if n < needed:
        raise ValueError(f"a split by {shares} needs {needed} images or more, {LEAST} for each part; got {n}")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    first, second = round(n * shares[0]), round(n * (shares[0] + shares[1]))
    return Splits(*(part.sort().values for part in order.tensor_split([first, second])))
