"""How the search came to one unit's explanation, concept by concept. See `fig-linear-1`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from .greedy import TIE, search
from .matrix import Matrix
from .moments import moments
from .solve import RIDGE, alive, candidates, checked
from .splits import Splits

if TYPE_CHECKING:
    from pandas import DataFrame


def trace(
    matrix: Matrix, q: Tensor, splits: Splits, unit: int, *, l1: float = 0.05, l2: float = RIDGE, width: int = 10,
    length: int = 10, gain: float = 0.02,
) -> DataFrame:  # fmt: skip
    """Repeat the search for one unit of activations (n, K): a line for each concept tried in each step.

    `fate` is `chosen`, `out` (gains too little, never tried again) or `left` for a later step.
    """
    import pandas as pd

    if not 0 <= unit < q.shape[1]:
        raise IndexError(f"unit {unit} doesn't exist: there are 0 to {q.shape[1] - 1}")
    train, val, scale = moments(*checked(matrix, q[:, [unit]], splits))
    tries: list[tuple[list[int], list[float]]] = []

    def note(state, tried: Tensor, rho: Tensor) -> None:
        tries.append((state.candidates[0][tried[0]].tolist(), rho[0][tried[0]].tolist()))

    path: list[tuple[int, float]] = []
    if len(units := alive(val, scale)):
        order = candidates(train, units, (l1, l2), width * length)
        found = search(train, val, order, units, width=width, length=length, gain=gain, callback=note)
        path = list(zip(found.concept[0].tolist(), found.path[0].tolist(), strict=True))
    rows, before = [], 0.0
    for step, (concepts, rhos) in enumerate(tries):
        for concept, rho in zip(concepts, rhos, strict=True):
            weak = step > 0 and rho - before < gain - TIE
            fate = "chosen" if concept == path[step][0] else "out" if weak else "left"
            rows.append((step + 1, matrix.names[concept], rho if rho >= -1 else float("nan"), fate))
        before = path[step][1]
    return pd.DataFrame(rows, columns=["step", "concept", "correlation", "fate"])
