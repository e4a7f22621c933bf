"""Pictures in the house look: image grids whose labels stay readable, heat maps, method colours.

Figures are at most 8 inches wide at 110 dots an inch and opaque white. Every notebook draws with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .look import (
    DIVERGING,
    METHOD_COLOURS,
    METHOD_MARKERS,
    PALETTE,
    SEQUENTIAL,
    WIDEST,
    colour,
    marker,
    style,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "DIVERGING", "METHOD_COLOURS", "METHOD_MARKERS", "PALETTE", "SEQUENTIAL", "WIDEST",
    "colour", "grid", "heat", "marker", "sheet", "style",
]  # fmt: skip


def heat(maps: Any, *, signed: bool = False) -> np.ndarray:
    """Colour maps (n,h,w), each by its own range: float (n,h,w,3); ``signed`` keeps zero white."""
    import matplotlib as mpl

    maps = np.asarray(maps, dtype=float)
    axes = tuple(range(1, maps.ndim))
    largest = np.abs(maps).max(axis=axes, keepdims=True)
    low = -largest if signed else maps.min(axis=axes, keepdims=True)
    span = np.maximum((largest if signed else maps.max(axis=axes, keepdims=True)) - low, 1e-12)
    return mpl.colormaps[DIVERGING if signed else SEQUENTIAL]((maps - low) / span)[..., :3]


def grid(
    images: Any,
    *,
    rows: Sequence[str] | int | None = None,
    columns: Sequence[str] | int | None = None,
    captions: Sequence[str] | None = None,
    width: float = WIDEST,
    pad: int = 4,
) -> Figure:
    """Draw images in rows and columns with labels above, at the left and below.

    ``images``: (n,3,h,w) or (rows,columns,3,h,w), or nested lists where None leaves a gap and a text stands
    for an image that can't be given; ``rows``, ``columns``: labels or counts; ``captions`` go row by row.
    """
    from . import cells, drawing

    placed = cells.arrange(images, count(rows), count(columns))
    labels = drawing.Labels(texts(rows), texts(columns), list(captions or ()))
    return drawing.draw(placed, labels, min(width, WIDEST), pad)


def sheet(
    images: Any, *, columns: int = 12, captions: Sequence[str] | None = None, width: float = WIDEST
) -> Figure:
    """Draw many images close together, as a contact sheet."""
    return grid(images, columns=columns, captions=captions, width=width, pad=2)


def count(labels: Sequence[str] | int | None) -> int:
    """Count the rows or columns asked for, 0 when that is left open."""
    return labels if isinstance(labels, int) else len(labels or ())


def texts(labels: Sequence[str] | int | None) -> list[str]:
    """Take the labels, none when only a count was given."""
    return [] if isinstance(labels, int) or labels is None else [str(label) for label in labels]
