"""How much of a function's variation each input takes part in: total Sobol indices by Jansen's estimator."""

import torch
from scipy.stats import qmc
from torch import Tensor


def design(points: int, inputs: int, seed: int = 0) -> Tensor:
    """Return where a function must be evaluated, in [0, 1]: (points * (inputs + 2), inputs).

    Two independent sets of points come first, then the first set again with one column after the other taken from the
    second. Points are Sobol's own: those of Halton, which CRAFT's code takes, line up in its higher dimensions.
    """
    sampler = qmc.Sobol(2 * inputs, seed=seed)
    both = torch.from_numpy(sampler.random(points)).float()
    first, second = both.split(inputs, 1)
    mixed = first.repeat(inputs, 1, 1)
    for i in range(inputs):
        mixed[i, :, i] = second[:, i]
    return torch.cat([first, second, mixed.flatten(0, 1)])


def total_indices(values: Tensor, inputs: int) -> Tensor:
    """Turn the values of a function at a design, (..., points * (inputs + 2)), into total indices (..., inputs)."""
    parts = values.unflatten(-1, (inputs + 2, -1))
    first, mixed = parts[..., :1, :], parts[..., 2:, :]
    variance = parts[..., :2, :].flatten(-2).var(-1, unbiased=False)
    effect = (first - mixed).square().mean(-1) / 2
    # a function that never changes owes nothing to any input
    return effect / variance.clamp(min=torch.finfo(values.dtype).tiny)[..., None]
