"""Network Dissection: the word whose pixels a neuron's highest activations cover best, by intersection over union.

Only image-unit pairs that pass the unit's threshold are enlarged to the size of the masks: a hundredth of them or so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..metrics.images import batches
from ..zoo.taps import record
from .checks import finite
from .masks import Category

if TYPE_CHECKING:
    from pandas import DataFrame

AT_ONCE = 2**22  # pixels of enlarged maps that are held together
SORTED = 2**24  # activations whose quantiles are taken together


@dataclass(frozen=True, eq=False)
class Dissection:
    """Overlap of K units with words: IoU (K, words), the words' categories, each unit's threshold and pixels."""

    words: tuple[str, ...]
    category: tuple[str, ...]
    iou: Tensor
    threshold: Tensor  # (K,)
    area: Tensor  # (K,) pixels above it

    def best(self) -> list[str]:
        """Name each unit's best word; a unit that never fires has none, ""."""
        pairs = zip(self.iou.argmax(1).tolist(), self.area.tolist(), strict=True)
        return [self.words[j] if area else "" for j, area in pairs]

    def table(self, units: Sequence[int] | None = None) -> DataFrame:
        """Make a table of each unit's best word of each category, and its IoU, the best unit first."""
        import pandas as pd

        rows, best = [], self.best()
        for k in range(len(self.iou)) if units is None else units:
            row: dict[str, object] = {"unit": k, "word": best[k], "IoU": float(self.iou[k].max())}
            for name in dict.fromkeys(self.category):
                j = max((j for j, c in enumerate(self.category) if c == name), key=lambda j: float(self.iou[k, j]))
                row[name] = f"{self.words[j]} ({float(self.iou[k, j]):.2f})"
            rows.append(row)
        return pd.DataFrame(rows).sort_values("IoU", ascending=False, ignore_index=True)


def dissect(maps: Tensor, categories: Sequence[Category], *, quantile: float = 0.005) -> Dissection:
    """Compare units' maps (n, K, h, w) with labels, where each unit is in its own highest `quantile` of positions.

    The union leaves out images in which the unit's area meets no label of the word's category, since those may well
    show the word without saying so. Words of several categories need names of their own.
    """
    refuse(maps, categories, quantile)
    limit = thresholds(maps, quantile)
    size = next((c.labels.shape[1:] for c in categories if c.labels.ndim == 3), maps.shape[2:])
    starts = [0, *accumulate(len(c.words) + 1 for c in categories)]
    met = torch.zeros(maps.shape[1], starts[-1], dtype=torch.double, device=maps.device)
    known = torch.zeros(maps.shape[1], len(categories), dtype=torch.double, device=maps.device)
    area = torch.zeros(maps.shape[1], dtype=torch.double, device=maps.device)
    for image, unit, lit in enlarged(maps, limit, size):
        pixels = lit.flatten(1).sum(1).double()
        area.index_add_(0, unit, pixels)
        spots = lit.nonzero(as_tuple=True)
        for c, category in enumerate(categories):
            counts, named = overlap(category, image, spots, pixels)
            met[:, starts[c] : starts[c + 1]].index_add_(0, unit, counts)
            known[:, c].index_add_(0, unit, pixels * named)
    iou = [ratio(category, met[:, start + 1 : start + 1 + len(category.words)], known[:, c], size)
           for c, (category, start) in enumerate(zip(categories, starts, strict=False))]  # fmt: skip
    words = tuple(word for c in categories for word in c.words)
    return Dissection(words, tuple(c.name for c in categories for _ in c.words), torch.cat(iou, 1), limit, area.long())


