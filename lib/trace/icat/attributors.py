"""What concepts of one layer do for targets in a later one: five attributors, (part, steps) -> shares (B, J, k).

Shares are summed over positions. Those of integrated gradients, SHAP and DeepLIFT (where nothing but pointwise
activation functions bends the way) add up to what all concepts together change; those of LRP to the score itself.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...relevance import attention, zplus
from ...relevance.start import Start
from ...relevance.tape import Tape, send_back
from .parts import Part
from .rescale import Rescale
from .shapley import shap

SIGNED = {"gelu", "layer_norm", "scaled_dot_product_attention", "silu", "softmax"}  # beside these, z+ has no meaning


def way(part: Part, steps: int) -> tuple[Tensor, Tensor]:
    """Return multiples of the activations between none and all, and how much of the way each stands for, (steps,).

    Behind a norm everything happens near to none, so there they crowd.
    """
    t = (torch.arange(steps).to(part.codes) + 0.5) / steps
    return t**part.crowding, part.crowding * t ** (part.crowding - 1) / steps


def end(part: Part, steps: int) -> tuple[Tensor, Tensor]:
    """Return one multiple of the activations: themselves."""
    return part.codes.new_ones(1), part.codes.new_ones(1)


# attributors that average slopes on the way, and where: forward mode serves them too
SMOOTH = {"integrated gradients": way, "gradient x input": end}


def slopes_along(part: Part, alphas: Tensor, shares: Tensor) -> Tensor:
    """Return each target's slope at the activations, averaged over multiples of them: (B, J, c, positions)."""
    with torch.enable_grad():
        z = (part.activations[:, None] * alphas[:, None, None]).requires_grad_(True)
        out = part.rest(z.flatten(0, 1)).unflatten(0, (-1, len(alphas)))
        found = []
        for j in range(part.weights.shape[1]):
            slope = part.score(out.detach(), j)[1] * shares[:, None, None]
            found.append(torch.autograd.grad(out, z, slope, retain_graph=True)[0].sum(1))
    return torch.stack(found, 1)


def by_slopes(part: Part, slopes: Tensor) -> Tensor:
    """Contract the slopes of all targets (B, J, c, positions) with the concepts."""
    return torch.stack([part.contract(slope) for slope in slopes.unbind(1)], 1)


def integrated_gradients(part: Part, steps: int) -> Tensor:
    """Average slopes on the straight way from no concepts to all of them."""
    return by_slopes(part, slopes_along(part, *way(part, steps)))


def gradient_times_input(part: Part, steps: int) -> Tensor:
    """Take the slope at the activations themselves; `steps` don't matter."""
    return by_slopes(part, slopes_along(part, *end(part, steps)))


def deeplift(part: Part, steps: int) -> Tensor:
    """Follow differences from no concepts: the rescale rule at activation functions, slopes elsewhere.

    Scores take the mean slope between both ends, in `steps` steps, so that differences add up there too.
    """
    with torch.enable_grad():
        both = torch.cat([part.activations, torch.zeros_like(part.activations)]).requires_grad_(True)
        with Rescale():
            out = part.rest(both)
        high, low = out.detach().chunk(2)
        middles = (torch.arange(steps).to(high) + 0.5) / steps
        line = low[:, None] + (high - low)[:, None] * middles[:, None, None]
        found = []
        for j in range(part.weights.shape[1]):
            slope = part.score(line, j)[1].mean(1)
            at_both = torch.cat([slope, torch.zeros_like(slope)])
            found.append(torch.autograd.grad(out, both, at_both, retain_graph=True)[0].chunk(2)[0])
    return by_slopes(part, torch.stack(found, 1))


def lrp(part: Part, steps: int) -> Tensor:
    """Share scores out by contributions: by positive ones (z+), or AttnLRP's for transformers and ConvNeXt."""
    with torch.enable_grad():
        z = part.activations.requires_grad_(True)
        with Tape(z, part.network) as tape:
            out = part.rest(z)
    signed = not SIGNED.isdisjoint(step.name for step in tape.steps)
    rules, through = (attention.RULES, by_contributions) if signed else (zplus.RULES, by_positive_parts)
    value, found = out.detach(), []
    unit = torch.nn.functional.normalize(value, dim=1) if part.cosine else value
    for j in range(part.weights.shape[1]):
        along = part.directions[:, j, :, None] * part.weights[:, j, None]
        start = Start("later", "everywhere", along, unit * along, torch.zeros(len(z), dtype=torch.bool))
        relevance = send_back(tape, {"earlier": z, "later": out}, start, ["earlier"], rules=rules, name="LRP")
        found.append(through(part, relevance["earlier"]))
    return torch.stack(found, 1)


def by_contributions(part: Part, relevance: Tensor) -> Tensor:
    """Share relevance at activations (B, c, positions) among concepts (B, k) by what each adds."""
    return part.contract(relevance / attention.stabilised(part.activations))


def by_positive_parts(part: Part, relevance: Tensor) -> Tensor:
    """Share relevance at activations (B, c, positions) among concepts (B, k) by the positive of what each adds."""
    above, below = ((part.codes.clamp(**{side: 0}), part.atoms.clamp(**{side: 0})) for side in ("min", "max"))
    total = above[0] @ above[1] + below[0] @ below[1]  # (B, positions, c)
    ratio = relevance.mT / (total + zplus.EPSILON * total.amax((1, 2), keepdim=True).clamp(min=1e-12))
    return sum((codes * (ratio @ atoms.T)).sum(1) for codes, atoms in (above, below))


ATTRIBUTORS: dict[str, Callable[[Part, int], Tensor]] = {
    "integrated gradients": integrated_gradients, "gradient x input": gradient_times_input, "DeepLIFT": deeplift,
    "LRP": lrp, "SHAP": shap,
}  # fmt: skip
