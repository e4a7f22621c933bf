"""Which influences of a concept graph are drawn, and which light up when one points at a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .record import ConceptGraph

FAINTEST = 0.12  # share of the pair's strongest edge below which an edge isn't drawn ...
INCOMING = 4  # ... and how many are drawn into a node at most; a node's strongest ones always are
LEAST = 0.01  # except where there is next to nothing


def drawn(graph: ConceptGraph) -> list[int]:
    """List the edges to draw, weak ones first, so that no node hangs loose and the strong lie on top.

    A graph of routes has no others, and they are drawn all.
    """
    if any(edge.route >= 0 for edge in graph.edges):
        return sorted(range(len(graph.edges)), key=lambda e: (graph.edges[e].share, e))
    into, out = sides(graph)
    kept: set[int] = set()
    for edges in into.values():
        kept.update(e for e in edges[:INCOMING] if graph.edges[e].share >= FAINTEST)
    for edges in (*into.values(), *out.values()):
        kept.update(e for e in edges[:1] if graph.edges[e].share >= LEAST)
    return sorted(kept, key=lambda e: (graph.edges[e].share, e))


def sides(graph: ConceptGraph) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """List the edges into and out of every node, strongest first."""
    into: dict[int, list[int]] = {}
    out: dict[int, list[int]] = {}
    for e in sorted(range(len(graph.edges)), key=lambda e: -graph.edges[e].share):
        into.setdefault(graph.edges[e].end, []).append(e)
        out.setdefault(graph.edges[e].start, []).append(e)
    return into, out


def trails(graph: ConceptGraph, edges: list[int]) -> dict[int, set[int]]:
    """Find for every node what lights up with it: its own edges, and the strongest way through it, both ways."""
    into: dict[int, list[int]] = {}
    out: dict[int, list[int]] = {}
    for e in reversed(edges):
        into.setdefault(graph.edges[e].end, []).append(e)
        out.setdefault(graph.edges[e].start, []).append(e)
    found = {}
    for node in range(len(graph.nodes)):
        found[node] = {*into.get(node, ()), *out.get(node, ())}
        back, on = node, node
        while into.get(back):
            found[node].add(into[back][0])
            back = graph.edges[into[back][0]].start
        while out.get(on):
            found[node].add(out[on][0])
            on = graph.edges[out[on][0]].end
    return found
