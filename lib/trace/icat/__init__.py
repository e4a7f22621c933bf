"""ICAT: how concepts of one layer make concepts of another, all edges at once."""

from .edges import Edges, edges, edges_of, importance, pair_edges
from .insertion import Curves, curves, strongest
from .links import Link, between, to_outputs
from .planted import found, planted, together

__all__ = ["Curves", "Edges", "Link", "between", "curves", "edges", "edges_of", "found", "importance", "pair_edges",
           "planted", "strongest", "to_outputs", "together"]  # fmt: skip
