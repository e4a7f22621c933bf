"""Which concepts a graph shows: the most important of each class, and those that matter to all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def choose(importances: Mapping[str, Any], *, top: int = 5, shared: int = 3) -> dict[str, dict[int, tuple[int, ...]]]:
    """Choose the `top` concepts of each class in every layer and the `shared` ones that matter to all classes.

    `importances`: {layer: (classes, K)}; only positive ones count. Returns {layer: {concept: the classes it is for}},
    concepts in rising order. A shared concept ranks by its smallest share of any class's importance.
    """
    if top < 1 or shared < 0:
        raise ValueError(f"a graph shows 1 concept or more of each class and 0 or more shared, not {top} and {shared}")
    chosen = {}
    for layer, values in importances.items():
        values = as_array(values)
        own = [set(leading(row, top)) for row in values]
        for_all: set[int] = set()
        if len(values) > 1:
            shares = values / np.maximum(values.max(1, keepdims=True), 1e-30)
            for_all = set(leading(shares.min(0), shared))
        every = tuple(range(len(values)))
        chosen[layer] = {
            k: every if k in for_all else tuple(c for c in every if k in own[c])
            for k in sorted(set.union(for_all, *own))
        }
        if not chosen[layer]:
            raise ValueError(f"no concept of {layer} has a positive importance for any class")
    return chosen


def leading(values: np.ndarray, count: int) -> list[int]:
    """List the places of the largest positive values (K,), largest first, of equals the first."""
    order = np.argsort(-values, kind="stable")[:count]
    return [int(k) for k in order if values[k] > 0]


def as_array(values: Any) -> np.ndarray:
    """Turn a tensor or a nested list into floats."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=float)


def checked(
    importances: Mapping[str, Any], edges: Mapping[tuple[str, str], Any], classes: Sequence[str]
) -> dict[str, np.ndarray]:
    """Check the shapes of importances and that every pair of neighbouring layers has its edges."""
    found = {layer: as_array(values) for layer, values in importances.items()}
    if not found or not classes:
        raise ValueError(f"a graph needs a layer and a class or more; got {len(found)} layers, {len(classes)} classes")
    for layer, values in found.items():
        if values.ndim != 2 or len(values) != len(classes):
            raise ValueError(f"the importances of {layer} are ({len(classes)} classes, concepts), found {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"the importances of {layer} aren't all finite")
    layers = list(found)
    for pair in zip(layers, layers[1:], strict=False):
        if pair not in edges:
            given = ", ".join(f"{a} to {b}" for a, b in edges) or "none"
            raise ValueError(f"edges from {pair[0]} to {pair[1]} are missing; given are {given}")
    return found


def reduced(values: Any, chosen: tuple[list[int], list[int]], sizes: tuple[int, int], pair: str) -> np.ndarray:
    """Take the chosen rows and columns of edges, each side given for all concepts or for the chosen ones only."""
    values = as_array(values)
    for axis, (some, all_) in enumerate(zip(chosen, sizes, strict=True)):
        length = values.shape[axis] if values.ndim == 2 else -1
        if length == all_:
            values = values.take(some, axis)
        elif length != len(some):
            shape = " x ".join(map(str, values.shape))
            raise ValueError(
                f"edges from {pair} are ({sizes[0]} x {sizes[1]}), or only the chosen "
                f"({len(chosen[0])} x {len(chosen[1])}), found {shape or 'one number'}"
            )
    if not np.isfinite(values).all():
        raise ValueError(f"edges from {pair} aren't all finite")
    return values
