"""Several concept graphs below each other as one drawing, each under a line of words. See `fig-ierf-12`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from .layout import WIDTH
from .style import FONT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .record import ConceptGraph

LINE = 34  # height of the words above a graph


class Stack:
    """Graphs with a line of words each, {words: graph}; drawn like one graph."""

    def __init__(self, graphs: Mapping[str, ConceptGraph]) -> None:
        if not graphs:
            raise ValueError("a stack needs at least one graph")
        self.graphs = dict(graphs)

    def to_svg(self, key: str = "", *, alt: str = "") -> str:
        """Draw all as one self-contained SVG; `key` begins their ids."""
        parts, y = [], 0.0
        for i, (words, graph) in enumerate(self.graphs.items()):
            inner = graph.to_svg(f"{key or 'stack'}-{i}")
            high = float(re.search(r'viewBox="0 0 \d+ (\d+)"', inner)[1])
            line = f'<text x="12" y="{y + 20:.0f}" style="{LOOK}">{escape(words)}</text>'
            # the inner drawing is as wide as its page, which here is a frame of its own
            parts.append(f'{line}\n<svg x="0" y="{y + LINE:.0f}" width="{WIDTH}" height="{high:.0f}">\n{inner}</svg>')
            y += LINE + high + LINE / 2
        label = escape(alt or "; ".join(self.graphs))
        return (f'<svg xmlns="http://www.w3.org/2000/svg" class="concept-graphs" role="group" aria-label="{label}" '
                f'viewBox="0 0 {WIDTH} {y:.0f}" style="{FRAME}">\n' + "\n".join(parts) + "\n</svg>\n")  # fmt: skip

    def to_figure(self) -> Figure:
        """Draw all with matplotlib, 8 inches wide."""
        import matplotlib.pyplot as plt
        import numpy as np

        from ...plot.look import DPI

        pictures = []
        for graph in self.graphs.values():
            fig = graph.to_figure()
            fig.canvas.draw()
            pictures.append(np.asarray(fig.canvas.buffer_rgba())[..., :3].copy())
            plt.close(fig)
        high = sum(len(p) + LINE for p in pictures)
        whole = plt.figure(figsize=(WIDTH / DPI, high / DPI), dpi=DPI, facecolor="white", layout="none")
        y = 0
        for words, picture in zip(self.graphs, pictures, strict=True):
            whole.text(12 / WIDTH, 1 - (y + 22) / high, words, fontsize=9.5, fontweight="bold")
            axes = whole.add_axes((0, 1 - (y + LINE + len(picture)) / high, 1, len(picture) / high))
            axes.imshow(picture, aspect="auto", interpolation="none")
            axes.set_axis_off()
            y += LINE + len(picture)
        return whole

    def to_json(self) -> str:
        """Write all as JSON."""
        return json.dumps({words: json.loads(graph.to_json()) for words, graph in self.graphs.items()}, indent=1)


FRAME = f"display:block;width:100%;max-width:{WIDTH}px;height:auto;margin:0 auto;overflow:visible"
LOOK = f"font:600 15px {FONT.replace(chr(34), chr(39))};fill:currentColor"
