"""Adam on two numbers for each neuron, all neurons at once: the slope and offset that keep a network's losses.

The loss is seen through the first four cumulants of a classifier's columns under its own probabilities, which are
matrix products, or directly, class by class.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .head import Head

Measure = Callable[[Tensor], tuple[Tensor, Tensor]]  # change (K, n) -> change of the loss, and its slope


def cumulants(head: Head, q: Tensor, labels: Tensor, unit: Tensor) -> Tensor:
    """Expand the loss in the change of each unit, measured in `unit` (K,): coefficients of powers 1 to 4, (4, K, n)."""
    columns, _ = head.columns()
    columns = columns * unit.to(columns)[:, None]  # (K, classes)
    likely, labels = head.logits(q).softmax(1).T, labels.to(columns.device)
    m1, m2, m3, m4 = (columns**k @ likely for k in (1, 2, 3, 4))
    square = m1.square()
    return torch.stack([
        m1 - columns[:, labels], (m2 - square) / 2, (m3 - 3 * m1 * m2 + 2 * m1 * square) / 6,
        (m4 - 4 * m1 * m3 - 3 * m2.square() + 12 * square * m2 - 6 * square.square()) / 24,
    ])  # fmt: skip


def expansion(curve: Tensor) -> Measure:
    """Measure changes by the coefficients (4, K, n) of their powers."""
    a1, a2, a3, a4 = curve

    def measure(change: Tensor) -> tuple[Tensor, Tensor]:
        # Horner's scheme, for the value and the slope side by side
        b3 = torch.addcmul(a3, change, a4)
        b2 = torch.addcmul(a2, change, b3)
        b1 = torch.addcmul(a1, change, b2)
        slope = torch.addcmul(b3, change, a4)
        slope = torch.addcmul(b2, change, slope)
        return b1 * change, torch.addcmul(b1, change, slope)

    return measure


def directly(head: Head, q: Tensor, labels: Tensor, unit: Tensor, units: Tensor) -> Measure:
    """Measure changes of some units, in `unit` (units,) each, by summing over classes."""
    columns, _ = head.columns()
    columns = columns[units] * unit.to(columns)[:, None]  # (units, classes)
    chances, own = head.logits(q).log_softmax(1), columns[:, labels.to(columns.device)]

    def measure(change: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.addcmul(chances, change[..., None], columns[:, None])  # (units, n, classes)
        level = logits.logsumexp(-1)
        slope = torch.einsum("unc,uc->un", (logits - level[..., None]).exp_(), columns)
        return level - change * own, slope - own

    return measure


def simulation_error(at: Tensor, s: Tensor, q: Tensor) -> Tensor:
    """Return slope * s + offset - q for rows of units (K, n)."""
    return torch.addcmul(at[1][:, None] - q, s, at[0][:, None])


def descend(measure: Measure, s: Tensor, q: Tensor, at: Tensor, steps: int, rate: float = 0.01) -> Tensor:
    """Make the summed absolute change of the loss small: slopes and offsets (2, K) from `at`, for s and q (K, n)."""
    at = at.clone()
    first, second = torch.zeros_like(at), torch.zeros_like(at)
    for step in range(1, steps + 1):
        value, slope = measure(simulation_error(at, s, q))
        pull = value.sign_().mul_(slope)
        gradient = torch.stack([torch.linalg.vecdot(pull, s), pull.sum(1)])
        first.lerp_(gradient, 0.1)
        second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        spread = (second / (1 - 0.999**step)).sqrt_().add_(1e-8)
        at.addcdiv_(first, spread, value=-rate / (1 - 0.9**step))
    return at
