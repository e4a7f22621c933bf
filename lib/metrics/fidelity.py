"""Fidelity: does a logit fall most where pixels were replaced that a map calls important?

One draw of pixel sets and one round of forward passes serve the maps of all methods: `drops` asks the network once,
`fidelity` then only sums maps over the same sets. See `tab-ierf-1` and `tab-ierf-2`.
"""

import torch
from torch import Tensor, nn

from .maps import finite, or_constant

PIXELS = 200 / 224**2  # of all pixels: the paper's 200


def pixel_sets(size: tuple[int, int], *, count: int = 100, share: float = PIXELS, seed: int = 0) -> Tensor:
    """Draw sets of pixels without replacement: (count, h * w) bool, `share` of all pixels in each."""
    total = size[0] * size[1]
    pixels = round(share * total)
    if not 1 <= pixels < total or count < 3:
        raise ValueError(f"{count} sets of {pixels} of {total} pixels tell nothing; expected 3 sets of 1 pixel or more")
    draw = torch.Generator().manual_seed(seed)
    chosen = torch.rand(count, total, generator=draw).topk(pixels, 1).indices
    return torch.zeros(count, total, dtype=torch.bool).scatter_(1, chosen, True)


@torch.no_grad()
def drops(model: nn.Module, x: Tensor, target: Tensor, sets: Tensor, *, fill: float = 0.0, batch: int = 256) -> Tensor:
    """Return how far each image's logit falls when each set of pixels is replaced by `fill`: (n, count).

    `x` (n, 3, h, w) is what the network eats, where 0 is the mean colour.
    """
    if sets.ndim != 2 or sets.shape[1] != x.shape[-2] * x.shape[-1]:
        raise ValueError(f"sets are {tuple(sets.shape)}, images of {tuple(x.shape[-2:])} need (count, h * w)")
    target, found = torch.as_tensor(target, device=x.device), []
    gone = sets.to(x.device).unflatten(1, x.shape[-2:])[:, None]  # (count, 1, h, w)
    own = torch.cat([model(part) for part in x.split(batch)]).gather(1, target[:, None])
    for image, label in zip(x, target, strict=True):
        after = [model(torch.where(part, fill, image))[:, label] for part in gone.split(batch)]
        found.append(torch.cat(after))
    return own - torch.stack(found)


def fidelity(maps: Tensor, drops: Tensor, sets: Tensor, *, constant: float | None = None) -> Tensor:
    """Correlate maps' sums over sets of pixels with the drops (n, count) of the logit there: (..., n).

    Where the logit is the same whichever set is replaced, no map can explain anything, and the score is 0.
    """
    finite(maps)
    if sets.shape != (drops.shape[1], maps.shape[-2] * maps.shape[-1]) or len(drops) != maps.shape[-3]:
        raise ValueError(f"maps {tuple(maps.shape)}, drops {tuple(drops.shape)} and sets {tuple(sets.shape)} don't "
                         "belong together; expected (..., n, h, w), (n, count) and (count, h * w)")  # fmt: skip
    sums = maps.flatten(-2).double() @ sets.to(maps.device).double().T  # (..., n, count)
    fall = drops.double()
    sums, fall = sums - sums.mean(-1, keepdim=True), fall - fall.mean(-1, keepdim=True)
    size = sums.norm(dim=-1) * fall.norm(dim=-1)
    scores = (sums * fall).sum(-1) / torch.where(size == 0, 1, size)
    return or_constant(scores.to(maps.dtype), maps, constant)
