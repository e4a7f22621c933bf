"""The study's figures, in the house look: bars of ratings, violins of similarity, right choices, who took part.

Without answers each is a panel that says so. See `fig-vital-7`, `fig-vital-15`, `fig-vital-40` to `42` and `44`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import plot
from .drawing import NOBODY, correct_bars, empty, score_bars, tints, violins
from .numbers import correctness, means, shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

SCORES = ("#E4E4E4", "#C9D8DA", "#94BCC2", "#4F929C", "#17616E")  # from worst to best
TEXT = dict(fontsize=7.5, color=plot.look.INK)


def nobody(words: str = NOBODY, size: tuple[float, float] = (6, 1.6)) -> Figure:
    """Draw a panel that says why there is nothing to show."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=size)
    empty(axes, words)
    return figure


def summary(words: DataFrame, references: DataFrame, describe: DataFrame) -> Figure:
    """Draw the three parts of the first study side by side (figure 7)."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(8, 2.7))
    score_bars(axes[0], words)
    score_bars(axes[1], references)
    violins(axes[2], describe)
    for panel, title in zip(axes, ("class and word", "inner neuron and references", "one word"), strict=True):
        panel.set_title(title)
    return figure


def panels(questions: Sequence[str], height: float) -> tuple[Figure, list[Axes]]:
    """Lay out one small panel per question, five in a row."""
    import matplotlib.pyplot as plt

    rows = -(-len(questions) // 5)
    figure, axes = plt.subplots(rows, 5, figsize=(8, height * rows), sharey="row", squeeze=False)
    for panel in axes.flat[len(questions) :]:
        panel.set_visible(False)
    for panel, question in zip(axes.flat, questions, strict=False):
        panel.set_title(question, fontsize=8)
    return figure, list(axes.flat[: len(questions)])


def scores_by_question(answers: DataFrame) -> Figure:
    """Draw the scores of each question as stacked bars, a row per method, the mean score beside it (figures 40, 41)."""
    if not len(answers):
        return nobody()
    from matplotlib.patches import Patch

    questions, methods = answers["question"].unique(), list(answers["method"].unique())
    figure, axes = panels(questions, 0.45 + 0.24 * len(methods))
    for panel, question in zip(axes, questions, strict=True):
        asked = answers[answers["question"] == question]
        given = shares(asked).pivot(index="method", columns="score", values="share").reindex(methods).fillna(0)
        starts = given.cumsum(axis=1) - given
        for score, colour in zip(given, SCORES, strict=True):
            panel.barh(methods, given[score], left=starts[score], color=colour, height=0.72)
        for row in means(asked, "score").to_dict("records"):
            panel.text(1.03, methods.index(row["method"]), f"{row['score']:.1f}", va="center", **TEXT)
        panel.set(xticks=[], xlim=(0, 1.2))
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0)
        panel.set_ylim(len(methods) - 0.5, -0.5)
    keys = [Patch(color=colour, label=str(i + 1)) for i, colour in enumerate(SCORES)]
    figure.legend(handles=keys, loc="outside lower center", ncols=5, title="score; at the right of a bar its mean")
    return figure


def similarity_by_question(answers: DataFrame) -> Figure:
    """Draw the similarity of the words for each question (figure 42)."""
    if not len(answers):
        return nobody()
    from matplotlib.patches import Patch

    questions, colours = answers["question"].unique(), tints(answers["method"].unique())
    figure, axes = panels(questions, 1.5)
    for panel, question in zip(axes, questions, strict=True):
        violins(panel, answers[answers["question"] == question], methods=list(colours))
    keys = [Patch(color=colour, label=method) for method, colour in colours.items()]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))
    return figure


def people_bars(found: DataFrame) -> Figure:
    """Draw who took part (figure 15): columns what (age, gender), value, share and, where known, people."""
    if not len(found):
        return nobody()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 2.4))
    for panel, what in zip(axes, ("age", "gender"), strict=True):
        rows = found[found["what"] == what]
        panel.barh(rows["value"], rows["share"], color=plot.PALETTE[0], height=0.65)
        for i, row in enumerate(rows.to_dict("records")):
            count = f" ({row['people']})" if "people" in row else ""
            panel.text(row["share"] + 0.01, i, f"{row['share']:.1%}{count}", va="center", **TEXT)
        panel.set(title=what, xlim=(0, 1.05 * max(rows["share"].max(), 0.5) + 0.15), xticks=[])
        panel.spines["bottom"].set_visible(False)
        panel.invert_yaxis()
    return figure


def choices(classes: DataFrame, inner: DataFrame) -> Figure:
    """Draw the second study: right choices per method, per class and method, and for inner neurons (figure 44)."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(8, 2.9), sharey=True)
    correct_bars(axes[0], correctness(classes))
    correct_dots(axes[1], classes)
    correct_bars(axes[2], correctness(inner))
    axes[2].set_ylabel("")
    for panel, title in zip(axes, ("class neurons", "each class", "inner neurons"), strict=True):
        panel.set_title(title)
    return figure


def correct_dots(axes: Axes, answers: DataFrame) -> None:
    """Draw the share of right choices of each question and method."""
    if not len(answers):
        return empty(axes)
    found = correctness(answers, ("question", "method"))
    questions = list(found["question"].unique())
    colours = tints(found["method"].unique())
    for k, (method, colour) in enumerate(colours.items()):
        rows = found[found["method"] == method]
        x = [questions.index(q) + 0.6 * (k + 0.5) / len(colours) - 0.3 for q in rows["question"]]
        axes.plot(x, rows["correct"], "o", color=colour)
    axes.set(xticks=range(len(questions)), xlim=(-0.5, len(questions) - 0.5))
    axes.set_xticklabels(questions, rotation=30, ha="right")