def refuse(maps: Tensor, categories: Sequence[Category], quantile: float) -> None:
    """Refuse maps without positions or numbers, labels of other images or sizes, and shares that are none."""
    if maps.ndim != 4 or not maps.numel():
        raise ValueError(f"Network Dissection needs maps (n, K, h, w); got {tuple(maps.shape)}")
    finite(maps=maps)
    words = [word for c in categories for word in c.words]
    if not words:
        raise ValueError("Network Dissection needs a category of words to choose from; got none")
    if len(set(words)) < len(words):
        again = next(word for word in words if words.count(word) > 1)
        raise ValueError(f"every word needs a name of its own, found {again!r} {words.count(again)} times")
    sizes = {tuple(c.labels.shape[1:]) for c in categories if c.labels.ndim == 3}
    if len(sizes) > 1 or any(len(c.labels) != len(maps) for c in categories):
        found = ", ".join(f"{c.name} {tuple(c.labels.shape)}" for c in categories)
        raise ValueError(f"labels of {len(maps)} images, all of one size, are needed; got {found}")
    if not 0 < quantile < 1:
        raise ValueError(f"quantile is a share between 0 and 1, got {quantile}")


def thresholds(maps: Tensor, quantile: float) -> Tensor:
    """Find what a share `quantile` of each unit's positions exceeds, at least its highest ones: (K,)."""
    n, units, *size = maps.shape
    found = []
    for part in maps.split(max(1, SORTED // (n * size[0] * size[1])), 1):
        values = part.transpose(0, 1).flatten(1).float()
        above = int(quantile * values.shape[1] + 1e-6)
        limit = values.kthvalue(values.shape[1] - above, 1).values
        low, high = values.aminmax(dim=1)
        # many equal highest values would leave nothing above them; a unit that never changes is above nowhere
        below = torch.nextafter(high, torch.full_like(high, -torch.inf))
        found.append(torch.where(low < high, limit.minimum(below), high))
    return torch.cat(found)


def enlarged(maps: Tensor, limit: Tensor, size: tuple[int, ...]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Go through pairs that pass their unit's threshold: images, units (pairs,), and where they do (pairs, h, w)."""
    image, unit = torch.cat([part.flatten(2).amax(2) > limit for part in maps.split(256)]).nonzero(as_tuple=True)
    step = max(1, AT_ONCE // (size[0] * size[1]))
    for i, k in zip(image.split(step), unit.split(step), strict=True):
        values = F.interpolate(maps[i, k][:, None].float(), size=tuple(size), mode="bilinear", align_corners=False)
        yield i, k, values[:, 0] > limit[k, None, None]


def overlap(category: Category, image: Tensor, spots: tuple[Tensor, ...], pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Count lit pixels (pair, y, x) of each label, (pairs, 1 + words), and tell where any word is among them."""
    labels, width = category.labels.to(image.device), len(category.words) + 1
    if labels.ndim == 1:
        counts = F.one_hot(labels[image].long(), width) * pixels[:, None]
    else:
        pair, y, x = spots
        place = pair * width + labels[image[pair], y, x]
        counts = torch.bincount(place, minlength=len(image) * width).view(-1, width).double()
    return counts, counts[:, 1:].any(1)


def ratio(category: Category, met: Tensor, known: Tensor, size: tuple[int, ...]) -> Tensor:
    """Divide intersections (K, words) by unions, whose own part `known` (K,) the category can judge."""
    whole = size[0] * size[1] if category.labels.ndim == 1 else 1
    total = torch.bincount(category.labels.flatten().long(), minlength=len(category.words) + 1)[1:].to(met) * whole
    union = known[:, None] + total - met
    return torch.where(union > 0, met / union.where(union > 0, 1.0), 0.0).float()


@torch.no_grad()
def maps_of(model: nn.Module, images: Tensor, at: str = "block5", *, batch: int = 120) -> Tensor:
    """Look at images (n, 3, h, w) through a tap with a square of positions: (n, K, h, w)."""
    found = []
    with record(model, at) as kept:
        for x in batches(model, images, batch):
            model(x)
            side = round(kept[at].shape[2] ** 0.5)
            if kept[at].shape[2] == 1 or side * side != kept[at].shape[2]:
                raise ValueError(f"{at} has {kept[at].shape[2]} positions, not a square map; name a convolution's tap")
            found.append(kept[at].unflatten(2, (side, side)))
    return torch.cat(found)
