"""Which part of a drawn scene decides its class: take each part away, draw the scene again, ask the network.

Both drawings come from the same random numbers, so whatever the network answers differently is due to the part. That
gives a saliency map something to be right about: the part that decides. See `book/ierf/x-deciding-part`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import world
from ..metrics.maps import widened
from ..world.planning import Plan
from ..zoo import normalise

CHANGED = 8  # of 255: by less, a pixel counts as the same


@dataclass(frozen=True, eq=False)
class Removals:
    """Scenes drawn without one of their parts, m drawings in the order of scenes."""

    scene: Tensor  # (m,) which of the scenes
    part: Tensor  # (m,) which part is gone: 1 + index into world.PARTS
    mask: Tensor  # bool (m, s, s): where it was, with the line around it
    image: Tensor  # bytes (m, 3, s, s): the scene without it

    def __len__(self) -> int:
        """Count the drawings."""
        return len(self.scene)

    def name(self, row: int) -> str:
        """Return the name of the part that a drawing lacks."""
        return world.PARTS[int(self.part[row]) - 1]


def plain(split: str, n: int, size: int = 64) -> Tensor:
    """Return the numbers of the first n scenes (all, if fewer) that show one object in full view."""
    scenes = world.split(split, size=size)
    alone = (scenes.second < 0) & (scenes.hard < 0) & (scenes.instance != 3).flatten(1).all(1)
    return scenes.index[alone][:n]


def drawn_without(split: str, index: Tensor, *, size: int = 64, least: int = 12, inside: float = 0.8) -> tuple:
    """Draw scenes of a split without each of their parts in turn: the fields of `Removals`.

    Parts of fewer than `least` pixels are left out. So are those that take more than themselves away, such as a flame
    with its light (less than the share `inside` of the change lies on the part), or that uncover the like of themselves
    (fewer than half of their pixels change).
    """
    plan = world.split_plan(split, index)
    whole = world.draw(plan, size)
    there = torch.stack([(whole.part == p + 1).flatten(1).sum(1) >= least for p in range(len(world.PARTS))], 1)
    if not there.any():
        raise ValueError(f"none of {len(index)} scenes of {split} shows a part of {least} pixels or more")
    scene, part = there.nonzero().T
    edits = [world.edit(plan[scene[part == p]], without=world.PARTS[p]) for p in part.unique().tolist()]
    order = part.argsort(stable=True)  # edits stand part by part
    image = world.draw(Plan.cat(edits), size, maps=False).image[order.argsort()]
    part = part + 1
    own = whole.part[scene] == part[:, None, None]
    change = (image.float() - whole.image[scene].float()).abs().amax(1)
    within = (change * widened(own, max(1, round(2 * size / 64)))).sum((1, 2)) / change.sum((1, 2)).clamp(min=1e-9)
    seen = ((change > CHANGED) & own).sum((1, 2)) / own.sum((1, 2))
    fit = (within >= inside) & (seen >= 0.5)
    return scene[fit], part[fit], widened(own[fit], max(1, round(size / 64))), image[fit]


@torch.no_grad()
def logits(model: nn.Module, image: Tensor, *, device: str | torch.device = "cpu", batch: int = 256) -> Tensor:
    """Return what a network says of images in bytes (n, 3, s, s): (n, classes), on the CPU."""
    return torch.cat([model(normalise(model, part.to(device) / 255)).cpu() for part in image.split(batch)])


def margin(logits: Tensor, target: Tensor) -> Tensor:
    """Return by how much the logit of a class (n,) is above the best other: below zero, another class is named."""
    own = logits.gather(1, target[:, None])
    return own[:, 0] - logits.scatter(1, target[:, None], -torch.inf).amax(1)


def strongest(scene: Tensor, fall: Tensor) -> Tensor:
    """Return, for each scene that has a removal, the row of the one with the largest fall (m,): (scenes,)."""
    order = fall.argsort(descending=True, stable=True)
    order = order[scene[order].argsort(stable=True)]
    first = torch.ones(len(order), dtype=torch.bool)
    first[1:] = scene[order][1:] != scene[order][:-1]
    return order[first]


def by_part(maps: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """Return the share of positive relevance of maps (k, n, h, w) in masks (m, h, w) of images (m,): (k, m)."""
    positive = maps.clamp(min=0).flatten(2)
    positive = positive / positive.sum(2, keepdim=True).clamp(min=1e-30)
    return torch.stack([positive[:, i] @ each for i, each in zip(image, mask.flatten(1).to(maps), strict=True)], 1)


def on_grid(masks: Tensor, side: int) -> Tensor:
    """Return what maps of side by side positions can show of masks (n, h, w): averaged, then enlarged like a map."""
    coarse = F.adaptive_avg_pool2d(masks[:, None].float(), side)
    return F.interpolate(coarse, masks.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
