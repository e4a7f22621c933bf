"""The Fréchet distance of two sets of features (FID), and how small it gets between real images.

With few images the distance is far from zero even between samples of one distribution, so a number means something
only beside `floor` with the same n. See `tab-vital-1` and `tab-vital-2`.
"""

import torch
from torch import Tensor


def frechet(a: Tensor, b: Tensor) -> float:
    """Return the squared Fréchet distance of the Gaussians fitted to features (n, d) and (m, d).

    With covariances written as products of centred factors, the trace of the root of their product is the sum of the
    singular values of one small matrix: exact where there are fewer images than features, and no matrix root.
    """
    check(a, b)
    first, second = factor(a), factor(b)
    shift = (a.double().mean(0) - b.double().mean(0)).square().sum()
    overlap = torch.linalg.svdvals(first @ second.T).sum()
    return max(0.0, (shift + first.square().sum() + second.square().sum() - 2 * overlap).item())


def factor(x: Tensor) -> Tensor:
    """Return f (at most d rows, d) whose product f.T @ f is the covariance of features (n, d)."""
    centred = (x.double() - x.double().mean(0)) / (len(x) - 1) ** 0.5
    return torch.linalg.qr(centred, mode="r").R if len(x) > x.shape[1] else centred


def floor(real: Tensor, n: int, *, seed: int = 0, draws: int = 5) -> float:
    """Return the distance of n real images to the other ones, averaged over several draws of the n."""
    if not 2 <= n <= len(real) - 2:
        raise ValueError(f"n is {n}, a floor from {len(real)} real images needs 2 to {len(real) - 2}")
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(len(real), generator=generator).to(real.device) for _ in range(draws)]
    return sum(frechet(real[order[:n]], real[order[n:]]) for order in orders) / draws


def check(a: Tensor, b: Tensor) -> None:
    """Refuse features that no Gaussian can be fitted to."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise ValueError(f"expected features (n, d) and (m, d) of at least two images each, got {shapes}")
    if not (a.isfinite().all() and b.isfinite().all()):
        raise ValueError("the features hold NaN or infinite values, so there is no distance between them")
