"""The strongest routes of classes through a concept graph, and the graph of these routes alone. See `fig-ierf-12`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...names import unknown
from .record import ConceptGraph


@dataclass(frozen=True)
class Route:
    """A way from the first layer to a class: its nodes, and the product of its edges' shares."""

    class_: int
    nodes: tuple[int, ...]
    strength: float


def routes(graph: ConceptGraph, class_: str | int, n: int = 3) -> list[Route]:
    """Find the n strongest routes to a class, strongest first; those of strength 0 are none."""
    c = class_ if isinstance(class_, int) else place_of(graph, class_)
    goal = graph.column(len(graph.layers) - 1)[c]
    if n < 1:
        raise ValueError(f"at least 1 route is needed, not {n}")
    best = {i: [(1.0, (i,))] for i in graph.column(0)}
    into: dict[int, list] = {}
    for edge in graph.edges:
        into.setdefault(edge.end, []).append(edge)
    for layer in range(1, len(graph.layers)):
        for i in graph.column(layer):
            ways = [
                (strength * edge.share, (*nodes, i))
                for edge in into.get(i, ())
                for strength, nodes in best[edge.start]
                if edge.share > 0
            ]
            best[i] = sorted(ways, reverse=True)[:n]  # the n best ways hold only n best beginnings
    return [Route(c, nodes, strength) for strength, nodes in best[goal]]


def place_of(graph: ConceptGraph, class_: str) -> int:
    """Find a class of the graph by its name."""
    if class_ not in graph.classes:
        raise KeyError(unknown("class of the graph", class_, graph.classes))
    return graph.classes.index(class_)


def routed(graph: ConceptGraph, found: Sequence[Route]) -> ConceptGraph:
    """Keep the nodes and edges of routes; an edge gets the colour of its route's class, none where classes share it."""
    if not found:
        raise ValueError("there is no route to draw: no edge leads from the first layer to the class")
    owners: dict[tuple[int, int], set[int]] = {}
    for route in found:
        for pair in zip(route.nodes, route.nodes[1:], strict=False):
            owners.setdefault(pair, set()).add(route.class_)
    kept = sorted({i for route in found for i in route.nodes} | set(graph.column(len(graph.layers) - 1)))
    number = {old: new for new, old in enumerate(kept)}
    edges = tuple(
        replace(edge, start=number[edge.start], end=number[edge.end], route=-1 if len(own) > 1 else min(own))
        for edge in graph.edges
        if (own := owners.get((edge.start, edge.end)))
    )
    return replace(graph, nodes=tuple(graph.nodes[i] for i in kept), edges=edges)


def abbreviated(graph: ConceptGraph, layers: int = 3) -> ConceptGraph:
    """Keep the last layers before the classes, as many as told."""
    if not 1 <= layers < len(graph.layers):
        raise ValueError(f"the graph has 1 to {len(graph.layers) - 1} layers before its classes, not {layers}")
    first = len(graph.layers) - 1 - layers
    kept = [i for i, node in enumerate(graph.nodes) if node.layer >= first]
    number = {old: new for new, old in enumerate(kept)}
    edges = tuple(
        replace(edge, start=number[edge.start], end=number[edge.end])
        for edge in graph.edges
        if edge.start in number and edge.end in number
    )
    nodes = tuple(replace(graph.nodes[i], layer=graph.nodes[i].layer - first) for i in kept)
    return replace(graph, layers=graph.layers[first:], nodes=nodes, edges=edges)


def meeting(found: Sequence[Route]) -> list[int]:
    """List the nodes that routes of more than one class pass."""
    owners: dict[int, set[int]] = {}
    for route in found:
        for i in route.nodes:
            owners.setdefault(i, set()).add(route.class_)
    return sorted(i for i, own in owners.items() if len(own) > 1)
