"""How alike two maps are: structural similarity (SSIM) and correlation (PCC). See `fig-ierf-4`."""

import torch.nn.functional as F
from torch import Tensor

from .maps import finite, scaled


def pcc(a: Tensor, b: Tensor) -> Tensor:
    """Return Pearson's correlation of maps (n, h, w) and (n, h, w), over their pixels: (n,)."""
    together(a, b)
    a, b = (m.flatten(1).double() - m.flatten(1).double().mean(1, keepdim=True) for m in (a, b))
    size = a.norm(dim=1) * b.norm(dim=1)
    if (size == 0).any():
        raise ValueError(f"pair {int((size == 0).nonzero()[0])} holds a constant map, which correlates with nothing")
    return (a * b).sum(1) / size


def ssim(a: Tensor, b: Tensor, *, window: int = 7, reach: float = 1.0) -> Tensor:
    """Return the structural similarity of maps (n, h, w) and (n, h, w), each divided by its largest size first: (n,).

    The mean over all windows that lie inside, with variances of samples and constants for values that span `reach`:
    1 for maps of sizes, 2 for maps with a sign.
    """
    together(a, b)
    if window % 2 == 0 or not 1 < window <= min(a.shape[-2:]):
        raise ValueError(f"window is {window}, maps of {tuple(a.shape[-2:])} need an odd one from 3 to their side")
    a, b = (scaled(maps).double()[:, None] for maps in (a, b))

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, window, stride=1)

    sample = window**2 / (window**2 - 1)
    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = sample * (mean(a * a) - mean_a**2), sample * (mean(b * b) - mean_b**2)
    both = sample * (mean(a * b) - mean_a * mean_b)
    c1, c2 = (0.01 * reach) ** 2, (0.03 * reach) ** 2
    likeness = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return likeness.mean((1, 2, 3))


def together(a: Tensor, b: Tensor) -> None:
    """Refuse maps that can't be compared one by one."""
    for maps in (a, b):
        finite(maps)
    if a.shape != b.shape or a.ndim != 3:
        raise ValueError(f"expected two times maps (n, h, w), found {tuple(a.shape)} and {tuple(b.shape)}")
