"""One axis of the study's figures at a time: bars of scores, violins of similarity, right choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import plot
from .numbers import quantiles, shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

NOBODY = "nobody was asked:\nthere are no files of answers"


def tints(methods: Sequence[str]) -> dict[str, str]:
    """Give each method its colour of the book, or one that is left when the book doesn't know it."""
    known = {}
    for method in methods:
        try:
            known[method] = plot.colour(method)
        except ValueError:
            known[method] = next(c for c in (*plot.PALETTE, "#666666") if c not in known.values())
    return known


def empty(axes: Axes, words: str = NOBODY) -> None:
    """Turn an axis into a grey panel of words."""
    axes.set(xticks=[], yticks=[], facecolor="#F2F2F2")
    axes.spines[:].set_visible(False)
    axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes, fontsize=9, color="#555555")


def whiskers(axes: Axes, x: np.ndarray, rows: DataFrame, value: str, low: str = "low", high: str = "high") -> None:
    """Draw the intervals of a column over its bars."""
    y, ends = rows[value].to_numpy(), rows[[low, high]].to_numpy()
    if np.isfinite(ends).any():
        lengths = np.nan_to_num(np.abs(ends - y[:, None])).T
        axes.errorbar(x, y, yerr=lengths, fmt="none", ecolor=plot.look.INK, elinewidth=0.9, capsize=2)


def score_bars(axes: Axes, answers: DataFrame) -> None:
    """Draw how often each method got each score, with intervals."""
    if not len(answers):
        return empty(axes)
    found = shares(answers)
    colours = tints(found["method"].unique())
    width = 0.8 / len(colours)
    for k, (method, colour) in enumerate(colours.items()):
        rows = found[found["method"] == method]
        x = rows["score"].to_numpy() + (k + 0.5) * width - 0.4
        axes.bar(x, rows["share"], width, color=colour, label=method)
        whiskers(axes, x, rows, "share")
    axes.set(xlabel="score, from 1 (worst) to 5 (best)", ylabel="share of answers", ylim=(0, 1))
    axes.legend()


def violins(axes: Axes, answers: DataFrame, *, methods: Sequence[str] = ()) -> None:
    """Draw the similarity of words per method: violin, median with its interval, 5 % and 95 % quantile.

    `methods` gives each its place in a small panel, without labels.
    """
    if not len(answers):
        return empty(axes)
    found, colours = quantiles(answers), tints(methods or answers["method"].unique())
    for row in found.to_dict("records"):
        x, colour = list(colours).index(row["method"]), colours[row["method"]]
        values = answers.loc[answers["method"] == row["method"], "similarity"].to_numpy()
        if len(values) > 4 and np.ptp(values) > 0:
            (body,) = axes.violinplot(values, [x], widths=0.8, showextrema=False)["bodies"]
            body.set(facecolor=colour, alpha=0.35, edgecolor=colour)
        else:
            axes.plot([x] * len(values), values, "o", color=colour, ms=3, alpha=0.6)
        axes.hlines([row["5 %"], row["95 %"]], x - 0.15, x + 0.15, color=colour, lw=1.2)
        axes.hlines(row["median"], x - 0.28, x + 0.28, color=colour, lw=2.4)
        axes.vlines(x, row["low"], row["high"], color=plot.look.INK, lw=1.2)
    axes.set(xlim=(-0.6, len(colours) - 0.4), ylim=(min(-0.1, answers["similarity"].min() - 0.05), 1.05), xticks=[])
    if not methods:
        axes.set_xticks(range(len(colours)), colours, fontsize=7)
        axes.set_ylabel("similarity to the true word")


def correct_bars(axes: Axes, found: DataFrame) -> None:
    """Draw a table of right choices: method, correct, confidence and, where known, low and high."""
    if not len(found):
        return empty(axes)
    x = np.arange(len(found))
    axes.bar(x, found["correct"], 0.7, color=list(tints(found["method"]).values()))
    if "low" in found:
        whiskers(axes, x, found, "correct")
    for i, row in enumerate(found.to_dict("records")):
        words = f"{row['correct']:.0%}\n({row['confidence']:.2f})"
        axes.text(i, 0.04, words, ha="center", va="bottom", fontsize=8, color="black", weight="bold")
    axes.axhline(0.5, color=plot.look.FAINT, lw=0.8, ls=":")
    axes.set(ylim=(0, 1.05), ylabel="right choices (confidence)")
    axes.set_xticks(x, found["method"], fontsize=6.5)
