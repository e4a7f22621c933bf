"""Play neurons from their explanations, and say how well the play fits: correlation scores.

How much of a concept an image holds comes from another network than the one that found the words. See
`book/linear/4-simulation`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..names import unknown
from .checks import finite, matrices, same_images

if TYPE_CHECKING:
    from .explanations import Explanations
    from .matrix import Matrix

AT_ONCE = 256  # units whose activations are compared in double precision at a time


def simulate(explanations: Explanations, matrix: Matrix) -> Tensor:
    """Predict activations (n, K): weight times presence in the simulator's matrix, summed, plus the bias.

    Words are looked up in the matrix by name, so it may hold other concepts, in another order.
    """
    presence = matrix.values if matrix.values.is_floating_point() else matrix.values.float()
    finite(presence=presence)
    concept = explanations.concept.to(presence.device)
    words = concept[concept >= 0].unique()
    columns = look_up([explanations.names[i] for i in words.tolist()], matrix.names).to(presence.device)
    # concept number -> row of the weights; -1 (an explanation has ended) -> a last row that is thrown away
    row = torch.full((len(explanations.names) + 1,), len(words), device=presence.device)
    row[words] = torch.arange(len(words), device=presence.device)
    weights = torch.zeros(len(words) + 1, len(concept), dtype=presence.dtype, device=presence.device)
    units = torch.arange(len(concept), device=presence.device)[:, None].expand_as(concept)
    weights.index_put_((row[concept], units), explanations.weight.to(weights), accumulate=True)
    return presence[:, columns] @ weights[:-1] + explanations.bias.to(weights)


def look_up(words: list[str], names: tuple[str, ...]) -> Tensor:
    """Find the column of each word in a simulator's concepts: (words,)."""
    column = {name: i for i, name in enumerate(names)}
    for word in words:
        if word not in column:
            raise KeyError(unknown("concept of the simulator", word, names))
    return torch.tensor([column[word] for word in words], dtype=torch.long)


def correlations(s: Tensor, q: Tensor) -> Tensor:
    """Correlate simulated with real activations, both (n, K), unit by unit: (K,), 0 where either is constant."""
    if s.shape != q.shape:
        raise ValueError(f"simulated and real activations differ in shape: {tuple(s.shape)} and {tuple(q.shape)}")
    matrices(simulated=s, real=q)
    same_images(simulated=s, real=q)
    finite(simulated=s, real=q)
    parts = zip(s.split(AT_ONCE, 1), q.to(s.device).split(AT_ONCE, 1), strict=True)
    return torch.cat([(standard(a) * standard(b)).sum(0) for a, b in parts])


def standard(values: Tensor) -> Tensor:
    """Centre columns (n, K) and bring them to length one, in double precision; constant ones become 0."""
    values = values.double()
    centred = values - values.mean(0)
    length = centred.norm(dim=0)
    constant = length <= 1e-6 * values.norm(dim=0)
    return torch.where(constant, 0.0, centred / length.where(~constant, 1.0))


def dead(q: Tensor, *, below: float = 0.01) -> Tensor:
    """Tell which units of activations (n, K) never reach `below` on any image: (K,)."""
    matrices(activations=q)
    finite(activations=q)
    return q.amax(0) < below


def mean_and_error(scores: Tensor) -> tuple[float, float]:
    """Average scores over units and tell the standard error of that mean; NaN (no score) is left out."""
    known = scores[~scores.isnan()].double()
    if not len(known):
        return math.nan, math.nan
    error = float(known.std()) / math.sqrt(len(known)) if len(known) > 1 else math.nan
    return float(known.mean()), error
