"""Some images of a link with the targets asked of each: what an attributor works on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...zoo.suffix import Suffix
from .links import Link

ROWS = {"cpu": 128}  # activations that go through the network between two layers at once
ROWS_ELSEWHERE = 4096


@dataclass(frozen=True)
class Part:
    """B images, the same number J of targets for each: those beyond an image's own have weight 0."""

    network: str
    rest: Suffix
    codes: Tensor  # (B, positions, k) of concepts that are present in these images
    atoms: Tensor  # (k, c)
    directions: Tensor  # (B, J, channels)
    weights: Tensor  # (B, J, positions there)
    cosine: bool
    crowding: int  # of steps near to no activation at all, 1 for even ones

    @property
    def activations(self) -> Tensor:
        """Return what the codes make up (B, c, positions)."""
        return (self.codes @ self.atoms).mT

    def contract(self, slope: Tensor) -> Tensor:
        """Turn slopes at activations (B, c, positions) into shares of concepts (B, k): slope times coefficient."""
        return ((slope.mT @ self.atoms.T) * self.codes).sum(1)

    def score(self, out: Tensor, j: int) -> tuple[Tensor, Tensor]:
        """Return the scores of target j at activations out (B, rows, channels, positions there) and their slopes.

        A position where nothing is active has no angle: it scores 0 and has no slope.
        """
        along, weight = self.directions[:, None, j, :, None], self.weights[:, None, j, None]
        if not self.cosine:
            return (out * along * weight).sum((2, 3)), (along * weight).expand_as(out)
        length = out.norm(dim=2, keepdim=True)
        over = torch.where(length > 0, 1 / length, 0.0)
        unit = out * over
        cosine = (unit * along).sum(2, keepdim=True)
        return (cosine * weight).sum((2, 3)), (along - cosine * unit) * (over * weight)

    @torch.no_grad()
    def change(self) -> Tensor:
        """Return each target's score with all concepts less that with none (B, J)."""
        ends = self.activations[:, None] * torch.tensor([1.0, 0.0]).to(self.codes)[:, None, None]
        out = self.rest(ends.flatten(0, 1)).unflatten(0, (-1, 2))
        scores = [self.score(out, j)[0] for j in range(self.weights.shape[1])]
        return torch.stack([score[:, 0] - score[:, 1] for score in scores], 1)


def parts(link: Link, pairs: Tensor, rows: int) -> Iterator[tuple[Part, Tensor, Tensor]]:
    """Go through (image, target) pairs (m, 2), `rows` activations for each image.

    Each part comes with the numbers of its concepts (k,) and with where each pair's result is, (its pairs, 3): the
    pair's number, the image's place, the target's place.
    """
    room = max(1, ROWS.get(link.x.device.type, ROWS_ELSEWHERE) // rows) if link.alone else 1
    images, count = pairs[:, 0].unique(return_counts=True)
    for chunk in images[count.argsort()].split(room):  # images with as many targets together
        number = torch.isin(pairs[:, 0], chunk).nonzero()[:, 0]
        place = (pairs[number, 0, None] == chunk).int().argmax(1)
        same = place[:, None] == place
        slot = (same & torch.ones_like(same).tril(-1)).sum(1)
        live = (link.codes[chunk] != 0).any(0).any(0).nonzero()[:, 0]
        target = slot.new_zeros(len(chunk), int(slot.max()) + 1)
        asked = torch.zeros_like(target, dtype=torch.bool)
        target[place, slot], asked[place, slot] = pairs[number, 1], True
        weights = link.weights[chunk].mT.gather(1, target[:, :, None].expand(-1, -1, link.weights.shape[1]))
        with link.between(chunk) as rest:
            part = Part(type(link.model).__name__, rest, link.codes[chunk][..., live], link.atoms[live],
                        link.directions[target], weights * asked[:, :, None], link.cosine, link.crowding)  # fmt: skip
            yield part, live, torch.stack([number, place, slot], 1)
