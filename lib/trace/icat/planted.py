"""A small network whose edges are known: its second layer is built by hand from the concepts of its first.

The first layer sees eight colours and edges in eight directions. Each concept of the second adds up some of them from
positions nearby, is held back by others, begins at a threshold and has a ceiling. Both layers are turned, so that no
channel is a concept.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...concepts.dictionaries import Dictionary, given
from .links import Link

COLOURS = ("dark", "blue", "green", "cyan", "red", "magenta", "yellow", "bright")
TURNS = tuple(f"edge at {45 * turn} degrees" for turn in range(8))
LAYERS = ("first", "second")
EXTRA = 8  # channels more than concepts in each layer
STRENGTH = 0.02  # of the lasso, where concepts are about 1
RARE = 0.85  # share of the positions that lack a concept
AROUND = 0.5  # length of what the second layer gives where it sees no concept, or angles would jump there


@dataclass(frozen=True)
class Planted:
    """A network with its truth."""

    model: nn.Module  # its taps are LAYERS
    earlier: Dictionary
    later: Dictionary
    names: tuple[str, ...]  # of the earlier layer's concepts
    edges: Tensor  # (16, T) above zero for parents, below for what holds a target back, else 0


@torch.no_grad()
def planted(x: Tensor, *, targets: int = 16, parents: int = 3, against: int = 1, seed: int = 0) -> Planted:
    """Build the network with thresholds for normalised images x (n, 3, h, w)."""
    names = COLOURS + TURNS
    if not (1 <= parents and 0 <= against and parents + against <= len(names)):
        raise ValueError(f"a target has at least one parent, and up to {len(names)} concepts for and against it; asked "
                         f"for {parents} and {against}")  # fmt: skip
    draw = torch.Generator().manual_seed(seed)
    see = detectors(x)
    edges, kernel = wiring(draw, len(names), targets, parents, against)
    first, second = (turned(draw, count) for count in (len(names), targets))  # (channels, concepts)
    layers = OrderedDict(see=see, gate=nn.ReLU(), first=nn.Conv2d(len(names), len(first), 1, bias=False))
    layers["first"].weight.copy_(first[:, :, None, None])
    build = nn.Conv2d(len(first), 2 * targets, 3, padding=1)
    on_channels = torch.einsum("tqhw,cq->tchw", kernel, first)
    build.weight.copy_(on_channels.repeat(2, 1, 1, 1))
    build.bias.zero_()
    drive = build(nn.Sequential(layers)(x))[:, :targets].transpose(0, 1).flatten(1)
    low, high = drive.quantile(RARE, 1).clamp(min=0.1), drive.quantile((1 + RARE) / 2, 1)
    high = torch.maximum(high, low + 0.1)
    build.bias.copy_(-torch.cat([low, high]))
    join = nn.Conv2d(2 * targets, len(second), 1)
    scaled = second / (high - low)
    join.weight.copy_(torch.cat([scaled, -scaled], 1)[:, :, None, None])
    join.bias.copy_(AROUND * aside(draw, second))
    model = nn.Sequential(layers | {"build": build, "bend": nn.ReLU(), "second": join}).eval().requires_grad_(False)
    model.named_taps = dict(zip(LAYERS, LAYERS, strict=True))
    return Planted(model, *(replace(given(turn.T, method="planted"), strength=STRENGTH) for turn in (first, second)),
                   names, edges)  # fmt: skip


def detectors(x: Tensor) -> nn.Conv2d:
    """Return a convolution that sees colours and edges, above 0 where one is there and about 1 where it is clear."""
    corner = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3) / 3
    angle = torch.arange(8) * torch.pi / 4
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    slope = angle.cos()[:, None, None] * across + angle.sin()[:, None, None] * across.T
    see = nn.Conv2d(3, 16, 3, padding=1)
    see.weight.zero_()
    see.weight[:8, :, 1, 1], see.weight[8:] = corner, slope[:, None].expand(-1, 3, -1, -1) / 3
    see.bias.zero_()
    answer = see(x).transpose(0, 1).flatten(1)
    low, high = answer.quantile(0.7, 1), answer.quantile(0.97, 1)
    scale = 1 / (high - low).clamp(min=1e-3)
    see.weight.mul_(scale[:, None, None, None])
    see.bias.copy_(-low * scale)
    return see


def wiring(
    draw: torch.Generator, concepts: int, targets: int, parents: int, against: int
) -> tuple[Tensor, Tensor]:
    """Draw edges (concepts, targets), and from where around a position each acts (targets, concepts, 3, 3)."""
    edges, kernel = torch.zeros(concepts, targets), torch.zeros(targets, concepts, 3, 3)
    for target in range(targets):
        chosen = torch.randperm(concepts, generator=draw)[: parents + against]
        amount = 0.6 + 0.4 * torch.rand(len(chosen), generator=draw)
        edges[chosen, target] = amount * torch.where(torch.arange(len(chosen)) < parents, 1.0, -1.0)
        place = torch.randint(9, (len(chosen),), generator=draw)
        kernel[target, chosen, place // 3, place % 3] = edges[chosen, target]
    return edges, kernel


def turned(draw: torch.Generator, concepts: int) -> Tensor:
    """Return orthogonal directions of length one, (channels, concepts)."""
    return torch.linalg.qr(torch.randn(concepts + EXTRA, concepts, generator=draw))[0].contiguous()


def aside(draw: torch.Generator, directions: Tensor) -> Tensor:
    """Return a direction of length one that is none of others (channels, concepts): (channels,)."""
    other = torch.randn(len(directions), generator=draw)
    other = other - directions @ (directions.T @ other)
    return other / other.norm()


def found(strength: Tensor, edges: Tensor) -> dict[str, float]:
    """Score edges (K, T) against true ones: how many parents are among the strongest, and so on, means over targets.

    "parents" and "against" look at as many of the strongest and of the most negative as there are; "area" is the chance
    that a parent is stronger than a concept without an edge.
    """
    top, bottom, area = [], [], []
    for own, true in zip(strength.T, edges.T, strict=True):
        order = own.argsort(descending=True)
        above, below = true > 0, true < 0
        top.append(above[order[: int(above.sum())]].float().mean())
        if below.any():
            bottom.append(below[order[-int(below.sum()) :]].float().mean())
        gap = own[above][:, None] - own[true == 0]
        area.append(((gap > 0) + 0.5 * (gap == 0)).mean())
    means = {"parents": top, "against": bottom, "area": area}
    return {name: float(torch.stack(values).mean()) for name, values in means.items() if values}


def together(link: Link) -> Tensor:
    """Return how concepts and targets go together, correlations (K, T) over positions: what edges have to beat.

    Layers of different sizes are compared by their sums over positions.
    """
    low, high = link.codes, link.weights
    if low.shape[1] != high.shape[1]:
        low, high = low.sum(1, keepdim=True), high.sum(1, keepdim=True)
    low, high = (nn.functional.normalize(v.flatten(0, 1) - v.mean((0, 1)), dim=0) for v in (low, high))
    return low.T @ high
