"""Measure labels, and break, shrink or turn them until they fit their room."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .look import DPI

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg

LEADING = 1.32  # line height over font size
SIZES = (9.0, 8.5, 8.0, 7.5, 7.0, 6.5)  # points: from the wanted size to the least that is readable


@dataclass(frozen=True)
class Block:
    """A label broken into lines: its text, font size in points, size in pixels, upright or not."""

    text: str
    points: float
    width: int
    height: int
    upright: bool = False


@lru_cache(maxsize=4096)
def extent(text: str, points: float) -> tuple[int, int]:
    """Measure one line of text in pixels: width, height."""
    from matplotlib.font_manager import FontProperties

    font = FontProperties(family="DejaVu Sans", size=points)
    wide, _, _ = renderer().get_text_width_height_descent(text, font, False)
    return int(np.ceil(wide)) + 1, int(np.ceil(LEADING * points * DPI / 72))


@cache
def renderer() -> RendererAgg:
    """Make the renderer that labels will be drawn with, so that hinting is measured too."""
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, DPI)


def wrapped(text: str, room: int, points: float) -> list[str]:
    """Break a text between words so that lines fit the room where words allow it; its own breaks stay."""
    if "\n" in text:
        return [line for part in text.split("\n") for line in wrapped(part, room, points)]
    lines: list[str] = []
    for word in text.split():
        if lines and extent(f"{lines[-1]} {word}", points)[0] <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def fitted(texts: list[str], room: int, *, turn: bool = False) -> list[Block]:
    """Break labels for a width in pixels, at the largest font at which words fit, or turn or cut them."""
    for points in SIZES:
        lines = [wrapped(text, room, points) for text in texts]
        if all(extent(line, points)[0] <= room for block in lines for line in block):
            return [block_of(block, points) for block in lines]
    if turn:
        sizes = [extent(text, SIZES[0]) for text in texts]
        return [
            Block(text, SIZES[0], high, wide, True) for text, (wide, high) in zip(texts, sizes, strict=True)
        ]
    return [block_of(sum((cut(line, room) for line in block), []), SIZES[-1]) for block in lines]


def boxed(text: str, wide: int, high: int) -> Block:
    """Fit one text into a box, with its last words left out where even the smallest font is too large."""
    for points in SIZES:
        block = block_of(wrapped(text, wide, points), points)
        if block.width <= wide and block.height <= high:
            return block
    words = text.split()
    while len(words) > 1 and block.height > high:
        words.pop()
        block = block_of(wrapped(" ".join(words) + " …", wide, SIZES[-1]), SIZES[-1])
    return block


def block_of(lines: list[str], points: float) -> Block:
    """Measure broken lines."""
    sizes = [extent(line, points) for line in lines]
    return Block("\n".join(lines), points, max(w for w, _ in sizes), sum(h for _, h in sizes))


def cut(line: str, room: int) -> list[str]:
    """Break a word that is too long for its room anywhere, with a hyphen."""
    parts = [""]
    for letter in line:
        if parts[-1] and extent(f"{parts[-1]}{letter}-", SIZES[-1])[0] > room:
            parts[-1] += "-"
            parts.append("")
        parts[-1] += letter
    return parts
