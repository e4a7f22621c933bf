"""Do the words of an explanation drive the neuron? Each is painted in and out of the same scenes (beyond the paper).

A correlation may come from whatever goes along with a word in the data; a change from one edit of a scene can't. See
`book/linear/x-causes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..metrics import bootstrap
from ..metrics.images import batches
from ..zoo.taps import record
from .checks import finite, firing, matrices
from .painting import Painted, paintable, painted

if TYPE_CHECKING:
    from pandas import DataFrame

    from .explanations import Explanations

Pool = Callable[[Tensor], Tensor]  # maps (n, K, positions) -> activations (n, K)
STRONG = 0.5  # spreads of a neuron that count as a strong effect
WEAK = 0.1  # spreads that count as an effect at all
SURE = 3.0  # standard errors that an effect is away from 0


@dataclass(frozen=True, eq=False)
class Effects:
    """What painting concepts does to K units, in spreads of each unit: mean and standard error (M, K)."""

    names: tuple[str, ...]
    mean: Tensor
    error: Tensor
    pairs: tuple[int, ...]  # scenes behind each row

    def drives(self, sign: float = 1.0, *, least: float = WEAK) -> Tensor:
        """Tell which concepts drive which units in a direction, surely and by at least so many spreads: (M, K)."""
        size = self.mean * sign
        return (size >= least) & (size > SURE * self.error)


def mean_pool(maps: Tensor) -> Tensor:
    """Average maps (n, K, positions) over positions."""
    return maps.mean(-1)


def effects(
    model: nn.Module, names: Sequence[str], q: Tensor, *, at: str = "penultimate", pairs: int = 32, seed: int = 0,
    size: int = 64, pool: Pool = mean_pool,
) -> Effects:  # fmt: skip
    """Measure what painting concepts in does to a tap's units, in spreads of their activations q (n, K).

    `q` are the activations that were explained, pooled as here; units that never fire there have no effect. Names
    that can't be painted are left out.
    """
    matrices(activations=q)
    finite(activations=q)
    shown = painted([name for name in names if paintable(name)], pairs, seed=seed, size=size)
    spread = torch.where(firing(q), q.std(0), torch.inf)
    found = [effect(model, pair, at, pool, spread) for pair in shown.values()]
    mean, error = (torch.stack(part) for part in zip(*found, strict=True))
    return Effects(tuple(shown), mean, error, tuple(map(len, shown.values())))


@torch.no_grad()
def effect(model: nn.Module, pair: Painted, at: str, pool: Pool, spread: Tensor) -> tuple[Tensor, Tensor]:
    """Measure the mean change of units from without to with a concept, and its standard error: (K,) each."""
    answers = []
    with record(model, at) as kept:
        for images in (pair.without, pair.within):
            parts = [(model(x), pool(kept[at]))[1] for x in batches(model, images, 128)]
            answers.append(torch.cat(parts))
    if answers[0].shape[1:] != spread.shape:
        raise ValueError(f"{at} has {answers[0].shape[1]} units; the activations q have {len(spread)}")
    change = (answers[1] - answers[0]) / spread.to(answers[0])
    error = change.std(0) / len(change) ** 0.5 if len(change) > 1 else torch.full_like(change[0], torch.inf)
    return change.mean(0).cpu(), error.cpu()


@dataclass(frozen=True, eq=False)
class Verdict:
    """What painting each word of each explanation does to its unit, (K, v) like the explanations' words.

    `size` is the effect in the direction that the weight claims, in spreads of the unit, NaN where a word can't be
    painted or there is none.
    """

    size: Tensor
    drives: Tensor  # bool: surely, and by enough
    unpainted: int  # words that the world can't show


def judge(effects: Effects, explanations: Explanations, *, least: float = WEAK) -> Verdict:
    """Look up what each word of each explanation does to its unit; a negative weight claims a fall."""
    if len(explanations) != effects.mean.shape[1]:
        raise ValueError(f"{len(explanations)} units are explained; the effects are on {effects.mean.shape[1]}")
    concept, weight = explanations.concept.cpu(), explanations.weight.cpu()
    number = {name: i for i, name in enumerate(effects.names)}
    row = torch.tensor([*(number.get(name, -1) for name in explanations.names), -1])[concept]  # -1 reads the last
    unit = torch.arange(len(concept))[:, None].expand_as(concept)
    size = effects.mean[row, unit] * torch.where(weight < 0, -1.0, 1.0)
    drives = (row >= 0) & (size >= least) & (size > SURE * effects.error[row, unit])
    return Verdict(size.where(row >= 0, torch.nan), drives, int(((concept >= 0) & (row < 0)).sum()))


def reach(effects: Effects, verdict: Verdict) -> Tensor:
    """Tell how far each unit's best word goes towards the strongest cause of all that were painted: (K,), 0 to 1.

    NaN where no painted concept drives the unit upwards.
    """
    strongest = effects.mean.where(effects.drives(), 0.0).amax(0)
    best = verdict.size.where(verdict.drives, 0.0).amax(1)
    return (best / strongest).clamp(max=1).where(strongest > 0, torch.nan)


def causes(effects: Effects, methods: Mapping[str, Explanations]) -> DataFrame:
    """Compare methods by how often their words drive the neuron: a line for each, and one for words by chance.

    `drive` is a share of the painted words, with its confidence interval over units from `low` to `high`; `strongly`
    asks for half a spread; `first` counts each explanation's heaviest word alone; `effect` is a mean in spreads;
    `reach` is how far a neuron's best word goes towards the strongest cause of all.
    """
    import pandas as pd

    lines = [line(name, effects, judge(effects, found)) for name, found in methods.items()]
    everywhere = {"method": "any word, by chance", "words": effects.mean.numel(),
                  "drive": share(effects.drives()), "strongly": share(effects.drives(least=STRONG)),
                  "effect": float(effects.mean.mean())}  # fmt: skip
    return pd.DataFrame([*lines, everywhere])


def line(name: str, effects: Effects, verdict: Verdict) -> dict[str, object]:
    """Sum a method's verdict up."""
    known = ~verdict.size.isnan()
    strongly = verdict.drives & (verdict.size >= STRONG)
    low, high = bootstrap(verdict.drives.double().where(known, torch.nan).numpy())
    return {
        "method": name, "words": int(known.sum()), "drive": share(verdict.drives[known]), "low": low, "high": high,
        "strongly": share(strongly[known]), "first": share(verdict.drives[:, 0][known[:, 0]]),
        "effect": float(verdict.size.nanmean()), "reach": float(reach(effects, verdict).nanmean()),
        "not painted": verdict.unpainted,
    }  # fmt: skip


def share(true: Tensor) -> float:
    """Return the share that is true, NaN of nothing."""
    return float(true.double().mean())
