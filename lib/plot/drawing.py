"""Draw an image grid in whole pixels, so that images stay crisp and labels never meet."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from .cells import resized
from .labels import Block, boxed, fitted
from .look import DPI

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST = 190  # pixels an image is drawn at when there is room for more
SMALLEST = 12
PAPER = 242  # grey of a cell that holds words instead of an image
GAP = 5  # pixels between a label and its image
SHARE = 0.2  # of the width, at most, for the labels of the rows


@dataclass(frozen=True)
class Labels:
    """The texts around a grid."""

    rows: list[str]
    columns: list[str]
    captions: list[str]


@dataclass(frozen=True)
class Plan:
    """Where everything stands, in pixels from the top left: columns, rows, image side, whole size."""

    xs: list[int]
    ys: list[int]
    side: int
    size: tuple[int, int]


def draw(cells: list[list[Any]], labels: Labels, width: float, pad: int) -> Figure:
    """Draw a grid: one canvas of pixels, and the labels as text over it."""
    total, down, across = round(width * DPI), len(cells), len(cells[0])
    left = fitted(labels.rows, round(SHARE * total))
    margin = max((block.width + GAP for block in left), default=0)
    side = min(LARGEST, (total - margin - pad * (across - 1)) // across)
    if side < SMALLEST:
        raise ValueError(f"{across} columns leave {side} pixels per image in {width:g} inches: draw fewer")
    top, below = fitted(labels.columns, side, turn=True), fitted(labels.captions, side)
    head = max((block.height + GAP for block in top), default=0)
    steps = [step(side, left[i : i + 1], below[i * across : (i + 1) * across]) + pad for i in range(down)]
    xs = [margin + i * (side + pad) for i in range(across)]
    ys = [head + sum(steps[:i]) for i in range(down)]
    plan = Plan(xs, ys, side, (xs[-1] + side, head + sum(steps) - pad))
    axes = canvas(cells, plan)
    for x, block in zip(xs, top, strict=False):
        write(axes, block, x + side / 2, head - GAP, "center", "bottom")
    for y, block in zip(ys, left, strict=False):
        write(axes, block, margin - GAP, y + side / 2, "right", "center")
    for i, block in enumerate(below):
        write(axes, block, xs[i % across] + side / 2, ys[i // across] + side + GAP // 2, "center", "top")
    return axes.figure


def step(side: int, left: list[Block], below: list[Block]) -> int:
    """Find a row's height: the image and its captions, or a tall label at the left."""
    captions = max((block.height + GAP for block in below if block.text), default=0)
    return max([side + captions, *(block.height for block in left)])


def canvas(cells: list[list[Any]], plan: Plan) -> Axes:
    """Put all images on one white canvas, drawn pixel for pixel."""
    import matplotlib.pyplot as plt

    wide, high = plan.size
    pixels = np.full((high, wide, 3), 255, dtype=np.uint8)
    fig = plt.figure(figsize=(wide / DPI, high / DPI), dpi=DPI, facecolor="white", layout="none")
    axes = fig.add_axes((0, 0, 1, 1), xlim=(0, wide), ylim=(high, 0))
    axes.set_axis_off()
    for y, row in zip(plan.ys, cells, strict=True):
        for x, cell in zip(plan.xs, row, strict=True):
            if cell is not None and not isinstance(cell, str):
                paste(pixels, resized(cell, plan.side), x, y, plan.side)
        for first, last, text in stretches(row):
            left, right = plan.xs[first], plan.xs[last] + plan.side
            pixels[y : y + plan.side, left:right] = PAPER
            block = boxed(text, right - left - 2 * GAP, plan.side - 2)
            write(axes, block, (left + right) / 2, y + plan.side / 2)
    axes.imshow(pixels, extent=(0, wide, high, 0), aspect="auto", interpolation="none")
    return axes


def stretches(row: list[Any]) -> list[tuple[int, int, str]]:
    """Join neighbouring cells that hold the same text: first cell, last cell, text."""
    runs, start = [], 0
    for text, same in groupby(row, key=label):
        length = len(list(same))
        runs.append((start, start + length - 1, text))
        start += length
    return [run for run in runs if run[2]]


def label(cell: Any) -> str:
    """Take a cell's text, "" for an image or a gap."""
    return cell if isinstance(cell, str) else ""


def paste(pixels: np.ndarray, image: np.ndarray, x: int, y: int, side: int) -> None:
    """Put an image in the middle of its square cell."""
    high, wide = image.shape[:2]
    top, left = y + (side - high) // 2, x + (side - wide) // 2
    pixels[top : top + high, left : left + wide] = image


def write(axes: Axes, block: Block, x: float, y: float, across: str = "center", down: str = "center") -> None:
    """Write a label at a point of the canvas."""
    axes.text(
        x, y, block.text, fontsize=block.points, ha=across, va=down, rotation=90 if block.upright else 0,
        linespacing=1.15, multialignment="right" if across == "right" else "center", family="DejaVu Sans",
    )  # fmt: skip
