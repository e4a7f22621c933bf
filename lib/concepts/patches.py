"""Where in a data set a neuron or direction answers most: the best patch of each image, the best images of all.

Patches are cut, enlarged to the network's size and scored by the mean over positions of a tap (VITAL, section 3.2.2
and appendix A.3). See `book/vital/b-1-inner-neurons`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..zoo import normalise
from ..zoo.taps import record

CHUNK = 128  # pictures that a network sees at once


@dataclass(frozen=True)
class Patches:
    """The patches that excite each of t targets most, from distinct images, the best first."""

    images: Tensor  # (t, k, 3, s, s) in [0, 1], enlarged
    source: Tensor  # (t, k) which image it was cut from
    box: Tensor  # (t, k, 4) top, left, height, width in that image
    score: Tensor  # (t, k)

    def __len__(self) -> int:
        """Count the targets."""
        return len(self.source)


def top_patches(
    model: nn.Module, images: Tensor, target: Sequence[int] | Tensor, *, at: str = "block5", k: int = 50,
    patch: int | None = None, stride: int | None = None, size: int | None = None, shortlist: int | None = None,
) -> Patches:  # fmt: skip
    """Find the k patches of images (n, 3, h, w) with the largest mean at a tap, at most one per image.

    Targets are channels of the tap (t,) or directions in it (t, c); all are served by one pass. A patch is three
    quarters of the image unless told, since things that are enlarged much more are of a size that no network has met;
    it is enlarged to `size`, the image's own unless told. With `shortlist` only that many images per target are cut
    up, those whose whole answers most at some position.
    """
    patch, stride = patch_size(images, patch, stride, share=0.75)
    target = torch.as_tensor(target)
    if len(images) < k:
        raise ValueError(f"{k} patches of distinct images are asked for; there are only {len(images)} images")
    chosen = torch.arange(len(images))
    if shortlist and shortlist < len(images):
        whole = torch.cat([answers(maps.amax(-1), target) for maps in look(model, images, at)])
        chosen = whole.topk(max(k, shortlist), 0).indices.unique().cpu()
    score, rows, cell = best(patch_answers(model, images, chosen, target, at, (patch, stride), size), k)
    source, box = chosen[rows], boxes(cell, images.shape[-1], patch, stride)
    return Patches(cut(images, source, box, size), source, box, score)


def patch_size(images: Tensor, patch: int | None, stride: int | None, *, share: float = 0.5) -> tuple[int, int]:
    """Return the side of a patch and the step to the next, unless told a share of the image and three places or so."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images are (n, 3, h, w); got {tuple(images.shape)}")
    shortest = min(images.shape[2:])
    patch = patch or max(1, round(share * shortest))
    if not 0 < patch <= shortest:
        raise ValueError(f"a patch of {patch} pixels doesn't fit into images of {shortest}")
    return patch, stride or max(1, (shortest - patch) // 2)


@torch.no_grad()
def look(model: nn.Module, images: Tensor, at: str) -> Iterator[Tensor]:
    """Show images (n, 3, h, w) to a network, a chunk at a time, and give what a tap answers: (chunk, c, positions)."""
    device = next(model.parameters()).device
    with record(model, at) as kept:
        for chunk in images.split(CHUNK):
            model(normalise(model, chunk.to(device)))
            yield kept[at]


def pooled(model: nn.Module, images: Tensor, at: str = "penultimate") -> Tensor:
    """Average what a tap answers to images over its positions: (n, c)."""
    return torch.cat([maps.mean(-1) for maps in look(model, images, at)])


def answers(features: Tensor, target: Tensor) -> Tensor:
    """Read channels (t,) or directions (t, c) out of features (n, c): (n, t)."""
    width = features.shape[1]
    target = target.to(features.device)
    if target.is_floating_point():
        if target.ndim != 2 or target.shape[1] != width:
            raise ValueError(f"directions here are (t, {width}); got {tuple(target.shape)}")
        return features @ (target / target.norm(dim=1, keepdim=True).clamp(min=1e-12)).to(features).T
    if target.ndim != 1 or not len(target):
        raise ValueError(f"channels are a list of whole numbers; got {tuple(target.shape)}")
    if target.min() < 0 or target.max() >= width:
        wrong = int(target[(target < 0) | (target >= width)][0])
        raise IndexError(f"channel {wrong} doesn't exist: this tap has channels 0 to {width - 1}")
    return features[:, target]


def crops(images: Tensor, patch: int, stride: int) -> Tensor:
    """Cut images (n, 3, h, w) into square patches, row by row: (n, per image, 3, patch, patch)."""
    windows = images.unfold(2, patch, stride).unfold(3, patch, stride)  # (n, 3, down, across, patch, patch)
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)


def enlarged(patches: Tensor, size: int) -> Tensor:
    """Enlarge patches (n, 3, h, w) to the network's size."""
    return F.interpolate(patches, size=(size, size), mode="bilinear", align_corners=False)


def patch_answers(
    model: nn.Module, images: Tensor, chosen: Tensor, target: Tensor, at: str, cutting: tuple[int, int],
    size: int | None,
) -> Iterator[Tensor]:  # fmt: skip
    """Give the answers to the patches of the chosen images, some images at a time: (some, per image, t)."""
    size = size or images.shape[-1]
    for rows in chosen.split(CHUNK):
        cells = crops(images[rows], *cutting)
        shown = enlarged(cells.flatten(0, 1), size)
        yield answers(pooled(model, shown, at), target).unflatten(0, cells.shape[:2])


def best(chunks: Iterator[Tensor], k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Keep the k best images of each target as answers (some, per image, t) stream by: score, row and cell (t, k)."""
    found, seen = None, 0
    for chunk in chunks:
        score, cell = chunk.max(1)
        row = torch.arange(seen, seen + len(chunk), device=chunk.device)[:, None].expand_as(cell)
        new = (score, row, cell)
        found = new if found is None else tuple(torch.cat(pair) for pair in zip(found, new, strict=True))
        order = found[0].topk(min(k, len(found[0])), 0).indices
        found, seen = tuple(value.gather(0, order) for value in found), seen + len(chunk)
    return tuple(value.T.cpu() for value in found)


def boxes(cell: Tensor, width: int, patch: int, stride: int) -> Tensor:
    """Return the place (..., 4) of each cell number: top, left, height, width."""
    across = (width - patch) // stride + 1
    corner = torch.stack([cell // across, cell % across], -1) * stride
    return torch.cat([corner, torch.full_like(corner, patch)], -1)


def cut(images: Tensor, source: Tensor, box: Tensor, size: int | None = None) -> Tensor:
    """Cut boxes (t, k, 4) out of their images and enlarge them: (t, k, 3, size, size)."""
    size = size or images.shape[-1]
    places = zip(source.flatten().tolist(), box.flatten(0, 1).tolist(), strict=True)
    pieces = torch.stack([images[i, :, y : y + h, x : x + w] for i, (y, x, h, w) in places])
    return enlarged(pieces, size).unflatten(0, source.shape)
