"""Draw a concept graph with matplotlib: the twin of the SVG for paper, e-mail and wherever SVG isn't shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...plot.look import DPI
from .layout import HEAD, PICTURE, WIDTH, Layout, Spot, curve, layout
from .page import keys, legend_height, name_at, scale_words
from .pictures import CELL, decoded
from .style import INK, LEVELS, class_colour, level, shortened, width
from .trails import drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .record import ConceptGraph

LETTER, CLASS_LETTER = 11.5, 14.5
POINTS = 72 / DPI  # to a unit of the drawing


def figure(graph: ConceptGraph) -> Figure:
    """Draw a graph 8 inches wide on white."""
    import matplotlib.pyplot as plt

    plan = layout(graph)
    height = plan.height + legend_height(graph)
    fig = plt.figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor="white", layout="none")
    axes = fig.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(height, 0))
    axes.set_axis_off()
    for x, y, layer in plan.heads:
        if layer < len(graph.layers) - 1:
            write(axes, x, y, graph.layers[layer], 12.5, weight="bold")
    lines(axes, graph, plan)
    if graph.picture:
        write(axes, 12 + PICTURE / 2, 14, "image", 12.5, weight="bold")
        paste(axes, decoded(graph.picture), 12, HEAD + 4, PICTURE)
    for spot in plan.spots:
        dot(axes, graph, plan, spot)
    legend(axes, graph, plan.height + 20)
    return fig


def write(axes: Axes, x: float, y: float, words: str, size: float, *, colour: str = INK, **look) -> None:
    """Write words with their baseline at a point, haloed in white."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.4, foreground="white")]
    look = {"ha": "center", "va": "baseline", **look}
    axes.text(
        x, y, words, fontsize=size * POINTS, color=colour, path_effects=halo, zorder=4, parse_math=False, **look
    )  # fmt: skip


def lines(axes: Axes, graph: ConceptGraph, plan: Layout) -> None:
    """Draw the edges, weak ones first."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    rank = {e: i for i, e in enumerate(drawn(graph))}
    for a, b, e in sorted((line for line in plan.lines if line[2] in rank), key=lambda line: rank[line[2]]):
        edge = graph.edges[e]
        colour = LEVELS[level(edge.share)] if edge.route < 0 else class_colour(edge.route)
        path = Path(curve(plan.spots[a], plan.spots[b]), [Path.MOVETO] + [Path.CURVE4] * 3)
        axes.add_patch(PathPatch(
            path, fill=False, edgecolor=colour, linewidth=width(edge.share) * POINTS, capstyle="round", zorder=2,
            alpha=None if edge.route < 0 else 0.35 + 0.65 * edge.share,
        ))  # fmt: skip


def dot(axes: Axes, graph: ConceptGraph, plan: Layout, spot: Spot) -> None:
    """Draw a node: its first exemplar, a ring in its classes' colours, its name."""
    node, side = graph.nodes[spot.node], spot.side
    last = node.layer == len(graph.layers) - 1
    left, top = spot.x - side / 2, spot.y - side / 2
    clip = rounded(axes, (left, top, side, side), facecolor="white", edgecolor="none", zorder=3)
    if node.crops:
        paste(axes, decoded(node.crops)[:CELL, :CELL], left, top, side).set_clip_path(clip)
    else:
        write(axes, spot.x, spot.y + 4, shortened(f"#{node.concept}", side), LETTER)
    rings(axes, (left, top, side, side), node.classes)
    size = CLASS_LETTER if last else LETTER
    name = name_at(plan, spot, node, size)
    write(axes, spot.x, spot.y + side / 2 + size + 2, name, size * 0.94, weight="bold" if last else "normal")


def rounded(axes: Axes, box: tuple[float, float, float, float], **look):
    """Draw a box with round corners."""
    from matplotlib.patches import FancyBboxPatch

    x, y, wide, high = box
    style = f"round,pad=0,rounding_size={0.17 * wide:.2f}"
    return axes.add_patch(FancyBboxPatch((x, y), wide, high, boxstyle=style, **look))


def rings(axes: Axes, box: tuple[float, float, float, float], classes: tuple[int, ...]) -> None:
    """Draw a ring whose parts, from top to bottom, have the colours of the classes."""
    from matplotlib.patches import Rectangle

    x, y, wide, high = box
    for k, c in enumerate(classes):
        look = dict(fill=False, edgecolor=class_colour(c), linewidth=2.5 * POINTS, zorder=3.5)
        part = rounded(axes, box, **look)
        if len(classes) > 1:
            first, last = (-4 if k == 0 else 0), (4 if k == len(classes) - 1 else 0)
            start, step = y + k * high / len(classes) + first, high / len(classes)
            part.set_clip_path(Rectangle((x - 4, start), wide + 8, step - first + last, transform=axes.transData))


def paste(axes: Axes, pixels: np.ndarray, x: float, y: float, side: float):
    """Put a picture into a square of the drawing."""
    limits = axes.get_xlim(), axes.get_ylim()
    image = axes.imshow(pixels, extent=(x, x + side, y + side, y), interpolation="antialiased", zorder=3)
    axes.set(xlim=limits[0], ylim=limits[1], aspect="auto")
    return image


def legend(axes: Axes, graph: ConceptGraph, y: float) -> None:
    """Say below the graph what widths, colours and rings mean."""
    from matplotlib.patches import Polygon

    for k, colour in enumerate(LEVELS):
        a, b = k / len(LEVELS), (k + 1) / len(LEVELS)
        points = [(12 + 90 * s, y - 3 + sign * 3 * s) for s, sign in ((a, -1), (b, -1), (b, 1), (a, 1))]
        axes.add_patch(Polygon(points, facecolor=colour, edgecolor="none", zorder=3))
    write(axes, 110, y + 1, scale_words(graph), 10.4, ha="left")
    for x, at, group, words in keys(graph, y):
        rings(axes, (x, at - 9, 13, 13), group)
        write(axes, x + 20, at + 1, words, 10.4, ha="left")
