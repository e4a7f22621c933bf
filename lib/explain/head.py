"""What a change of one neuron does to a linear classifier, for all neurons and images at once.

Moving unit k by d moves the logits by d times column k of the weights, so nothing has to run again. Where that is
small, the change of the loss is a polynomial whose coefficients are matrix products; elsewhere it is summed up
class by class. Used by ablation scores and Top Impact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from ..zoo.taps import locate
from .checks import finite, labels_fit, matrices, same_images

# largest change of a logit at which a polynomial of so many powers is right to 5e-7 of e^x
RADII = {1: 0.0009, 2: 0.018, 3: 0.082, 4: 0.214, 5: 0.418, 6: 0.687, 7: 1.01, 8: 1.38}
LEFT = 0.01  # share of image-unit pairs that may be left to the sum over classes
FURTHER = 1  # powers more that are taken so that none is left
BLOCK = (1024, 128)  # images and units that stay in the cache together
AT_ONCE = 2**19  # logits that are summed at a time


Block = tuple[slice, slice]  # of images and of units


@dataclass(frozen=True, eq=False)
class Head:
    """A linear classifier of pooled activations (n, K) with the temperature that its logits are divided by."""

    weight: Tensor  # (classes, K)
    bias: Tensor  # (classes,)
    temperature: float = 1.0

    def logits(self, q: Tensor) -> Tensor:
        """Return the logits (n, classes) of activations (n, K)."""
        return (q.to(self.weight) @ self.weight.T + self.bias) / self.temperature

    def columns(self) -> tuple[Tensor, Tensor]:
        """Return how a unit moves the logits (K, classes), middle at 0, and how far at most (K,).

        What all classes share changes no loss, and in the middle the largest value is as small as can be.
        """
        low, high = self.weight.aminmax(dim=0)
        columns = ((self.weight - (low + high) / 2) / self.temperature).T.contiguous()
        return columns, columns.abs().amax(1)


def head_of(model: nn.Module, q: Tensor, labels: Tensor) -> Head:
    """Take a network's last linear layer; its temperature fits validation activations (n, K) and labels (n,)."""
    (spot,) = locate(model, "logits")
    if not isinstance(spot.module, nn.Linear):
        raise TypeError(f"ablation and impact need a linear classifier; {spot.path} is {type(spot.module).__name__}")
    bias = spot.module.bias if spot.module.bias is not None else spot.module.weight.new_zeros(len(spot.module.weight))
    head = Head(spot.module.weight.detach(), bias.detach())
    check(head, q, labels)
    return Head(head.weight, head.bias, fit_temperature(head.logits(q), labels))


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Find the temperature, 1/50 to 50, by which logits (n, classes) give labels (n,) the smallest mean loss."""
    labels_fit(labels, logits.shape[1])
    z = logits.double()
    own = z.gather(1, labels.to(z.device)[:, None]).mean()
    low, high = -math.log(50), math.log(50)
    for _ in range(48):  # the loss is convex in one over the temperature
        middle = (low + high) / 2
        falling = ((z * math.exp(middle)).softmax(1) * z).sum(1).mean() < own
        low, high = (middle, high) if falling else (low, middle)
    return math.exp(-(low + high) / 2)


def check(head: Head, q: Tensor, labels: Tensor) -> None:
    """Refuse activations and labels that aren't this classifier's."""
    matrices(activations=q)
    same_images(activations=q, labels=labels)
    if q.shape[1] != head.weight.shape[1]:
        raise ValueError(f"the classifier reads {head.weight.shape[1]} units; these activations have {q.shape[1]}")
    finite(activations=q)
    labels_fit(labels, len(head.weight))


@dataclass(frozen=True, eq=False)
class Base:
    """What a classifier makes of some images before anything is changed, ready for changes of single units."""

    chances: Tensor  # (n, classes) logarithms of the probabilities
    likely: Tensor  # (n, classes) probabilities
    lead: Tensor  # (n, 1) logit of the label minus the largest other one: right answers have 0 or more
    labels: Tensor  # (n,)
    columns: Tensor  # (K, classes) how a unit moves the logits
    across: Tensor  # (classes, K) the same
    reach: Tensor  # (K,) how far at most


def base(head: Head, q: Tensor, labels: Tensor) -> Base:
    """Run a classifier once on activations (n, K) with labels (n,)."""
    check(head, q, labels)
    columns, reach = head.columns()
    logits, labels = head.logits(q), labels.to(columns.device)
    chances = logits.log_softmax(1)
    own = logits.gather(1, labels[:, None])
    lead = own - logits.scatter(1, labels[:, None], -math.inf).amax(1, keepdim=True)
    return Base(chances, chances.exp(), lead, labels, columns, columns.T.contiguous(), reach)


def loss_changes(head: Head, q: Tensor, labels: Tensor, change: Tensor) -> Tensor:
    """Tell by how much images' losses grow when one unit alone is moved by `change` (n, K): (n, K)."""
    start, change = base(head, q, labels), change.to(head.weight)
    out = torch.empty_like(change)
    for block in blocks(*change.shape):
        out[block] = grown(start, block, change[block])
    return out


