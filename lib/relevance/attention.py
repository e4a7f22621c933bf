"""The rules of AttnLRP, for transformers and ConvNeXt: signed contributions, also through attention.

Linear functions and residual sums share relevance out by what each input adds (epsilon rule); products share it evenly
between their factors; the softmax is expanded to first order; normalization and activation functions hand it through.
Biases keep what they add.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .rules import MOVES, Arriving, keep, spread
from .tape import Step

# As a share of the root mean square. Where sums come near to zero, a smaller one lets noise grow from block to block
# (at 1e-5 a Swin's first block held hundreds of times the logit, in both signs); a larger one loses more relevance.
EPSILON = 0.03


def stabilised(total: Tensor) -> Tensor:
    """Move sums (n, ...) away from zero, by their own sign and in proportion to their image's typical size."""
    typical = total.flatten(1).square().mean(1).sqrt().reshape(-1, *[1] * (total.ndim - 1))
    return total + (EPSILON * typical + 1e-9) * torch.ones_like(total).copysign(total)


def contributions(step: Step, arriving: Arriving) -> Sequence[Tensor | None]:
    """Share relevance out by what each input adds to a linear function's output."""
    back = spread(step, [arriving[0] / stabilised(step.outputs[0].detach())])
    return [None if b is None else x.detach() * b for x, b in zip(step.inputs, back, strict=True)]


def product(step: Step, arriving: Arriving) -> Sequence[Tensor | None]:
    """Share relevance evenly between the factors of a product, and each half by contributions."""
    return contributions(step, [arriving[0] / len(step.inputs)])


def softmax(step: Step, arriving: Arriving) -> Sequence[Tensor]:
    """Share relevance by the softmax's first-order expansion at its inputs: x (R - s sum R)."""
    share, dim = step.outputs[0].detach(), step.argument(1, "dim")
    return [step.inputs[0].detach() * (arriving[0] - share * arriving[0].sum(dim, keepdim=True))]


def attention(step: Step, arriving: Arriving) -> Sequence[Tensor]:
    """Send relevance through fused attention: half to values, half to weights, and theirs to queries and keys."""
    query, key, value, mask = (step.argument(i, name) for i, name in enumerate(("query", "key", "value", "attn_mask")))
    scale = step.options.get("scale") or query.shape[-1] ** -0.5
    q, k, v = query.detach(), key.detach(), value.detach()
    scores = q @ k.mT * scale
    if mask is not None:
        scores = scores + mask if mask.is_floating_point() else scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    ratio = arriving[0] / (2 * stabilised(step.outputs[0].detach()))
    on_weights = weights * (ratio @ v.mT)
    # The expansion multiplies by the scores, which the product rule then divides by.
    on_scores = (on_weights - weights * on_weights.sum(-1, keepdim=True)) * scale / 2
    given = {id(query): q * (on_scores @ k), id(key): k * (on_scores.mT @ q), id(value): v * (weights.mT @ ratio)}
    return [given[id(t)] for t in step.inputs]


RULES = MOVES | {
    **dict.fromkeys(("linear", "conv2d", "batch_norm", "mean", "add", "sub"), contributions),
    **dict.fromkeys(("avg_pool2d", "adaptive_avg_pool2d"), contributions),
    **dict.fromkeys(("mul", "div", "matmul"), product),
    **dict.fromkeys(("layer_norm", "normalize", "gelu", "silu", "relu", "dropout"), keep),
    "max_pool2d": spread, "softmax": softmax, "scaled_dot_product_attention": attention,
}  # fmt: skip
