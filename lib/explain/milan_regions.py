"""Where units fire: the highest images of each, and the regions above a threshold. MILAN looks at these."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..metrics.images import batches
from ..zoo.taps import record
from .checks import finite, firing
from .dissect import thresholds

TOP, QUANTILE = 15, 0.01
SAMPLE = 2**26  # activations of a layer that thresholds are taken from; positions are sampled where there are more
PAIRS = 512  # regions that are pooled together
LEVELS = tuple(f"block{i}" for i in range(1, 6))


@dataclass(frozen=True, eq=False)
class Exemplars:
    """The highest images of K units, the best first, with the units' maps of them and their thresholds."""

    image: Tensor  # (K, top)
    maps: Tensor  # (K, top, h, w)
    threshold: Tensor  # (K,)
    fires: Tensor  # (K,) bool

    def __len__(self) -> int:
        """Count the units."""
        return len(self.image)

    def pick(self, units: Tensor) -> Exemplars:
        """Keep some units (k,)."""
        return Exemplars(self.image[units], self.maps[units], self.threshold[units], self.fires[units])

    def regions(self, pairs: Tensor, size: Sequence[int]) -> Tensor:
        """Tell where some pairs, counted unit by unit, pass the threshold: bool (pairs, h, w), never empty."""
        maps = self.maps.flatten(0, 1)[pairs, None].float()
        values = F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)[:, 0]
        limit = self.threshold[pairs // self.image.shape[1], None, None]
        return (values > limit) | (values >= values.amax((1, 2), keepdim=True))


@torch.no_grad()
def survey(
    model: nn.Module, images: Tensor, taps: Sequence[str], *, units: Sequence[int] | None = None, top: int = TOP,
    quantile: float = QUANTILE, batch: int = 120,
) -> dict[str, Exemplars]:  # fmt: skip
    """Find the exemplars of units at taps in one pass over images (n, 3, h, w)."""
    if not 0 < quantile < 1:
        raise ValueError(f"quantile is a share between 0 and 1, got {quantile}")
    if not 0 < top <= len(images):
        raise ValueError(f"the {top} highest images of each unit are asked for; there are {len(images)}")
    found: dict[str, Exemplars] = {}
    values: dict[str, list[Tensor]] = {tap: [] for tap in taps}
    first, draws = 0, torch.Generator().manual_seed(0)
    with record(model, taps) as kept:
        for x in batches(model, images, batch):
            model(x)
            for tap in taps:
                maps = chosen(square(kept[tap], tap), units, tap)
                values[tap].append(sampled(maps, len(images), draws))
                found[tap] = highest(found.get(tap), maps, first, top)
            first += len(x)
    return {tap: bounded(found[tap], torch.cat(values[tap]), quantile) for tap in taps}


def square(maps: Tensor, tap: str) -> Tensor:
    """View activations (n, c, positions) as maps (n, c, h, w), without a class token where there is one."""
    for skip in (0, 1):
        side = math.isqrt(maps.shape[2] - skip)
        if side > 1 and side * side == maps.shape[2] - skip:
            return maps[:, :, skip:].unflatten(2, (side, side))
    raise ValueError(f"{tap} has {maps.shape[2]} position{'s' * (maps.shape[2] > 1)}, not a square map, so MILAN can't "
                     "see where a unit fires; name a tap before the pooling, such as block5")  # fmt: skip


def chosen(maps: Tensor, units: Sequence[int] | None, tap: str) -> Tensor:
    """Keep some units of maps (n, c, h, w), which must be numbers."""
    if units is not None:
        for unit in (u for u in units if not 0 <= u < maps.shape[1]):
            raise IndexError(f"unit {unit} doesn't exist: {tap} has units 0 to {maps.shape[1] - 1}")
        maps = maps[:, torch.as_tensor(units, dtype=torch.long, device=maps.device)]
    finite(**{f"the activations of {tap}": maps})
    return maps


def sampled(maps: Tensor, n: int, draws: torch.Generator) -> Tensor:
    """Keep as many positions of maps (b, K, h, w), the same for all units, as fit for n images: (b, K, kept)."""
    b, units, *_ = maps.shape
    values = maps.flatten(2)
    most = max(1, SAMPLE // (n * units))
    if most >= values.shape[2]:
        return values.clone()
    places = torch.rand(b, values.shape[2], generator=draws).topk(most, 1).indices.to(maps.device)
    return values.gather(2, places[:, None].expand(-1, units, -1))


def highest(before: Exemplars | None, maps: Tensor, first: int, top: int) -> Exemplars:
    """Keep the images of highest maximum, those seen before and those of maps (b, K, h, w) numbered from `first`."""
    maps = maps.transpose(0, 1)  # (K, b, h, w)
    image = torch.arange(first, first + maps.shape[1], device=maps.device).expand(maps.shape[:2])
    if before is not None:
        maps, image = torch.cat([before.maps, maps], 1), torch.cat([before.image, image], 1)
    order = maps.amax((2, 3)).topk(min(top, maps.shape[1]), 1).indices
    rows = torch.arange(len(maps), device=maps.device)[:, None]
    return Exemplars(image[rows, order], maps[rows, order], maps.new_empty(0), maps.new_empty(0))


def bounded(exemplars: Exemplars, values: Tensor, quantile: float) -> Exemplars:
    """Set thresholds from activations (n, K, positions), and bring all to the CPU, where the captioner works."""
    low, high = values.amin((0, 2)), exemplars.maps.amax((1, 2, 3))
    fields = exemplars.image, exemplars.maps, thresholds(values[..., None], quantile), firing(torch.stack([low, high]))
    return Exemplars(*(field.cpu() for field in fields))


@torch.no_grad()
def region_features(network: nn.Module, images: Tensor, layers: Sequence[Exemplars]) -> list[Tensor]:
    """Average all blocks of a network over exemplars' regions, for each layer (K, top, channels of all blocks)."""
    flat = [exemplars.image.flatten() for exemplars in layers]
    found: list[list[Tensor]] = [[] for _ in layers]
    where: list[list[Tensor]] = [[] for _ in layers]
    with record(network, LEVELS) as kept:
        for rows in torch.cat(flat).unique().split(120):
            (x,) = batches(network, images[rows.to(images.device)], len(rows))
            network(x)
            for i, exemplars in enumerate(layers):
                for pairs in torch.isin(flat[i], rows).nonzero()[:, 0].split(PAIRS):
                    lit = exemplars.regions(pairs, images.shape[2:])
                    at = torch.searchsorted(rows, flat[i][pairs])
                    found[i].append(torch.cat([pooled(kept[tap], at, lit) for tap in LEVELS], 1))
                    where[i].append(pairs)
    ordered = (torch.cat(parts)[torch.cat(pairs).argsort()] for parts, pairs in zip(found, where, strict=True))
    return [part.unflatten(0, e.image.shape) for part, e in zip(ordered, layers, strict=True)]


def pooled(features: Tensor, rows: Tensor, lit: Tensor) -> Tensor:
    """Average features (n, c, positions) of rows (pairs,) over regions (pairs, h, w): (pairs, c)."""
    side = math.isqrt(features.shape[2])
    share = F.adaptive_avg_pool2d(lit[:, None].to(features), side).flatten(1)
    return torch.einsum("pcq,pq->pc", features[rows], share / share.sum(1, keepdim=True))
