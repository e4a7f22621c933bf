"""Draw a concept graph as one SVG that needs nothing else: no script, no other file, no network.

Pointing at a node lights up its routes; a click (or the tab key) opens a panel with its exemplars, by focus and
sibling rules of the style sheet alone, so that it works wherever a page shows inline SVG. See `fig-ierf-9`.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from .layout import HEAD, PICTURE, WIDTH, curve
from .page import (
    Page,
    keys,
    legend_height,
    name_at,
    opened,
    ring,
    ring_id,
    scale_words,
    size_of,
    summary,
    thumbnail,
    told_of,
)
from .panel import SMALL, panel
from .pictures import ACROSS, CELL, MOST
from .style import LEVELS, class_colour, level, sheet, text, width

if TYPE_CHECKING:
    from .record import ConceptGraph

HINT = 24  # below the legend
LETTER, CLASS_LETTER = 11.5, 14.5


def svg(graph: ConceptGraph, key: str = "", *, alt: str = "") -> str:
    """Draw a graph; `key` begins all its ids, else they are made from what the graph holds."""
    page = opened(graph, key)
    plan, key = page.plan, page.key
    title = escape(alt or f"Concepts of {', '.join(graph.layers[:-1])} that lead to {', '.join(graph.classes)}")
    rank = {e: i for i, e in enumerate(page.lit)}
    places = sorted((line for line in plan.lines if line[2] in rank), key=lambda line: rank[line[2]])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" id="{key}" class="concept-graph" role="group" '
        f'viewBox="0 0 {WIDTH} {plan.height + legend_height(graph) + HINT:.0f}" aria-label="{title}">',
        f"<style>{sheet(key)}\n{pointing(page)}</style>",
        f"<defs>{symbols(page)}</defs>",
        *(text(x, y, graph.layers[layer], "head") for x, y, layer in plan.heads if layer < len(graph.layers) - 1),
        explained(graph),
        *(line(page, place) for place in places),
        *(dot(page, i) for i in range(len(plan.spots))),
        legend(page),
        *(panel(page, i) for i in range(len(plan.spots))),
        "</svg>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def pointing(page: Page) -> str:
    """Write the rules that light up the routes of a node and open its panel."""
    nodes = range(len(page.graph.nodes))
    rules = [f"#{page.key}:has(.n{n}:hover) .t{n},#{page.key}:has(.n{n}:focus) .t{n}{{opacity:1}}" for n in nodes]
    # one rule for every place: a node of two bands opens its panel where it was clicked
    rules += [f"#{page.key} .p{i}:focus~.q{i}{{display:inline}}" for i in range(len(page.plan.spots))]
    return "\n".join(rules)


def symbols(page: Page) -> str:
    """Define every sprite once, round corners, and the colours of rings and of the scale."""
    found = []
    for i, node in enumerate(page.graph.nodes):
        for kind, uri in (("c", node.crops), ("w", node.places)):
            if uri:
                wide, high = size_of(node)
                found.append(f'<image id="{page.key}-{kind}{i}" width="{wide}" height="{high}" href="{uri}"/>')
    groups = {node.classes for node in page.graph.nodes if len(node.classes) > 1}
    for group in sorted(groups | {tuple(range(len(page.graph.classes)))}):
        stops = "".join(
            f'<stop offset="{at / len(group):.4f}" stop-color="{class_colour(c)}"/>'
            for k, c in enumerate(group)
            for at in (k, k + 1)
        )
        found.append(f'<linearGradient id="{ring_id(page, group)}" x2="0" y2="1">{stops}</linearGradient>')
    stops = "".join(f'<stop offset="{k / (len(LEVELS) - 1):.2f}" class="s{k}"/>' for k in range(len(LEVELS)))
    found.append(f'<linearGradient id="{page.key}-scale">{stops}</linearGradient>')
    sides = sorted({spot.side for spot in page.plan.spots} | {SMALL})
    found += [cut(f"{page.key}-cut{s:g}", [(-s / 2, -s / 2)], s, s * 0.17) for s in sides]
    cells = [(k % ACROSS * CELL + 1.9, k // ACROSS * CELL + 1.9) for k in range(MOST)]
    return "\n".join([*found, cut(f"{page.key}-cells", cells, CELL - 3.8, 6)])


def cut(name: str, corners: list[tuple[float, float]], side: float, round_: float) -> str:
    """Define a mask of squares with round corners."""
    rect = '<rect x="{:g}" y="{:g}" width="{:g}" height="{:g}" rx="{:.1f}"/>'
    return f'<clipPath id="{name}">{"".join(rect.format(x, y, side, side, round_) for x, y in corners)}</clipPath>'


def line(page: Page, place: tuple[int, int, int]) -> str:
    """Draw an edge as a curve, wider and bluer the stronger; that of a route has its class's colour."""
    graph, (a, b, e) = page.graph, place
    edge = graph.edges[e]
    lit = " ".join(f"t{n}" for n in page.lit[e])
    look = f'class="edge s{level(edge.share)} {lit}"'
    if edge.route >= 0:
        look = f'class="edge {lit}" stroke="{class_colour(edge.route)}" stroke-opacity="{0.35 + 0.65 * edge.share:.2f}"'
    points = [f"{x:.1f} {y:.1f}" for x, y in curve(page.plan.spots[a], page.plan.spots[b])]
    told = f"{told_of(graph, edge.start)} → {told_of(graph, edge.end)}: {edge.share:.2f} of the strongest"
    return (
        f'<path {look} stroke-width="{width(edge.share):.2f}" d="M{points[0]}C{" ".join(points[1:])}">'
        f"<title>{escape(told)}</title></path>"
    )


