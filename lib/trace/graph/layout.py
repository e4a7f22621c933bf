"""Where the parts of a concept graph stand: columns by layer, few crossings, bands that fit the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .record import ConceptGraph

WIDTH = 880  # units of the drawing, at 110 an inch
COLUMNS = 7  # that fit in one band
SHARE, SMALLEST, WIDEST = 0.37, 42, 60  # a concept's picture: of the room between columns, within limits
LARGE = 68  # a class's picture
APART = 28  # from one picture to the next below: its name
HEAD, FOOT, LEAST = 34, 16, 330  # above and below the nodes of a band, and the least height of the nodes
PICTURE = 108  # of the image that is explained
SWEEPS = 24


@dataclass(frozen=True)
class Spot:
    """A node's place: the middle of its picture, the picture's side, its band."""

    node: int
    x: float
    y: float
    side: float
    band: int


@dataclass(frozen=True)
class Layout:
    """Places of nodes (again where a band goes on with the last layer), of edges (spot, spot, edge), of heads."""

    spots: tuple[Spot, ...]
    lines: tuple[tuple[int, int, int], ...]
    heads: tuple[tuple[float, float, int], ...]
    tops: tuple[float, ...]
    room: float  # between two columns
    height: float


def layout(graph: ConceptGraph) -> Layout:
    """Place the nodes: columns by layer in bands of at most seven, few crossings in each pair of layers."""
    columns = ordered(graph)
    bands = banded(len(columns))
    left = 46 + (PICTURE + 30 if graph.picture else 0)
    right = WIDTH - 50
    room = (right - left) / max(max(map(len, bands)) - 1, 1)
    side = round(min(max(SHARE * room, SMALLEST), WIDEST))
    nodes = max(LEAST, (side + APART) * max(map(len, columns)))
    spots, heads, tops = [], [], []
    for b, band in enumerate(bands):
        top = b * (HEAD + nodes + FOOT)
        tops.append(top)
        for place, layer in enumerate(band):
            last = layer == len(columns) - 1
            x = right if last else left + place * room
            heads.append((x, top + 14, layer))
            step = nodes / len(columns[layer])
            for i, node in enumerate(columns[layer]):
                y = top + HEAD + (i + 0.5) * step - 8  # the label hangs below
                spots.append(Spot(node, x, y, LARGE if last else side, b))
    height = len(bands) * (HEAD + nodes + FOOT)
    return Layout(tuple(spots), lines_of(graph, spots), tuple(heads), tuple(tops), room, height)


def banded(columns: int) -> list[range]:
    """Split columns into bands of like length; each goes on from the last column of the one before."""
    count = max(1, -(-(columns - 1) // (COLUMNS - 1)))
    ends = [round(k * (columns - 1) / count) for k in range(count + 1)]
    return [range(a, b + 1) for a, b in zip(ends, ends[1:], strict=False)]


def lines_of(graph: ConceptGraph, spots: list[Spot]) -> tuple[tuple[int, int, int], ...]:
    """Find for every edge the two places in one band that it joins."""
    at = {(spot.node, spot.band): i for i, spot in enumerate(spots)}
    found = []
    for e, edge in enumerate(graph.edges):
        for band in {spot.band for spot in spots}:
            ends = at.get((edge.start, band)), at.get((edge.end, band))
            if None not in ends:
                found.append((*ends, e))
    return tuple(found)


def curve(a: Spot, b: Spot) -> tuple[tuple[float, float], ...]:
    """Lead a curve from the right side of a picture to the left side of another: the four points of a Bézier."""
    x, y = a.x + a.side / 2 + 1, b.x - b.side / 2 - 1
    bend = (y - x) / 2
    return (x, a.y), (x + bend, a.y), (y - bend, b.y), (y, b.y)


def ordered(graph: ConceptGraph) -> list[list[int]]:
    """Order every column by barycentres, to and fro, and keep the order with the fewest weighted crossings."""
    columns = [graph.column(k) for k in range(len(graph.layers))]
    columns = [sorted(c, key=lambda i: lean(graph.nodes[i].importance)) for c in columns[:-1]] + [columns[-1]]
    weight = np.zeros((len(graph.nodes), len(graph.nodes)))
    for edge in graph.edges:
        weight[edge.start, edge.end] = edge.share**2  # weak ones are hardly seen
    best, fewest = columns, crossings(columns, weight)
    for sweep in range(SWEEPS):
        columns = swept(columns, weight, forward=sweep % 2 == 1)
        count = crossings(columns, weight)
        if count < fewest - 1e-9:
            best, fewest = columns, count
    return best


def lean(importance: tuple[float, ...]) -> float:
    """Tell where between the first and the last class a node leans to."""
    values = np.clip(importance, 0, None)
    return float((values * np.arange(len(values))).sum() / max(values.sum(), 1e-12))


def swept(columns: list[list[int]], weight: np.ndarray, *, forward: bool) -> list[list[int]]:
    """Order each column by its neighbours' mean places, from one end to the other; the classes stay."""
    columns = [list(column) for column in columns]
    inner = range(len(columns) - 1)
    for k in inner if forward else reversed(inner):
        if k == 0 and forward:
            continue
        other = columns[k - 1] if forward else columns[k + 1]
        place = (np.arange(len(other)) + 0.5) / len(other)
        pull = weight[np.ix_(other, columns[k])].T if forward else weight[np.ix_(columns[k], other)]
        total = pull.sum(1)
        own = (np.arange(len(columns[k])) + 0.5) / len(columns[k])
        mean = np.where(total > 0, pull @ place / np.maximum(total, 1e-12), own)
        columns[k] = [columns[k][i] for i in np.argsort(mean, kind="stable")]
    return columns


def crossings(columns: list[list[int]], weight: np.ndarray) -> float:
    """Add up the products of weights of all edges that cross."""
    total = 0.0
    for a, b in zip(columns, columns[1:], strict=False):
        between = weight[np.ix_(a, b)]
        below = between[::-1].cumsum(0)[::-1]  # of this row and all below it
        later = np.zeros_like(between)
        later[:-1, 1:] = below[1:].cumsum(1)[:, :-1]  # rows below, columns before
        total += float((between * later).sum())
    return total
