"""Does a target follow the concepts that are said to make it? Interlayer concept insertion and deletion.

Concepts of the earlier layer are put in, or taken out, in the order of their shares; the target's answer is its largest
cosine over positions, and 1 with all concepts there. Only concepts that are present in the image count as steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .links import Link
from .parts import ROWS, ROWS_ELSEWHERE


@dataclass(frozen=True)
class Curves:
    """How targets answer while concepts come or go, one row for each (image, target)."""

    share: Tensor  # (steps + 1,) of the concepts present
    insertion: Tensor  # (m, steps + 1) ends at 1
    deletion: Tensor  # (m, steps + 1) begins at 1
    pairs: Tensor  # (m, 2) without those whose target doesn't answer to all concepts either

    @property
    def areas(self) -> tuple[Tensor, Tensor]:
        """Return the areas under both curves (m,): insertion is better when large, deletion when small."""
        return tuple(torch.trapezoid(curve, self.share.to(curve)) for curve in (self.insertion, self.deletion))


def strongest(link: Link, each: int = 1) -> Tensor:
    """Return the targets with the largest codes in each image, as pairs (image, target), (m, 2)."""
    total = link.weights.sum(1)
    top = total.topk(min(each, total.shape[1]), 1)
    image, place = (top.values > 0).nonzero(as_tuple=True)
    return torch.stack([image, top.indices[image, place]], 1)


@torch.no_grad()
def curves(link: Link, pairs: Tensor, shares: Tensor, *, steps: int = 20) -> Curves:
    """Put concepts in and take them out in the order of shares (m, K), for pairs (m, 2) of image and target."""
    if len(pairs) != len(shares) or shares.shape[1:] != link.atoms.shape[:1]:
        raise ValueError(f"{len(pairs)} pairs need shares ({len(pairs)}, {len(link.atoms)}), "
                         f"found {tuple(shares.shape)}")  # fmt: skip
    if steps < 1:
        raise ValueError(f"concepts come in at least one step, not {steps}")
    pairs, share = pairs.to(link.x.device), torch.linspace(0, 1, steps + 1)
    answers = torch.stack([answer(link, pair, own, share) for pair, own in zip(pairs, shares, strict=True)])
    full = answers[:, 0, -1]
    live = full > 0
    if not live.any():
        raise ValueError(f"no target at {link.layers[1]} answers to the concepts of {link.layers[0]}")
    insertion, deletion = (answers[live] / full[live, None, None]).unbind(1)
    return Curves(share, insertion, deletion, pairs[live])


def answer(link: Link, pair: Tensor, shares: Tensor, share: Tensor) -> Tensor:
    """Return a target's answers while concepts come, and while they go, in the order of shares (K,): (2, steps + 1)."""
    codes, target = link.codes[pair[0]], link.directions[pair[1], :, None]
    live = (codes != 0).any(0).nonzero()[:, 0]
    rank = shares.to(codes)[live].argsort(descending=True, stable=True).argsort()
    count = (share * len(live)).round().to(rank)[:, None]
    kept = torch.cat([rank < count, rank >= count]).to(codes)  # (2 (steps + 1), k)
    found, codes, atoms = [], codes[:, live], link.atoms[live]
    with link.between(pair[:1]) as rest:
        for some in kept.split(ROWS.get(codes.device.type, ROWS_ELSEWHERE)):
            out = rest(((codes * some[:, None]) @ atoms).mT)
            found.append(F.cosine_similarity(out, target, dim=1).amax(1))
    return torch.cat(found).unflatten(0, (2, -1))
