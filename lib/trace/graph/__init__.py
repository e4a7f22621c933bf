"""The interlayer concept graph: which concepts to show, where to put them, and how to draw them."""

from .choice import choose
from .names import fits, name_of
from .record import ConceptGraph, concept_graph, load_graph, save_graph
from .routes import abbreviated, meeting, routed, routes
from .stack import Stack

__all__ = ["ConceptGraph", "Stack", "abbreviated", "choose", "concept_graph", "fits", "load_graph", "meeting",
           "name_of", "routed", "routes", "save_graph"]  # fmt: skip
