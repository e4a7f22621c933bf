"""How good saliency maps are, by the masks of what they should point at and by their own shape.

Maps are (..., n, h, w), at the size of the images, so that all methods' maps are scored in one call; masks are
(n, h, w) and scores (..., n), one per image whatever else is in the batch. `scaled` brings maps to images' size and
values to [-1, 1]. A constant map has no maximum and no share: it is refused, or scored by `constant` where that is
given. Fidelity and stability, which ask the network, are in `fidelity` and `stability`. See `tab-ierf-1`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

TOLERANCE = 15 / 224  # of the width: the paper's 15 pixels


def scaled(maps: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Divide each map (..., h, w) by its largest size; bring it to `size` first, bilinearly, where that is given."""
    finite(maps)
    if size is not None and tuple(size) != tuple(maps.shape[-2:]):
        flat = maps.reshape(-1, 1, *maps.shape[-2:])
        wide = F.interpolate(flat, size=tuple(size), mode="bilinear", align_corners=False)
        maps = wide.reshape(*maps.shape[:-2], *size)
    largest = maps.abs().amax((-2, -1), keepdim=True)
    return maps / torch.where(largest == 0, 1, largest)


def is_constant(maps: Tensor) -> Tensor:
    """Tell which maps (..., h, w) hold one value only: (...) bool."""
    return maps.amax((-2, -1)) == maps.amin((-2, -1))


def pointing(maps: Tensor, masks: Tensor, *, tolerance: float = TOLERANCE, constant: float | None = None) -> Tensor:
    """Tell whether the largest value lies in the mask, or within a tolerance of it: 1 or 0 per map (..., n).

    The tolerance is a share of the width. Where several places tie for the largest, one of them inside is a hit.
    """
    flat, inside = with_masks(maps, widened(masks, round(tolerance * masks.shape[-1])))
    top = flat == flat.amax(-1, keepdim=True)
    return or_constant((top & inside).any(-1).to(flat.dtype), maps, constant)


def localisation(maps: Tensor, masks: Tensor, *, constant: float | None = None) -> Tensor:
    """Return the share of positive relevance that lies in the mask (..., n); 0 where none is positive."""
    flat, inside = with_masks(maps, masks)
    positive = flat.clamp(min=0)
    total = positive.sum(-1)
    share = (positive * inside).sum(-1) / torch.where(total == 0, 1, total)
    return or_constant(share, maps, constant)


def sparseness(maps: Tensor, *, constant: float | None = None) -> Tensor:
    """Return the Gini index of values' sizes (..., n): 0 if all are equal, near 1 if few pixels hold all."""
    finite(maps)
    v = maps.flatten(-2).abs().double().sort(-1).values
    d = v.shape[-1]
    rank = torch.arange(1, d + 1, device=v.device, dtype=v.dtype)
    total = v.sum(-1)
    gini = 1 - 2 * (v * (d - rank + 0.5) / d).sum(-1) / torch.where(total == 0, 1, total)
    return or_constant(gini.to(maps.dtype), maps, constant)


def widened(masks: Tensor, pixels: int) -> Tensor:
    """Grow masks (n, h, w) by some pixels in all directions."""
    if not pixels:
        return masks.bool()
    wide = F.max_pool2d(masks[:, None].float(), 2 * pixels + 1, stride=1, padding=pixels)
    return wide[:, 0] > 0


def with_masks(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Check that maps and masks belong together; return both with their pixels in one row."""
    finite(maps)
    if masks.ndim != 3 or tuple(maps.shape[-3:]) != tuple(masks.shape):
        raise ValueError(f"masks are {tuple(masks.shape)} and maps {tuple(maps.shape)}, expected (n, h, w) and "
                         "(..., n, h, w) of one size; `scaled` brings maps to the size of images")  # fmt: skip
    empty = (~masks.bool().flatten(1).any(1)).nonzero()[:, 0].tolist()
    if empty:
        raise ValueError(f"the mask of image {empty[0]} is empty, so nothing can lie in it; leave such images out")
    return maps.flatten(-2), masks.bool().flatten(1).to(maps.device)


def or_constant(scores: Tensor, maps: Tensor, constant: float | None) -> Tensor:
    """Give constant maps the score that was named for them, or refuse them."""
    same = is_constant(maps)
    if constant is None and same.any():
        first = same.nonzero()[0].tolist()
        raise ValueError(f"map {first[0] if len(first) == 1 else tuple(first)} is constant and tells no pixel from "
                         "another; leave it out, or say with constant=... what such maps score")  # fmt: skip
    return scores if constant is None else torch.where(same, constant, scores)


def finite(maps: Tensor) -> None:
    """Refuse maps that hold no numbers."""
    if maps.ndim < 3 or not maps.numel():
        raise ValueError(f"expected maps (..., n, h, w) with n at least 1, found {tuple(maps.shape)}")
    if not maps.isfinite().all():
        raise ValueError("the maps hold NaN or infinite values, so nothing can be said of them")
