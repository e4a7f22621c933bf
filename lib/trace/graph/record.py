"""The interlayer concept graph as a record: which concepts are shown, how strongly they act, file and pictures.

It is made of plain arrays, so that concepts and strengths may come from any network or from a table. See
`book/ierf/6-4-concept-graph`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...files import write
from .choice import checked, choose, reduced

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ConceptGraph", "Edge", "Node", "choose", "concept_graph", "load_graph", "save_graph"]


@dataclass(frozen=True)
class Node:
    """A concept of a layer, or in the last column a class; pictures are sprites of up to ten exemplars."""

    layer: int
    concept: int
    label: str
    importance: tuple[float, ...]  # its share of each class's positive importance, negative where it speaks against
    classes: tuple[int, ...]  # the classes that it is shown for
    exemplars: int = 0
    crops: str = ""  # what the iERFs hold, as a data URI
    places: str = ""  # the whole images with the iERFs lit, as a data URI


@dataclass(frozen=True)
class Edge:
    """An influence of a node on one of the next layer: as measured, and in [0, 1] of the pair's strongest."""

    start: int
    end: int
    strength: float
    share: float
    route: int = -1  # the class whose route it belongs to, -1 none


@dataclass(frozen=True)
class ConceptGraph:
    """Layers from the first to the classes, their nodes, and the influences between neighbouring layers."""

    layers: tuple[str, ...]
    classes: tuple[str, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    picture: str = ""  # the image that is explained, where it is one

    def column(self, layer: int) -> list[int]:
        """List the nodes of a layer."""
        return [i for i, node in enumerate(self.nodes) if node.layer == layer]

    def to_svg(self, key: str = "", *, alt: str = "") -> str:
        """Draw it as one self-contained SVG; `key` sets its ids apart on a page."""
        from .svg import svg

        return svg(self, key, alt=alt)

    def to_figure(self) -> Figure:
        """Draw it with matplotlib, 8 inches wide."""
        from .png import figure

        return figure(self)

    def to_json(self) -> str:
        """Write it as JSON, pictures included."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)


def concept_graph(
    importances: Mapping[str, Any], edges: Mapping[tuple[str, str], Any], classes: Sequence[str], *,
    top: int = 5, shared: int = 3, labels: Mapping[str, Any] | None = None,
    exemplars: Mapping[tuple[str, int], tuple[Any, Any]] | None = None, portraits: Any = None, picture: Any = None,
) -> ConceptGraph:  # fmt: skip
    """Make the graph of the concepts that `choose` picks.

    `importances`: {layer: (classes, K)}, layers from the first to the last. `edges`: {(layer, next layer): (K, K')},
    or only rows and columns of the chosen ones, in their order. `labels`: {layer: {concept: text}} or lists.
    `exemplars`: {(layer, concept): (images (m, 3, s, s) in [0, 1], iERFs (m, s, s) or None)}, needed for no concept.
    `portraits`: images of each class (classes, m, 3, s, s). `picture`: the image that is explained (3, s, s).
    """
    importances = checked(importances, edges, classes)
    chosen = choose(importances, top=top, shared=shared)
    nodes = []
    for k, (layer, found) in enumerate(chosen.items()):
        names = (labels or {}).get(layer, {})
        names = dict(enumerate(names)) if not isinstance(names, Mapping) else names
        shares = shares_of(importances[layer])
        for concept, shown_for in found.items():
            values = tuple(float(v) for v in shares[:, concept])
            node = Node(k, concept, str(names.get(concept) or ""), values, shown_for)
            nodes.append(illustrated(node, (exemplars or {}).get((layer, concept))))
    for c, name in enumerate(classes):
        values = tuple(float(c == other) for other in range(len(classes)))
        node = Node(len(chosen), c, str(name), values, (c,))
        nodes.append(illustrated(node, None if portraits is None else (portraits[c], None)))
    lines = linked(nodes, strengths(importances, edges, chosen))
    return ConceptGraph((*chosen, "class"), tuple(map(str, classes)), tuple(nodes), lines, portrait(picture))


def shares_of(values: np.ndarray) -> np.ndarray:
    """Divide importances (classes, K) by the positive ones' sum in each class."""
    return values / np.maximum(values.clip(min=0).sum(1, keepdims=True), 1e-12)


def strengths(
    importances: Mapping[str, np.ndarray], edges: Mapping[tuple[str, str], Any], chosen: Mapping[str, Mapping[int, Any]]
) -> list[np.ndarray]:
    """Return the strengths between the chosen concepts of each pair of layers, and to the classes."""
    layers, found = list(chosen), []
    for a, b in zip(layers, layers[1:], strict=False):
        sizes = importances[a].shape[1], importances[b].shape[1]
        found.append(reduced(edges[a, b], (list(chosen[a]), list(chosen[b])), sizes, f"{a} to {b}"))
    last = layers[-1]
    return [*found, shares_of(importances[last])[:, list(chosen[last])].T]


def linked(nodes: Sequence[Node], matrices: Sequence[np.ndarray]) -> tuple[Edge, ...]:
    """Turn strengths into edges, scaled to [0, 1] within each pair of layers; what is negative has a share of 0."""
    columns = [[i for i, node in enumerate(nodes) if node.layer == k] for k in range(len(matrices) + 1)]
    edges = []
    for k, values in enumerate(matrices):
        most = max(float(values.max(initial=0)), 1e-30)
        shares = (values / most).clip(0, 1)
        edges += [
            Edge(i, j, float(values[r, c]), round(float(shares[r, c]), 6))
            for r, i in enumerate(columns[k])
            for c, j in enumerate(columns[k + 1])
        ]
    return tuple(edges)


def illustrated(node: Node, found: tuple[Any, Any] | None) -> Node:
    """Give a node the sprites of its exemplars."""
    from .pictures import sprites

    if found is None:
        return node
    crops, places, count = sprites(*found)
    return replace(node, exemplars=count, crops=crops, places=places)


def portrait(picture: Any) -> str:
    """Encode the image that is explained, "" where there is none."""
    from .pictures import portrait_of

    return "" if picture is None else portrait_of(picture)


def save_graph(graph: ConceptGraph, path: str | Path) -> None:
    """Write a graph as a JSON file, pictures included."""
    write(Path(path), graph.to_json())


def load_graph(path: str | Path) -> ConceptGraph:
    """Read a graph back from its JSON file."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        nodes = [Node(**{k: tuple(v) if isinstance(v, list) else v for k, v in n.items()}) for n in found["nodes"]]
        edges = tuple(Edge(**edge) for edge in found["edges"])
        layers, classes = tuple(found["layers"]), tuple(found["classes"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} isn't a concept graph as save_graph writes it: {error}") from error
    return ConceptGraph(layers, classes, tuple(nodes), edges, found.get("picture", ""))
