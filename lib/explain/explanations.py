"""What a layer's neurons say in words: short weighted sums of concepts, as records, sentences, tables and files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..names import unknown

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class Explanations:
    """One explanation for each of K units: the sum of weight * presence of up to v concepts, plus a bias.

    Concepts are numbers into `names`, largest weight first, then -1 where an explanation has ended (weight 0 there).
    A unit without any is a constant. `score` is the correlation on validation images, NaN where there is none.
    """

    names: tuple[str, ...]
    concept: Tensor  # (K, v) long
    weight: Tensor  # (K, v)
    bias: Tensor  # (K,)
    score: Tensor  # (K,)

    def __len__(self) -> int:
        """Count the units."""
        return len(self.concept)

    @property
    def length(self) -> Tensor:
        """Count each unit's concepts: (K,)."""
        return (self.concept >= 0).sum(1)

    @property
    def empty(self) -> list[int]:
        """List the units without an explanation: dead, constant, or like no concept."""
        return (self.length == 0).nonzero()[:, 0].tolist()

    def terms(self, k: int) -> list[tuple[float, str]]:
        """List the weights and concepts of a unit, the largest weight first."""
        if not 0 <= k < len(self):
            raise IndexError(f"unit {k} doesn't exist: there are 0 to {len(self) - 1}")
        pairs = zip(self.weight[k].tolist(), self.concept[k].tolist(), strict=True)
        return [(weight, self.names[j]) for weight, j in pairs if j >= 0]

    def sentence(self, k: int, *, digits: int = 2) -> str:
        """Say a unit's explanation, `2.8 zebra + 1.9 stripes + 0.4`, with so many digits in its largest number."""
        parts = [*self.terms(k), (float(self.bias[k]), "")]
        largest = max(abs(weight) for weight, _ in parts)
        places = max(0, digits - 1 - math.floor(math.log10(largest))) if largest else 1
        parts = [(round(weight, places), name) for weight, name in parts]
        if len(parts) > 1 and not parts[-1][0]:
            parts = parts[:-1]
        said = "".join(f" {'-' if w < 0 else '+'} {abs(w):.{places}f} {name}".rstrip() for w, name in parts)
        return said.removeprefix(" + ") if said.startswith(" +") else f"-{said.removeprefix(' - ')}"

    def pick(self, units: Sequence[int] | Tensor) -> Explanations:
        """Keep some units, in the order asked for."""
        rows = torch.as_tensor(units, dtype=torch.long, device=self.concept.device)
        kept = {field: getattr(self, field)[rows] for field in ("concept", "weight", "bias", "score")}
        return replace(self, **kept)

    def table(self, units: Iterable[int] | None = None) -> DataFrame:
        """Make a table with a line for each unit: its explanation, length and score."""
        import pandas as pd

        chosen = list(range(len(self)) if units is None else units)
        rows = [(k, self.sentence(k), len(self.terms(k)), float(self.score[k])) for k in chosen]
        return pd.DataFrame(rows, columns=["unit", "explanation", "length", "score"])

    def save(self, path: str | Path) -> None:
        """Write a file that `load` reads back: a line for each concept in a .csv, a record for each unit in a .json."""
        from .exports import save

        save(self, path)


def of_words(names: Sequence[str], words: Sequence[str], *, score: Tensor | None = None) -> Explanations:
    """Make explanations of one word each, weight 1 and bias 0; an empty word is no explanation."""
    if isinstance(words, str):
        raise TypeError(f"expected a list of words, found one string: {words!r}")
    number = {name: i for i, name in enumerate(names)} | {"": -1}
    for word in words:
        if word not in number:
            raise KeyError(unknown("concept", word, names))
    concept = torch.tensor([[number[word]] for word in words], dtype=torch.long).reshape(-1, 1)
    score = torch.full((len(words),), math.nan) if score is None else torch.as_tensor(score).float()
    return Explanations(tuple(names), concept, (concept >= 0).float(), torch.zeros(len(words)), score)
