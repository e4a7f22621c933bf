"""The panel that opens over a concept graph: a node's ten exemplars, what it matters to, its neighbours."""

from __future__ import annotations

from .layout import HEAD, WIDTH
from .page import Page, label_of, thumbnail
from .pictures import ACROSS, CELL
from .style import class_colour, shortened, text
from .trails import sides

SMALL = 34  # side of a neighbour's picture
LEFT, MARGIN, HIGH = 14, 24, 330
ROW = ACROSS * 76  # width of five exemplars as they are shown
NEIGHBOURS, SEEN = 3, 0.05  # on each side at most, and the least share of one
BAR = 110


def panel(page: Page, i: int) -> str:
    """Draw the panel of a place, shown while its node has the focus."""
    spot = page.plan.spots[i]
    node = page.graph.nodes[spot.node]
    top = page.plan.tops[spot.band] + HEAD - 6
    floor = page.plan.tops[spot.band] + (page.plan.height / len(page.plan.tops)) - HIGH
    y = min(max(spot.y - HIGH / 2, top), max(floor, top))
    wide = WIDTH - 2 * LEFT
    last = node.layer == len(page.graph.layers) - 1
    where = "class" if last else f"{page.graph.layers[node.layer]}, concept {node.concept}"
    return "\n".join([
        f'<g class="panel q{i}" transform="translate({LEFT} {y:.1f})">',
        f'<rect class="plate" width="{wide}" height="{HIGH}" rx="12"/>',
        text(MARGIN, 36, shortened(label_of(node), 300, 18), "title left"),
        text(MARGIN, 55, where, "soft left"),
        text(wide - 16, 24, "✕", "soft"),
        "" if last else bars(page, spot.node, wide - MARGIN - 40),
        *exemplars(page, spot.node, wide),
        f'<path class="rule" d="M{MARGIN} {HIGH - 72}H{wide - MARGIN}"/>',
        *neighbours(page, spot.node, wide),
        "</g>",
    ])  # fmt: skip


def bars(page: Page, i: int, right: float) -> str:
    """Draw a node's share of each class's importance as bars, those of the first three classes."""
    found = []
    shares = list(zip(page.graph.classes, page.graph.nodes[i].importance, strict=True))[:3]
    for c, (name, value) in enumerate(shares):
        y = 30 + c * 17 - 8 * (len(shares) - 1) / 2
        long = BAR * min(max(value, 0), 1)
        x = right - BAR - 44
        found.append(text(x - 8, y + 4, f"share of {shortened(name, 130)}", "right"))
        found.append(f'<rect x="{x}" y="{y - 5}" width="{BAR}" height="10" rx="2" fill="currentColor" opacity=".1"/>')
        found.append(f'<rect x="{x}" y="{y - 5}" width="{long:.1f}" height="10" rx="2" fill="{class_colour(c)}"/>')
        found.append(text(x + BAR + 8, y + 4, f"{value:.0%}", "left"))
    return "\n".join(found)


def exemplars(page: Page, i: int, wide: float) -> list[str]:
    """Show a node's exemplars: at the left what its iERFs hold, at the right where in the images that is."""
    node = page.graph.nodes[i]
    if not node.exemplars:
        return [text(wide / 2, 150, "no exemplars were given for this node", "soft")]
    found = []
    count = f"{node.exemplars} nearest" if node.exemplars > 1 else "nearest"
    for kind, x, words, uri in (
        ("c", MARGIN, f"what it responds to ({count})", node.crops),
        ("w", wide - MARGIN - ROW, "where that is in the images", node.places),
    ):
        if uri:
            found.append(text(x, 82, words, "soft left") if node.places else "")
            found.append(
                f'<g clip-path="url(#{page.key}-cells)" transform="translate({x} 92) scale({ROW / ACROSS / CELL:.4f})">'
                f'<use href="#{page.key}-{kind}{i}"/></g>'
            )
    return found


def neighbours(page: Page, i: int, wide: float) -> list[str]:
    """Show the strongest neighbours on either side with the strength of their edges."""
    into, out = (side.get(i, []) for side in sides(page.graph))
    found = []
    for x, words, edges, end in ((MARGIN, "comes from", into, "start"), (wide / 2 + 8, "leads to", out, "end")):
        edges = [page.graph.edges[e] for e in edges if page.graph.edges[e].share >= SEEN][:NEIGHBOURS]
        if not edges:
            continue
        found.append(text(x, HIGH - 33, words, "soft left"))
        for k, edge in enumerate(edges):
            other, at = getattr(edge, end), x + 78 + k * 110
            node = page.graph.nodes[other]
            found.append(f'<g transform="translate({at + SMALL / 2} {HIGH - 37})">{thumbnail(page, other, SMALL)}</g>')
            found.append(text(at + SMALL + 6, HIGH - 40, shortened(label_of(node), 76), "left"))
            found.append(text(at + SMALL + 6, HIGH - 26, f"{edge.share:.2f}", "soft left"))
    return found
