"""Tables of what was answered, each with a 95 % interval from drawing participants anew (metrics.bootstrap).

`answers` is what `Answers.of(section)` gives; `by` names the columns that rows are told apart by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..metrics import bootstrap, wilson

if TYPE_CHECKING:
    from pandas import DataFrame

LOW, HIGH = "low", "high"


def shares(answers: DataFrame, by: Sequence[str] = ("method",)) -> DataFrame:
    """Return how often each score from 1 to 5 was given: a line per group and score."""
    import pandas as pd

    given = [answers.assign(share=(answers["score"] == score).astype(float), score=score) for score in range(1, 6)]
    return means(pd.concat(given, ignore_index=True), "share", [*by, "score"])


def means(answers: DataFrame, value: str, by: Sequence[str] = ("method",)) -> DataFrame:
    """Return the mean of a column (score, share, correct, confidence) per group."""
    return table(answers, value, by, {value: np.nanmean}, np.nanmean)


def quantiles(answers: DataFrame, value: str = "similarity", by: Sequence[str] = ("method",)) -> DataFrame:
    """Return median, 5 % and 95 % quantile of a column per group; the interval is that of the median."""
    wanted = {"5 %": lambda v: np.nanquantile(v, 0.05), "median": np.nanmedian,
              "95 %": lambda v: np.nanquantile(v, 0.95)}  # fmt: skip
    return table(answers, value, by, wanted, np.nanmedian)


def table(
    answers: DataFrame, value: str, by: Sequence[str], wanted: dict[str, Callable], statistic: Callable
) -> DataFrame:
    """Return statistics per group with the interval of one of them, and how many answers there are."""
    import pandas as pd

    lines = []
    for group, part in answers.groupby(list(by), sort=False):
        low, high = bootstrap(by_participant(part, value), statistic)
        found = {name: float(measure(part[value].to_numpy(float))) for name, measure in wanted.items()}
        lines.append(dict(zip(by, group, strict=True)) | found | {LOW: low, HIGH: high, "answers": len(part)})
    return pd.DataFrame(lines, columns=[*by, *wanted, LOW, HIGH, "answers"])


def by_participant(answers: DataFrame, value: str) -> np.ndarray:
    """Lay answers out with one row per participant, NaN where a row has fewer: (participants, most answers)."""
    rows = [part[value].to_numpy(float) for _, part in answers.groupby("participant", sort=True)]
    wide = np.full((len(rows), max(map(len, rows), default=0)), np.nan)
    for line, row in zip(wide, rows, strict=True):
        line[: len(row)] = row
    return wide


def correctness(answers: DataFrame, by: Sequence[str] = ("method",)) -> DataFrame:
    """Return the share of right choices and the mean confidence per group, each with its interval.

    Where all choices are right, the share's interval is Wilson's with one case per participant.
    """
    right, sure = means(answers, "correct", by), means(answers, "confidence", by)
    for line, row in right.iterrows():
        if row[LOW] == row[HIGH]:  # all right or all wrong: drawing anew can't show how sure that is
            part = answers[(answers[list(by)] == row[list(by)]).all(axis=1)]
            right.loc[line, [LOW, HIGH]] = wilson(row["correct"], part["participant"].nunique())
    sure = sure.rename(columns={LOW: f"confidence {LOW}", HIGH: f"confidence {HIGH}"})
    return right.merge(sure.drop(columns="answers"), on=list(by))


def demographics(people: DataFrame) -> DataFrame:
    """Return how many people gave each age and gender, and their share among those who gave one."""
    import pandas as pd

    told = [(what, value) for what in ("age", "gender") for value in people[what] if value]
    counts = pd.DataFrame(told, columns=["what", "value"]).groupby(["what", "value"]).size().reset_index(name="people")
    counts["share"] = counts["people"] / counts.groupby("what")["people"].transform("sum")
    return counts


def with_similarity(answers: DataFrame, encode: Callable) -> DataFrame:
    """Add how near each word is to the name of what its image stands for."""
    from .words import similarity

    near = similarity(answers["word"].tolist(), answers["question"].tolist(), encode)
    return answers.assign(similarity=near.numpy())
