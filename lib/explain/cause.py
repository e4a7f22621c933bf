"""Do the words of an explanation drive the neuron? Each is painted in and out of the same scenes (beyond the paper).

A correlation may come from whatever goes along with a word in the data; a change from one edit of a scene can't. See
`book/linear/x-causes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..metrics import bootstrap
from .effects import SURE, WEAK, Effects, effects
from .explanations import Explanations
from .painting import paintable, paintable_words
from .simulate import correlations

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["STRONG", "Effects", "causes", "effects", "foreseen", "foresight", "judge", "reach", "word_by_word"]

STRONG = 0.5  # spreads of a neuron that count as a strong effect


def word_by_word(explanations: Explanations) -> Explanations:
    """Split captions into the words that can be painted, of equal weight; what has none stays as it is."""
    split = {name: [name] if paintable(name) else paintable_words(name) or [name] for name in explanations.names}
    names = tuple(dict.fromkeys(word for parts in split.values() for word in parts))
    number = {name: i for i, name in enumerate(names)}
    said = [[(number[part], w / len(split[name])) for w, name in explanations.terms(k) for part in split[name]]
            for k in range(len(explanations))]  # fmt: skip
    longest = max(map(len, said), default=0)
    rows = [terms + [(-1, 0.0)] * (longest - len(terms)) for terms in said]
    both = torch.tensor(rows, dtype=torch.float64).reshape(len(said), longest, 2)
    return replace(explanations, names=names, concept=both[..., 0].long(), weight=both[..., 1].float())


@dataclass(frozen=True, eq=False)
class Verdict:
    """What painting each word of each explanation does to its unit, (K, v) like the explanations' words.

    `size` is the effect in the direction that the weight claims, in spreads of the unit, and `chance` the share of all
    units that the word drives that way; both are NaN where a word can't be painted or there is none.
    """

    size: Tensor
    drives: Tensor  # bool: surely, and by enough
    chance: Tensor
    unpainted: int  # words that the world can't show

    @property
    def known(self) -> Tensor:
        """Tell which words were painted: (K, v)."""
        return ~self.size.isnan()


def looked_up(effects: Effects, explanations: Explanations) -> Tensor:
    """Find the row of effects for each word of each explanation, -1 where there is none: (K, v)."""
    if len(explanations) != effects.mean.shape[1]:
        raise ValueError(f"{len(explanations)} units are explained; the effects are on {effects.mean.shape[1]}")
    number = {name: i for i, name in enumerate(effects.names)}
    rows = torch.tensor([*(number.get(name, -1) for name in explanations.names), -1])  # -1 reads the last
    return rows[explanations.concept.cpu()]


def judge(effects: Effects, explanations: Explanations, *, least: float = WEAK) -> Verdict:
    """Look up what each word of each explanation does to its unit; a negative weight claims a fall."""
    row, falls = looked_up(effects, explanations), explanations.weight.cpu() < 0
    unit = torch.arange(len(row))[:, None].expand_as(row)
    size = effects.mean[row, unit] * torch.where(falls, -1.0, 1.0)
    drives = (row >= 0) & (size >= least) & (size > SURE * effects.error[row, unit])
    up, down = (effects.drives(sign, least=least).float().mean(1)[row] for sign in (1.0, -1.0))
    size, chance = (value.where(row >= 0, torch.nan) for value in (size, torch.where(falls, down, up)))
    return Verdict(size, drives, chance, int(((explanations.concept.cpu() >= 0) & (row < 0)).sum()))


def reach(effects: Effects, verdict: Verdict) -> Tensor:
    """Tell how far each unit's best word goes towards the strongest cause of all that were painted: (K,), 0 to 1.

    NaN where no painted concept drives the unit upwards.
    """
    strongest = effects.mean.where(effects.drives(), 0.0).amax(0)
    sizes = verdict.size.where(verdict.drives, 0.0)
    best = sizes.amax(1) if sizes.shape[1] else torch.zeros(len(sizes))
    return (best / strongest).clamp(max=1).where(strongest > 0, torch.nan)


def foreseen(effects: Effects, explanations: Explanations) -> Tensor:
    """Let explanations say what painting each concept should do, by what it adds to the scenes: (M, K).

    A zebra brings stripes, too, so all words of an explanation have a part in what it promises.
    """
    row = looked_up(effects, explanations)
    weight = explanations.weight.cpu().float().where(row >= 0, 0.0)
    units = torch.arange(len(row))[:, None].expand_as(row)
    weights = torch.zeros(len(effects.names), len(row)).index_put_((row, units), weight, accumulate=True)
    return effects.gained @ weights


def foresight(effects: Effects, explanations: Explanations) -> Tensor:
    """Correlate what explanations promise of all paintings with what these do, unit by unit: (K,).

    NaN where no painting does anything, as to a unit that never fires.
    """
    found = correlations(foreseen(effects, explanations), effects.mean)
    return found.where(effects.mean.abs().amax(0) > 0, torch.nan)


def causes(effects: Effects, methods: Mapping[str, Explanations]) -> DataFrame:
    """Compare methods by how often their words drive the neuron: a line for each, one for chance and one for the best.

    `drive` is a share of the painted words, with its confidence interval over units from `low` to `high`; `chance` is
    what it would be for the same words dealt out to any units; `strongly` asks for half a spread; `first` counts each
    explanation's heaviest word alone; `effect` is a mean in spreads; `reach` is how far a neuron's best word goes
    towards the strongest cause of all; `foresight` correlates promised with measured changes over all paintings.
    """
    import pandas as pd

    lines = [line(name, effects, found) for name, found in methods.items()]
    everywhere = {"method": "any word, by chance", "words": effects.mean.numel(),
                  "drive": share(effects.drives()), "chance": share(effects.drives()),
                  "strongly": share(effects.drives(least=STRONG)), "effect": float(effects.mean.mean())}  # fmt: skip
    return pd.DataFrame([*lines, everywhere, line("the strongest cause", effects, effects.strongest())])


def line(name: str, effects: Effects, explanations: Explanations) -> dict[str, object]:
    """Sum up what a method's words do."""
    verdict = judge(effects, explanations)
    known, strongly = verdict.known, verdict.drives & (verdict.size >= STRONG)
    counts = torch.stack([verdict.drives.where(known, False).sum(1), known.sum(1)], 1)
    low, high = bootstrap(counts.double().numpy(), ratio)
    return {
        "method": name, "words": int(known.sum()), "drive": share(verdict.drives[known]), "low": low, "high": high,
        "chance": float(verdict.chance.nanmean()), "strongly": share(strongly[known]),
        "first": share(verdict.drives[:, :1][known[:, :1]]), "effect": float(verdict.size.nanmean()),
        "reach": float(reach(effects, verdict).nanmean()),
        "foresight": float(foresight(effects, explanations).nanmean()), "not painted": verdict.unpainted,
    }  # fmt: skip


def ratio(counts: np.ndarray, *, axis: int = 1) -> np.ndarray:
    """Divide the sums of drawn pairs of counts (draws, 2 n), as `bootstrap` hands them over."""
    sums = counts.reshape(len(counts), -1, 2).sum(axis)
    return sums[:, 0] / np.maximum(sums[:, 1], 1)


def share(true: Tensor) -> float:
    """Return the share that is true, NaN of nothing."""
    return float(true.double().mean())
