"""What painting concepts in and out of the same scenes does to a layer's units: a cause, not a correlation.

See `book/linear/x-causes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from .checks import finite, firing, matrices
from .explanations import Explanations, of_words
from .painting import Paintings, paintable, painted
from .probe import Keep, activations, plainly, usual_taps

WEAK = 0.1  # spreads of a neuron that count as an effect at all
SURE = 3.0  # standard errors that an effect is away from 0


@dataclass(frozen=True, eq=False)
class Effects:
    """What painting M concepts does to K units, in spreads of each unit: mean and standard error (M, K).

    `gained` (M, M) tells how much more often scenes show each concept (column) once another (row) is painted.
    """

    names: tuple[str, ...]
    mean: Tensor
    error: Tensor
    pairs: tuple[int, ...]  # scenes behind each row
    gained: Tensor

    def drives(self, sign: float = 1.0, *, least: float = WEAK) -> Tensor:
        """Tell which concepts drive which units in a direction, surely and by at least so many spreads: (M, K)."""
        size = self.mean * sign
        return (size >= least) & (size > SURE * self.error)

    def strongest(self) -> Explanations:
        """Name each unit's strongest cause, nothing where none is sure: the best that one word can do."""
        size, row = self.mean.where(self.drives(), 0.0).max(0)
        return of_words(self.names, [self.names[j] if s else "" for s, j in zip(size.tolist(), row, strict=True)])


def effects(
    model: nn.Module, names: Sequence[str], q: Tensor, *, at: str = "penultimate", pool: str = "mean",
    pairs: int = 32, seed: int = 0, size: int = 64, keep: Keep = plainly,
) -> Effects:  # fmt: skip
    """Measure what painting concepts in does to a tap's units, in spreads of their activations q (n, K).

    `q` are the activations that were explained, pooled as here; units that never fire there have no effect. Names
    that can't be painted are left out.
    """
    matrices(activations=q)
    finite(activations=q)
    usual = usual_taps(model)
    wanted = usual if usual.get(at) == pool else {at: pool}
    names = [name for name in dict.fromkeys(names) if paintable(name)]
    found = keep(changes, model, names, wanted, pairs=pairs, seed=seed, size=size)
    mean, error = found[f"{at} mean"], found[f"{at} error"]
    if mean.shape[1] != q.shape[1]:
        raise ValueError(f"{at} has {mean.shape[1]} units; the activations q have {q.shape[1]}")
    spread = torch.where(firing(q), q.std(0), torch.inf).to(mean)
    return Effects(tuple(names), mean / spread, error / spread, tuple(found["pairs"].tolist()), found["gained"])


def changes(
    model: nn.Module, names: Sequence[str], at: Mapping[str, str], *, pairs: int, seed: int, size: int
) -> dict[str, Tensor]:
    """Paint concepts and measure the change of taps' units, all in one pass: its mean and standard error by tap (M, K).

    `at` is {tap: pooling}; `pairs` (M,) and `gained` (M, M) are as in `Effects`.
    """
    shown = scenes(tuple(names), pairs, seed, size)
    found = {"pairs": torch.tensor([len(after) for _, after in shown.rows.values()]), "gained": shown.gained(names)}
    for tap, answer in activations(model, shown.images, at).items():
        moved = [answer[after] - answer[before] for before, after in shown.rows.values()]
        found[f"{tap} mean"] = torch.stack([change.mean(0) for change in moved]).cpu()
        found[f"{tap} error"] = torch.stack([standard_error(change) for change in moved]).cpu()
    return found


@lru_cache(maxsize=1)  # several networks look at the same paintings
def scenes(names: tuple[str, ...], pairs: int, seed: int, size: int) -> Paintings:
    """Paint concepts, once for all who ask."""
    return painted(names, pairs, seed=seed, size=size)


def standard_error(change: Tensor) -> Tensor:
    """Return the standard error of the mean of changes (m, K), infinite for a single one."""
    return change.std(0) / len(change) ** 0.5 if len(change) > 1 else torch.full_like(change[0], torch.inf)
