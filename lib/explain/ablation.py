"""Ablation scores: how well a network keeps its losses when a neuron is replaced by its simulation (paper, eq. 12).

A score of 1 is a perfect simulation, 0 as good as the neuron's mean. The simulation is scaled first, c s + d, with c
and d from validation images: `norm` has a closed form, `optim` descends on the losses themselves. Descent takes place
for all neurons at once on a fourth-order expansion of the loss, and on the loss itself for those that go too far.
See `book/linear/5-3-ablation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..names import unknown
from .checks import finite, matrices
from .descent import cumulants, descend, directly, expansion, simulation_error
from .head import AT_ONCE, Head, check, loss_changes
from .simulate import correlations

SCALES, STARTS = ("optim", "norm"), ("norm", "paper")
LEAST = 1e-6  # mean change of the loss from which a unit counts
TOGETHER = 2**16  # numbers that one step of the descent works on: they stay in the cache
CLOSE = 0.01  # relative gap between the expansion's objective and the real one that is put up with


@dataclass(frozen=True, eq=False)
class Rows:
    """What some images say: simulated and real activations (n, K) and labels (n,)."""

    simulated: Tensor
    real: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class Ablation:
    """Scores of K units, the scale that was used, and which units matter at all (the others score 0)."""

    score: Tensor
    slope: Tensor
    offset: Tensor
    counted: Tensor


def ablation(
    head: Head, val: Rows, test: Rows, *, scale: str = "optim", start: str = "norm", steps: int = 100
) -> Ablation:
    """Score simulations on test images, scaled on validation images.

    With `start="norm"` the descent begins at the closed form and never ends above it on validation images; lengths
    are in the unit's own spread. `start="paper"` is the published one: from (1, 0), in raw units, whatever comes out.
    """
    for what, value, valid in (("scale", scale, SCALES), ("start", start, STARTS)):
        if value not in valid:
            raise ValueError(unknown(what, value, valid))
    for rows in (val, test):
        refuse(head, rows)
    mean = val.real.mean(0)
    slope, offset = norm_scale(val) if scale == "norm" or start == "norm" else (torch.ones_like(mean), 0 * mean)
    if scale == "optim":
        slope, offset = optimised(head, val, (slope, offset), alike=start == "norm", steps=steps)
    lost, most = (effect(head, test, *line) for line in ((slope, offset), (0 * mean, mean)))
    counted = most > LEAST * len(test.labels)
    return Ablation(torch.where(counted, 1 - lost / most.where(counted, 1.0), 0.0), slope, offset, counted)


def refuse(head: Head, rows: Rows) -> None:
    """Refuse rows that don't fit each other or the classifier."""
    check(head, rows.real, rows.labels)
    matrices(simulated=rows.simulated)
    if rows.simulated.shape != rows.real.shape:
        shapes = f"{tuple(rows.simulated.shape)} and {tuple(rows.real.shape)}"
        raise ValueError(f"simulated and real activations differ in shape: {shapes}")
    finite(simulated=rows.simulated)


def norm_scale(val: Rows) -> tuple[Tensor, Tensor]:
    """Scale simulations so that they explain most variance on some images: slopes and offsets (K,)."""
    s, q = val.simulated.double(), val.real.double()
    spread = s.std(0, correction=0)
    slope = correlations(s, q) * q.std(0, correction=0) / spread.where(spread > 0, 1.0)
    return slope.to(val.real), (q.mean(0) - slope * s.mean(0)).to(val.real)


def effect(head: Head, rows: Rows, slope: Tensor, offset: Tensor) -> Tensor:
    """Sum the absolute changes of the loss over images when each unit is slope * simulated + offset: (K,)."""
    change = torch.addcmul(offset - rows.real, rows.simulated, slope)
    return loss_changes(head, rows.real, rows.labels, change).abs().sum(0, dtype=torch.float64)


def optimised(head: Head, val: Rows, line: tuple[Tensor, Tensor], *, alike: bool, steps: int) -> tuple[Tensor, Tensor]:
    """Descend from a line (slope, offset) for each unit; `alike` in each unit's own spread, keeping what is better."""
    own = standards(val, alike)
    begin = in_standards(line, own)
    s, q = ((values.T - own[i][:, None]) / own[i + 1][:, None] for i, values in ((0, val.simulated), (2, val.real)))
    curve = cumulants(head, val.real, val.labels, own[3])
    found, promised = torch.empty_like(begin), torch.empty_like(begin[0])
    for units in torch.arange(len(s), device=s.device).split(max(1, TOGETHER // s.shape[1])):
        measure = expansion(curve[:, units])
        found[:, units] = at = descend(measure, s[units], q[units], begin[:, units], steps)
        promised[units] = measure(simulation_error(at, s[units], q[units]))[0].abs().sum(1)
    real = effect(head, val, *in_raw(found, own))
    off = ~((real - promised).abs() <= CLOSE * real)  # NaN is off, too
    for units in off.nonzero()[:, 0].split(max(1, AT_ONCE // (s.shape[1] * len(head.bias)))):
        measure = directly(head, val.real, val.labels, own[3, units], units)
        found[:, units] = descend(measure, s[units], q[units], begin[:, units], steps)
    return better(head, val, line, in_raw(found, own)) if alike else in_raw(found, own)


def better(head: Head, val: Rows, *lines: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Choose between two lines for each unit: the one that keeps the losses better, the first if neither does."""
    first, second = (effect(head, val, *line) for line in lines)
    return tuple(torch.where(second < first, new, old) for old, new in zip(*lines, strict=True))


def standards(val: Rows, alike: bool) -> Tensor:
    """Return the mean and spread of simulated and of real activations, (4, K), or 0 and 1 where raw units are used."""
    if not alike:
        return torch.tensor([0.0, 1.0, 0.0, 1.0]).to(val.real)[:, None].repeat(1, val.real.shape[1])
    parts = []
    for values in (val.simulated, val.real):
        spread = values.std(0, correction=0)
        parts += [values.mean(0), torch.where(spread > 0, spread, 1.0)]
    return torch.stack(parts)


def in_standards(line: tuple[Tensor, Tensor], own: Tensor) -> Tensor:
    """Turn raw slopes and offsets into standard ones: (2, K)."""
    (slope, offset), (s_mean, s_spread, q_mean, q_spread) = line, own
    return torch.stack([slope * s_spread / q_spread, (offset + slope * s_mean - q_mean) / q_spread])


def in_raw(at: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Turn standard slopes and offsets (2, K) into raw ones."""
    s_mean, s_spread, q_mean, q_spread = own
    slope = at[0] * q_spread / s_spread
    return slope, at[1] * q_spread + q_mean - slope * s_mean