def dot(page: Page, i: int) -> str:
    """Draw a node: its first exemplar in a ring of its classes' colours, and its name below."""
    spot = page.plan.spots[i]
    node, s = page.graph.nodes[spot.node], spot.side
    last = node.layer == len(page.graph.layers) - 1
    size = LETTER if not last else CLASS_LETTER
    name = name_at(page.plan, spot, node, size)
    return "\n".join([
        f'<g class="node n{spot.node} p{i} {lit_by(page, spot.node)}" tabindex="0" role="button" '
        f'transform="translate({spot.x:.1f} {spot.y:.1f})">',
        f"<title>{escape(summary(page.graph, spot.node))}</title>",
        thumbnail(page, spot.node, s),
        f'<rect class="ring" x="{-s / 2}" y="{-s / 2}" width="{s}" height="{s}" rx="{s * 0.17:.1f}" '
        f'stroke="{ring(page, node.classes)}"/>',
        text(0, s / 2 + size + 2, name, "name class" if last else "name"),
        "</g>",
    ])  # fmt: skip


def lit_by(page: Page, i: int) -> str:
    """Name the nodes that light a node up: itself, and those that light an edge of its own."""
    found = {i}
    for e, nodes in page.lit.items():
        if i in (page.graph.edges[e].start, page.graph.edges[e].end):
            found.update(nodes)
    return " ".join(f"t{n}" for n in sorted(found))


def explained(graph: ConceptGraph) -> str:
    """Put the image that is explained at the left of the first band."""
    if not graph.picture:
        return ""
    y = HEAD + 4
    return (
        text(12 + PICTURE / 2, 14, "image", "head")
        + f'<image x="12" y="{y}" width="{PICTURE}" height="{PICTURE}" href="{graph.picture}"/>'
    )


def legend(page: Page) -> str:
    """Say below the graph what widths, colours and rings mean, and what a click does."""
    top = page.plan.height + 22
    found = [f'<path d="M12 {top - 3}l90 -3v6z" fill="url(#{page.key}-scale)"/>']
    found.append(text(110, top + 1, scale_words(page.graph), "left"))
    for x, y, group, words in keys(page.graph, top):
        box = f'<rect class="ring" x="{x:.1f}" y="{y - 9:.1f}" width="13" height="13" rx="3"'
        found.append(f'{box} stroke="{ring(page, group)}"/>')
        found.append(text(x + 20, y + 1, words, "left"))
    hint = "Point at a picture to see its routes; click on it for its exemplars, and anywhere else to close them."
    return "\n".join([*found, text(12, y + 23, hint, "left soft hint")])
