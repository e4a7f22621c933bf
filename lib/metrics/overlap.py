"""How well maps lie over masks: the chance to be higher inside, the overlap at the mask's own area, the share inside.

Maps are (..., n, h, w) and masks (n, h, w), as in `maps`. Where a mask holds no pixel or all of them there is nothing
to tell apart, and scores are NaN, so that many masks can be tried on many images in one call.
"""

import torch
from torch import Tensor

from .maps import finite


def overlap(maps: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """Score maps against masks: {"AUC", "IoU", "share"}, each (..., n)."""
    return {"AUC": higher_inside(maps, masks), "IoU": iou(maps, masks), "share": share(maps, masks)}


def higher_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """Return the chance that a pixel inside is higher than one outside, ties counting half (AUC): (..., n)."""
    flat, inside = side_by_side(maps, masks)
    order = flat.sort(-1).values
    rank = (torch.searchsorted(order, flat) + torch.searchsorted(order, flat, right=True) + 1) / 2
    ins, outs = inside.sum(-1), (~inside).sum(-1)
    above = (rank.double() * inside).sum(-1) - ins * (ins + 1) / 2
    return above / (ins * outs)  # 0 / 0 where a mask holds none or all


def iou(maps: Tensor, masks: Tensor) -> Tensor:
    """Return the overlap of a mask with as many of the highest pixels, over their union: (..., n).

    Where pixels tie for the last places, each gets the same share of them.
    """
    flat, inside = side_by_side(maps, masks)
    area = inside.sum(-1, keepdim=True).expand(*flat.shape[:-1], 1)
    last = flat.sort(-1, descending=True).values.gather(-1, (area - 1).clamp_min(0))
    above, tied = flat > last, flat == last
    chance = (area - above.sum(-1, keepdim=True)) / tied.sum(-1, keepdim=True)
    both = (inside * (above + tied * chance.double())).sum(-1)
    return undefined(both / (2 * area[..., 0] - both), inside)


def beyond_chance(maps: Tensor, masks: Tensor) -> Tensor:
    """Return the overlap (IoU) above that of a random map, 1 for a perfect one: (..., n).

    Masks of very different sizes can be compared by it, as the IoU of large ones is high by chance.
    """
    area = masks.float().mean((1, 2)).to(maps.device)
    luck = area / (2 - area)
    return (iou(maps, masks) - luck) / (1 - luck)


def share(maps: Tensor, masks: Tensor) -> Tensor:
    """Return which share of a map's positive mass lies inside, (..., n); NaN for maps without any."""
    flat, inside = side_by_side(maps, masks)
    positive = flat.clamp_min(0).double()
    return undefined((positive * inside).sum(-1) / positive.sum(-1), inside)


def side_by_side(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Return maps and masks with their pixels in one row."""
    finite(maps)
    if masks.ndim != 3 or tuple(maps.shape[-3:]) != tuple(masks.shape):
        raise ValueError(f"masks are {tuple(masks.shape)} and maps {tuple(maps.shape)}, expected (n, h, w) and "
                         "(..., n, h, w) of one size; `maps.scaled` brings maps to the size of images")  # fmt: skip
    return maps.flatten(-2).contiguous(), masks.bool().flatten(1).to(maps.device)


def undefined(scores: Tensor, inside: Tensor) -> Tensor:
    """Put NaN where a mask (n, pixels) holds none or all."""
    return scores.masked_fill(inside.all(-1) | ~inside.any(-1), torch.nan)
