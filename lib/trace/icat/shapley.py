"""SHAP over concepts: what a concept changes, averaged over all sets of other concepts that it may join (KernelSHAP).

Sets are tried once for all targets. If there are few concepts all sets are tried, and shares are exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .parts import ROWS, ROWS_ELSEWHERE, Part

SETS = 8  # sets tried for each of `steps`; at least four for each concept


@torch.no_grad()
def shap(part: Part, steps: int) -> Tensor:
    """Share what all concepts change among them by regression on sets, (B, J, k)."""
    found = part.codes.new_zeros(len(part.codes), part.weights.shape[1], len(part.atoms))
    for image in range(len(part.codes)):
        live = (part.codes[image] != 0).any(0).nonzero()[:, 0]
        if len(live):
            sets, weights = (value.to(part.codes) for value in sets_of(len(live), SETS * steps))
            shares = regress(sets, weights, scores(part, image, live, sets))
            found[image, :, live] = shares.T.to(found)
    return found


def sets_of(players: int, tried: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return sets of players (m, players), none and all of them first, and how much the others count (m - 2,)."""
    ends = torch.tensor([[0.0], [1.0]]).expand(2, players)
    if players < 2:
        return ends, torch.ones(0)
    if players < 14 and 2**players - 2 <= max(tried, 4 * players):
        inner = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * players)[1:-1]
        size = inner.sum(1)
        ways = torch.special.gammaln(torch.tensor(players + 1.0)) - size.add(1).lgamma() - (players - size + 1).lgamma()
        return torch.cat([ends, inner]), (players - 1) / (ways.exp() * size * (players - size))
    # sizes as often as the kernel weighs them, and every set with its opposite
    draw, size = torch.Generator().manual_seed(seed), torch.arange(1, players)
    size = torch.multinomial(1 / (size * (players - size)), max(tried // 2, 2 * players), True, generator=draw) + 1
    rank = torch.rand(len(size), players, generator=draw).argsort(1).argsort(1)
    inner = (rank < size[:, None]).float()
    return torch.cat([ends, inner, 1 - inner]), torch.ones(2 * len(inner))


def scores(part: Part, image: int, live: Tensor, sets: Tensor) -> Tensor:
    """Return the score of every target of one image with some of its concepts only, (sets, J)."""
    found, codes, atoms = [], part.codes[image][:, live], part.atoms[live]
    for some in sets.split(ROWS.get(codes.device.type, ROWS_ELSEWHERE)):
        out = part.rest(((codes * some[:, None]) @ atoms).mT)[None]
        own = [one_image(part, image).score(out, j)[0][0] for j in range(part.weights.shape[1])]
        found.append(torch.stack(own, 1))
    return torch.cat(found)


def one_image(part: Part, image: int) -> Part:
    """Return a part of one image."""
    one = slice(image, image + 1)
    return Part(part.network, part.rest, part.codes[one], part.atoms, part.directions[one], part.weights[one],
                part.cosine, part.crowding)  # fmt: skip


def regress(sets: Tensor, weights: Tensor, scores: Tensor) -> Tensor:
    """Return shares (players, J) that explain the scores of sets best and add up exactly."""
    sets, scores = sets.double(), scores.double()
    whole, lift = scores[1] - scores[0], scores[2:] - scores[0]
    inner, root = sets[2:], weights.double().sqrt()[:, None]
    if sets.shape[1] == 1:
        return whole[None]
    # the last player's share is what the others leave
    columns = (inner[:, :-1] - inner[:, -1:]) * root
    rest = torch.linalg.lstsq(columns, (lift - inner[:, -1:] * whole) * root).solution
    return torch.cat([rest, (whole - rest.sum(0))[None]])
