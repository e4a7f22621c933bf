"""What the parts of a drawn concept graph share: ids, words, rings, thumbnails."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .layout import WIDTH, Layout, Spot, layout
from .pictures import ACROSS, CELL
from .style import class_colour, shortened
from .trails import drawn, trails

if TYPE_CHECKING:
    from .record import ConceptGraph, Node

BESIDE, ROW = 470.0, 20.0  # where the legend's keys begin beside the scale, and the next line of them


@dataclass(frozen=True)
class Page:
    """A graph on its way to SVG: the id that begins all others, places, drawn edges and the nodes that light them."""

    graph: ConceptGraph
    key: str
    plan: Layout
    lit: dict[int, list[int]]


def opened(graph: ConceptGraph, key: str) -> Page:
    """Lay a graph out under a key, or under an id made from what it holds."""
    if key and not re.fullmatch(r"[A-Za-z0-9_-]+", key):
        raise ValueError(f"a graph's key has letters, digits, - and _ only, not {key!r}")
    key = "g-" + (key or hashlib.sha256(graph.to_json().encode()).hexdigest()[:10])
    edges = drawn(graph)
    lit: dict[int, list[int]] = {e: [] for e in edges}
    for node, found in trails(graph, edges).items():
        for e in found:
            lit[e].append(node)
    return Page(graph, key, layout(graph), lit)


def label_of(node: Node) -> str:
    """Name a node: by its label, else by its number."""
    return node.label or f"concept {node.concept}"


def told_of(graph: ConceptGraph, i: int) -> str:
    """Name a node and its layer."""
    node = graph.nodes[i]
    last = node.layer == len(graph.layers) - 1
    return label_of(node) if last else f"{label_of(node)} ({graph.layers[node.layer]})"


def summary(graph: ConceptGraph, i: int) -> str:
    """Say in a tooltip what a node is and what it matters to."""
    node = graph.nodes[i]
    if node.layer == len(graph.layers) - 1:
        return f"class {label_of(node)}"
    shares = (f"{name} {value:.1%}" for name, value in zip(graph.classes, node.importance, strict=True))
    return f"{label_of(node)}: {graph.layers[node.layer]}, concept {node.concept}; share of {', '.join(shares)}"


def scale_words(graph: ConceptGraph) -> str:
    """Say what the width and colour of an edge mean."""
    if any(edge.route >= 0 for edge in graph.edges):
        return "influence; routes in their class's colour, blue where shared"
    return "influence, 0 to 1 of the strongest between two layers"


def keys(graph: ConceptGraph, top: float) -> list[tuple[float, float, tuple[int, ...], str]]:
    """Place the keys of the rings in the legend: x, y, classes, words."""
    groups = [(c,) for c in range(len(graph.classes))]
    groups += [tuple(range(len(groups)))] if len(groups) > 1 else []
    words = [f"for {graph.classes[g[0]]}" if len(g) == 1 else "shared" for g in groups]
    x, y, found = BESIDE, top, []
    for group, told in zip(groups, words, strict=True):
        wide = 38 + 6.4 * len(told)
        if x + wide > WIDTH:
            x, y = 12.0, y + ROW
        found.append((x, y, group, told))
        x += wide
    return found


def legend_height(graph: ConceptGraph) -> float:
    """Tell how high the legend is."""
    return 34 + max(y for _, y, _, _ in keys(graph, 0.0))


def name_at(plan: Layout, spot: Spot, node: Node, size: float) -> str:
    """Cut a node's name for its column, and for the edge of the page."""
    return shortened(label_of(node), min(0.94 * plan.room, 2 * min(spot.x, WIDTH - spot.x) - 4), size)


def ring_id(page: Page, group: tuple[int, ...]) -> str:
    """Name the gradient of a group of classes."""
    return f"{page.key}-r" + "-".join(map(str, group))


def ring(page: Page, group: tuple[int, ...]) -> str:
    """Give the paint of a ring: the class's colour, or a gradient of several in hard steps."""
    return class_colour(group[0]) if len(group) == 1 else f"url(#{ring_id(page, group)})"


def size_of(node: Node) -> tuple[int, int]:
    """Return a sprite's width and height in its own pixels."""
    return min(node.exemplars, ACROSS) * CELL, -(-node.exemplars // ACROSS) * CELL


def thumbnail(page: Page, i: int, side: float) -> str:
    """Draw a node's first exemplar around the origin, or its name where it has none."""
    node = page.graph.nodes[i]
    card = f'<rect class="card" x="{-side / 2}" y="{-side / 2}" width="{side}" height="{side}" rx="{side * 0.17:.1f}"/>'
    if not node.crops:
        return card + f'<text y="4">{shortened(f"#{node.concept}", side)}</text>'
    return (
        f'{card}<g clip-path="url(#{page.key}-cut{side})"><svg x="{-side / 2}" y="{-side / 2}" width="{side}" '
        f'height="{side}" viewBox="0 0 {CELL} {CELL}"><use href="#{page.key}-c{i}"/></svg></g>'
    )
