"""The greedy search of all units at once, from second moments (paper, algorithm 1).

For every candidate the part that the chosen concepts don't explain is followed on the training images, and the same
combination on the validation images. The correlation on validation images of the least-squares fit with one candidate
more is then a formula in numbers that are there already, and choosing one is a rank-one update of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .moments import Moments

COLLINEAR = 1e-6  # share of a candidate's variance that the chosen concepts must leave
TIE = 1e-9  # correlations that rounding can't tell apart
NEVER = -2.0  # below every correlation


@dataclass(frozen=True, eq=False)
class State:
    """Of k units with candidates (k, R) each: what the chosen concepts leave of them, on train and on val.

    z is a candidate without what the chosen ones explain, y a unit, s its fit so far. Pivots are the rows of what was
    chosen: (share of it in each candidate, its train row, its val row, its val variance).
    """

    units: Tensor  # (k,)
    candidates: Tensor  # (k, R)
    zz: Tensor  # train z.z
    zy: Tensor  # train z.y
    val_zz: Tensor
    val_zy: Tensor
    val_zs: Tensor
    val_sy: Tensor  # (k,)
    val_ss: Tensor  # (k,)
    pivots: tuple[tuple[Tensor, Tensor, Tensor, Tensor], ...] = ()


@dataclass(frozen=True, eq=False)
class Found:
    """Chosen concepts in the order they were chosen, -1 where a search has ended, and the correlation after each."""

    concept: Tensor  # (K, v)
    path: Tensor  # (K, v) NaN where a search has ended
    tested: Tensor  # (K,) fits that were compared

    @property
    def score(self) -> Tensor:
        """Return the last correlation of each unit, 0 if nothing was chosen: (K,)."""
        return self.path.nan_to_num(0).amax(1)


def ranking(W: Tensor, R: Tensor, count: int) -> Tensor:
    """Order concepts by weight (M, K), largest first: the first `count` of each unit (K, count).

    Weights of zero lie between the positive and the negative ones, ordered by residual correlation R (M, K).
    """
    value = torch.where(W != 0, W, R)
    key = 2 * W.sign() + value / (1 + value.abs())
    return key.T.topk(min(count, len(W))).indices


def search(
    train: Moments, val: Moments, order: Tensor, units: Tensor, *, width: int = 10, length: int = 10,
    gain: float = 0.02, callback: Callable[[State, Tensor, Tensor], None] | None = None,
) -> Found:  # fmt: skip
    """Choose up to `length` concepts for units (k,) from their rankings (k, R).

    In each round the first `width` concepts of the ranking that are still in play are tried; those that gain less than
    `gain` are out for ever, the best is chosen, of equals the higher ranked. The first needs no gain, only a positive
    correlation. The callback gets the state, which candidates are tried and the correlations, before each choice.
    """
    state, row = begin(train, val, order, units), torch.arange(len(units), device=order.device)
    concept = order.new_full((len(units), length), -1)
    path, tested = train.G.new_full(concept.shape, torch.nan), torch.zeros_like(row)
    free, best = torch.ones_like(order, dtype=torch.bool), train.G.new_zeros(len(row))
    for step in range(length):
        rho = correlations(state, val)
        tried = free & (free.cumsum(1) <= width)
        tested[row] += tried.sum(1)
        if callback is not None:
            callback(state, tried, rho)
        weak = tried & (rho - best[:, None] < gain - TIE) & (step > 0)
        free = free & ~weak
        top = torch.where(tried & ~weak, rho, NEVER)
        j = (top >= top.amax(1, keepdim=True) - TIE).int().argmax(1, keepdim=True)  # the first of equals
        now = top.gather(1, j)[:, 0]
        go = now > best + TIE
        if not go.any():
            break
        state, free, j, row, best = take(state, go), free[go], j[go], row[go], now[go]
        concept[row, step], path[row, step] = state.candidates.gather(1, j)[:, 0], best
        state, free = choose(state, j, train, val), free.scatter(1, j, False)
    return Found(concept, path, tested)


def begin(train: Moments, val: Moments, order: Tensor, units: Tensor) -> State:
    """Start with nothing chosen."""
    zero = train.G.new_zeros(order.shape)
    return State(
        units, order, train.G.diagonal()[order], train.C[order, units[:, None]], val.G.diagonal()[order],
        val.C[order, units[:, None]], zero, zero[:, 0], zero[:, 0],
    )  # fmt: skip


def correlations(state: State, val: Moments) -> Tensor:
    """Return the validation correlation of each unit's fit with each candidate added: (k, R)."""
    able = state.zz > COLLINEAR
    beta = torch.where(able, state.zy / state.zz, 0.0)
    together = state.val_sy[:, None] + beta * state.val_zy
    spread = state.val_ss[:, None] + beta * (2 * state.val_zs + beta * state.val_zz)
    rho = together / (spread * val.var[state.units, None]).sqrt()
    return torch.where(able & (spread > TIE**2), rho, NEVER).nan_to_num(NEVER)


def take(state: State, go: Tensor) -> State:
    """Keep the units whose search goes on."""
    if go.all():
        return state
    kept = {name: value[go] for name, value in vars(state).items() if name != "pivots"}
    return State(**kept, pivots=tuple(tuple(value[go] for value in pivot) for pivot in state.pivots))


def choose(state: State, j: Tensor, train: Moments, val: Moments) -> State:
    """Add candidate j (k, 1) of each unit to what is chosen."""
    p = state.candidates.gather(1, j)
    row, val_row = train.G[p, state.candidates], val.G[p, state.candidates]
    for share, earlier, val_earlier, val_own in state.pivots:
        mine = share.gather(1, j)
        row = row - mine * earlier
        val_row = val_row - mine * val_earlier - share * val_earlier.gather(1, j) + mine * share * val_own
    own, val_own = row.gather(1, j), val_row.gather(1, j)
    zy, val_zy, val_zs = (x.gather(1, j) for x in (state.zy, state.val_zy, state.val_zs))
    share, beta = row / own, zy / own
    return replace(
        state,
        zz=state.zz - share * row,
        zy=state.zy - share * zy,
        val_zz=state.val_zz - 2 * share * val_row + share.square() * val_own,
        val_zy=state.val_zy - share * val_zy,
        val_zs=state.val_zs + beta * val_row - share * (val_zs + beta * val_own),
        val_sy=state.val_sy + (beta * val_zy)[:, 0],
        val_ss=state.val_ss + (beta * (2 * val_zs + beta * val_own))[:, 0],
        pivots=(*state.pivots, (share, row, val_row, val_own)),
    )


def least_squares(train: Moments, concept: Tensor, units: Tensor) -> Tensor:
    """Return the weights (k, v), in training spreads, of concepts (k, v) for units; 0 where there is none."""
    there, j = concept >= 0, concept.clamp_min(0)
    A = train.G[j[:, :, None], j[:, None]] * (there[:, :, None] & there[:, None])
    A.diagonal(dim1=1, dim2=2).add_(torch.where(there, TIE, 1.0))
    c = torch.where(there, train.C[j, units[:, None]], 0.0)
    return torch.linalg.solve(A, c)


def correlation(val: Moments, concept: Tensor, weight: Tensor, units: Tensor) -> Tensor:
    """Return the validation correlation (k,) of sums of weight * concept with units, 0 where a sum is constant."""
    j = concept.clamp_min(0)
    together = (weight * val.C[j, units[:, None]]).sum(1)
    spread = torch.einsum("kv,kvw,kw->k", weight, val.G[j[:, :, None], j[:, None]], weight)
    return (together / (spread * val.var[units]).sqrt()).nan_to_num(0, 0, 0)