def blocks(n: int, units: int) -> Iterator[Block]:
    """Cut a table of images and units into blocks."""
    for row in range(0, n, BLOCK[0]):
        for unit in range(0, units, BLOCK[1]):
            yield slice(row, row + BLOCK[0]), slice(unit, unit + BLOCK[1])


def grown(start: Base, block: Block, moved: Tensor) -> Tensor:
    """Tell how much losses grow in a block of images and units when the units are moved (images, units)."""
    rows, units = block
    across, reach = start.across[:, units], start.reach[units]
    terms, left = enough(moved, reach)
    out = series(start.likely[rows], across, moved, terms).log1p_()
    if left:
        image, unit = (moved.abs().mul_(reach) > RADII[terms]).nonzero(as_tuple=True)
        for pairs, logits in changed(start, block, image, unit, moved):
            out[pairs] = logits.logsumexp(1)
    return out.addcmul_(moved, across[start.labels[rows]], value=-1)


def enough(moved: Tensor, reach: Tensor) -> tuple[int, bool]:
    """Choose a polynomial that is right for changes (images, units) of units, or for most, and tell if any are left."""
    size = moved.abs()
    sample = (size[:: max(1, len(size) // 16)] * reach).flatten()
    limits = (size.amax(0) * reach).max(), sample.kthvalue(math.ceil((1 - LEFT) * len(sample))).values
    beyond = max(RADII) + FURTHER + 1
    every, most = (next((m for m, r in RADII.items() if at <= r), beyond) for at in map(float, limits))
    return (every, False) if every <= most + FURTHER and every in RADII else (min(most, max(RADII)), True)


@cache
def coefficients(terms: int) -> tuple[float, ...]:
    """Return those of x, x^2, ... in the polynomial for e^x - 1 up to a radius: exact at 0 and at Chebyshev's points.

    The power series would need two powers more.
    """
    at = np.cos(np.pi * (np.arange(terms) + 0.5) / terms)
    ratio = np.expm1(RADII[terms] * at) / (RADII[terms] * at + (at == 0)) + (at == 0)
    found = np.polynomial.polynomial.polyfit(at, ratio, terms - 1) / RADII[terms] ** np.arange(terms)
    return tuple(found.tolist())


def series(likely: Tensor, across: Tensor, moved: Tensor, terms: int) -> Tensor:
    """Sum chance times (e^(moved column) - 1) over classes by a polynomial: (n, K)."""
    powers = [across]
    for _ in range(1, terms):
        powers.append(powers[-1] * across)
    *lower, highest = (c * power for c, power in zip(coefficients(terms), powers, strict=True))
    total = likely @ highest
    for power in reversed(lower):
        total.mul_(moved).addmm_(likely, power)
    return total.mul_(moved)


def changed(start: Base, block: Block, image: Tensor, unit: Tensor, moved: Tensor) -> Iterator[tuple[tuple, Tensor]]:
    """Give pairs of image and unit in a block, and their logits (pairs, classes) with that unit moved, bit by bit."""
    chances, columns = start.chances[block[0]], start.columns[block[1]]
    step = max(1, AT_ONCE // chances.shape[1])
    for i, k in zip(image.split(step), unit.split(step), strict=True):
        yield (i, k), chances[i].addcmul_(moved[i, k][:, None], columns[k])


def turned(start: Base, block: Block, moved: Tensor) -> tuple[Tensor, Tensor]:
    """List the pairs of image and unit in a block whose answer turns from right to wrong or back."""
    lead, labels, reach = start.lead[block[0]], start.labels[block[0]], start.reach[block[1]]
    most = (moved.abs().amax(0) * reach).max()
    close = (lead[:, 0].abs() <= 2.0001 * most).nonzero()[:, 0]
    # the label's logit moves by what is known, any other by its unit's reach at most
    own = start.across[:, block[1]][labels[close]].mul_(moved[close]).add_(lead[close])
    size = moved[close].abs().mul_(reach * 1.0001).add_(1e-6)
    image, unit = torch.where(lead[close] >= 0, own < size, own >= -size).nonzero(as_tuple=True)
    image, right = close[image], [torch.zeros(0, dtype=torch.bool, device=lead.device)]
    for (i, _), logits in changed(start, block, image, unit, moved):
        right.append(logits.gather(1, labels[i][:, None])[:, 0] >= logits.amax(1))
    turns = torch.cat(right) != (lead[image, 0] >= 0)
    return image[turns], unit[turns]
