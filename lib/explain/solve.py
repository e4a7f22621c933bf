"""Linear explanations of all units of a layer: the one entry to the solver (paper, section 3.2).

Second moments once, an elastic net for the ranking, a greedy search that keeps what raises the correlation on
validation images, least squares with an intercept for the final weights. See `tab-linear-2`.
"""

import torch
from torch import Tensor

from .elastic import elastic_net, residual
from .explanations import Explanations
from .greedy import correlation, least_squares, ranking, search
from .matrix import Matrix
from .moments import LEAST, Moments, Scale, moments
from .splits import LEAST as FEW
from .splits import Splits

UNITS = 512  # explained together
RIDGE = 0.05 / 99  # the paper's share of .99 for the first penalty


def explain(
    matrix: Matrix, q: Tensor, splits: Splits, *, l1: float = 0.05, l2: float = RIDGE, width: int = 10,
    length: int = 10, gain: float = 0.02, greedy: bool = True,
) -> Explanations:  # fmt: skip
    """Explain activations q (n, K) by up to `length` concepts of a matrix of the same n images, all K units at once.

    `width` concepts are tried for each one chosen, and it has to raise the validation correlation by `gain`; without
    `greedy`, the first `length` of the ranking are taken. A unit that is constant is explained by its mean alone.
    No step looks at test images.
    """
    if min(width, length) < 1 or l1 <= 0 or l2 < 0:
        raise ValueError(f"width and length are 1 or more, l1 is positive and l2 not negative; got {width}, {length}, "
                         f"{l1:g} and {l2:g}")  # fmt: skip
    train, val, scale = moments(*checked(matrix, q, splits))
    concept = torch.full((q.shape[1], length), -1, device=train.C.device)
    weight, score = train.C.new_zeros(concept.shape), train.C.new_zeros(len(concept))
    for units in alive(val, scale).split(UNITS):
        order = candidates(train, units, (l1, l2), width * length if greedy else length)
        if greedy:
            chosen = search(train, val, order, units, width=width, length=length, gain=gain).concept
        else:
            chosen = torch.where(scale.p_over[order] > 0, order, -1)
        found = least_squares(train, chosen, units)
        concept[units, : chosen.shape[1]], weight[units, : chosen.shape[1]] = chosen, found
        score[units] = correlation(val, chosen, found, units)
    return record(matrix.names, concept, weight, score, scale, q.device)


def checked(matrix: Matrix, q: Tensor, splits: Splits) -> tuple[Tensor, Tensor, Splits]:
    """Refuse what can't be explained; return concepts and activations as floats, and splits, on one device."""
    p = matrix.values
    if q.ndim != 2 or not q.shape[1]:
        raise ValueError(f"expected activations (n, units), one number for each image and unit, got {tuple(q.shape)}")
    if len(q) != len(p):
        raise ValueError(f"the concept matrix has {len(p)} images and the activations have {len(q)}: they must be of "
                         "the same images, in the same order")  # fmt: skip
    for rows in (splits.train, splits.val):
        if len(rows) < FEW or not 0 <= int(rows.min()) <= int(rows.max()) < len(q):
            raise ValueError(f"train and val need {FEW} rows or more from 0 to {len(q) - 1}")
    device = torch.device("cpu") if q.device.type == "mps" else q.device  # there is no float64 there
    p, q = p.to(device, torch.float32), q.detach().to(device, torch.float32)
    for what, names, values in (("concept", matrix.names, p), ("unit", range(q.shape[1]), q)):
        bad = (~values.sum(0).isfinite()).nonzero()[:, 0].tolist()
        if bad:
            raise ValueError(f"{len(bad)} of {len(names)} {what}s hold NaN or infinite values, the first is "
                             f"{what} {names[bad[0]]!r}")  # fmt: skip
    return p, q, Splits(*(rows.to(device) for rows in (splits.train, splits.val, splits.test)))


def alive(val: Moments, scale: Scale) -> Tensor:
    """List the units that vary on training and on validation images."""
    return ((scale.q_over > 0) & (val.var > LEAST**2)).nonzero()[:, 0]


def candidates(train: Moments, units: Tensor, penalty: tuple[float, float], count: int) -> Tensor:
    """Rank concepts for some units by their elastic nets: (k, up to count)."""
    C = train.C[:, units]
    W = elastic_net(train.G, C, *penalty)
    return ranking(W, residual(train.G, C, W), count)


def record(
    names: tuple[str, ...], concept: Tensor, weight: Tensor, score: Tensor, scale: Scale, device: torch.device
) -> Explanations:
    """Give weights the units of the data, largest first, each with its concept."""
    j = concept.clamp_min(0)
    weight = weight * scale.q_std[:, None] * scale.p_over[j]
    bias = scale.q_mean - (weight * scale.p_mean[j]).sum(1)
    order = torch.where(concept >= 0, weight, -torch.inf).argsort(dim=1, descending=True, stable=True)
    weight, concept = weight.gather(1, order), concept.gather(1, order)
    return Explanations(names, concept.to(device), *(x.float().to(device) for x in (weight, bias, score)))
