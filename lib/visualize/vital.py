"""VITAL, class mode: an image whose features are distributed as those of real images (section 3.2, equations 1-4).

Each channel of each tap is sorted and pulled towards the mean sorted values of the references. The targets are sorted
once, the network is frozen, and all targets and seeds are one batch. See `book/vital/3-2-distribution-matching`.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..relevance import relevance_and_activations
from ..zoo import denormalise, normalise
from ..zoo.taps import record, taps
from .optimise import descend, learning_rate, pixel_norm, shifted, starts, total_variation
from .presets import settings

Quantiles = dict[str, Tensor]


class Sorted(torch.autograd.Function):
    """Sort the last axis; on a CPU numpy's vectorised argsort takes a fifth of the time of torch's sort."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        order = x.argsort(-1) if x.device.type != "cpu" else torch.from_numpy(np.argsort(x.detach().numpy(), -1))
        ctx.save_for_backward(order)
        return x.gather(-1, order)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (order,) = ctx.saved_tensors
        return torch.empty_like(gradient).scatter_(-1, order, gradient)


def sorted_values(x: Tensor) -> Tensor:
    """Sort the positions of each channel of (n, c, p)."""
    return Sorted.apply(x)


def sort_matching(activations: Tensor, quantiles: Tensor) -> Tensor:
    """Return each image's mean squared distance between sorted activations (n, c, p) and target quantiles (n, c, p)."""
    return (sorted_values(activations) - quantiles).square().mean((1, 2))


def features(model: nn.Module, x: Tensor, target: Tensor, taps: Sequence[str], relevance: str | None) -> Quantiles:
    """Return what is matched at each tap: activations, or activations times relevance scaled to 0..1 per channel."""
    if relevance is None:
        with record(model, taps) as activations:
            model(x)
        return {tap: activations[tap] for tap in taps}
    weight, activations = relevance_and_activations(model, x, target, taps, relevance=relevance)
    return {tap: activations[tap] * unit_range(weight[tap]) for tap in taps}


def blocks(model: nn.Module) -> list[str]:
    """Return the taps that are matched unless others are named: block1 to block5, or as many as a network has."""
    return [tap for tap in taps(model) if tap.startswith("block")]


def unit_range(relevance: Tensor) -> Tensor:
    """Scale each image's channel (n, c, positions) from 0 to 1, as the official code does and the paper doesn't say."""
    low, high = relevance.amin(-1, keepdim=True), relevance.amax(-1, keepdim=True)
    return (relevance - low) / (high - low + 1e-6)


@torch.no_grad()
def reference_quantiles(
    model: nn.Module,
    references: Tensor,
    taps: Sequence[str],
    *,
    target: Sequence[int] | Tensor | None = None,
    relevance: str | None = None,
) -> Quantiles:
    """Average the sorted features of the references (k, n, 3, h, w), per tap: {tap: (k, c, p)}."""
    found: dict[str, list[Tensor]] = {tap: [] for tap in taps}
    for k, images in enumerate(references):
        wanted = torch.full((len(images),), int(target[k])) if target is not None else None
        matched = features(model, normalise(model, images), wanted, taps, relevance)
        for tap in taps:
            found[tap].append(sorted_values(matched[tap]).mean(0))
    return {tap: torch.stack(values) for tap, values in found.items()}


def resample(quantiles: Tensor, positions: int) -> Tensor:
    """Read quantiles at another number of positions, for an image of another size than the references."""
    if quantiles.shape[-1] == positions:
        return quantiles
    return F.interpolate(quantiles, positions, mode="linear", align_corners=False)


def tap_weights(quantiles: Quantiles, weights: str | Sequence[float]) -> dict[str, float | Tensor]:
    """Return each tap's weight: one number each, `even`, or `scale-free`, which divides by the tap's variance."""
    if weights == "scale-free":
        return {tap: 1 / q.flatten(1).var(-1).clamp(min=1e-8) for tap, q in quantiles.items()}  # (k,) each
    if weights == "even":
        return dict.fromkeys(quantiles, 1.0)
    return dict(zip(quantiles, weights, strict=True))


def matching_loss(activations: Quantiles, quantiles: Quantiles, weights: dict[str, float | Tensor]) -> Tensor:
    """Add the weighted sort-matching losses of all taps, per image."""
    return sum(weights[tap] * sort_matching(activations[tap], q) for tap, q in quantiles.items())


def optimise(
    model: nn.Module, target: Tensor, quantiles: Quantiles, seeds: Sequence[int], size: int, how: dict, callback
) -> Tensor:  # fmt: skip
    """Pull noise towards the quantiles with Adam in normalised pixel space, all seeds and targets as one batch."""
    device, taps = next(model.parameters()).device, list(quantiles)
    weights = {tap: torch.as_tensor(w, device=device).expand(len(target)).repeat(len(seeds))
               for tap, w in tap_weights(quantiles, how["weights"]).items()}  # fmt: skip
    noise, generators = starts(seeds, len(target), size, how["start"], how["centre"])
    target = target.repeat(len(seeds)).to(device)
    black, white = (normalise(model, torch.full((1, 3, 1, 1), v, device=device)) for v in (0.0, 1.0))

    def loss_of(x: Tensor, step: int) -> Tensor:
        shown = shifted(x, round(how["jitter"] * size), generators)
        matched = features(model, shown, target, taps, how["relevance"])
        if step == 0:  # once it is known how many positions an image of this size has
            quantiles.update({tap: resample(q, matched[tap].shape[-1]).repeat(len(seeds), 1, 1)
                              for tap, q in quantiles.items()})  # fmt: skip
        loss = matching_loss(matched, quantiles, weights)
        if how["tv"]:
            loss = loss + how["tv"] * total_variation(shown)
        return loss + how["l2"] * pixel_norm(shown) if how["l2"] else loss

    x = descend(noise.to(device), loss_of, steps=how["steps"], betas=(0.5, 0.9), bounds=(black, white),
                rate=lambda step: learning_rate(step, how["steps"], how["lr"]), callback=callback)  # fmt: skip
    return denormalise(model, x)


@torch.no_grad()
def check_classes(model: nn.Module, target: Tensor, references: Tensor) -> None:
    """Refuse references of a size that the network can't see, and classes that it doesn't have."""
    try:
        outputs = model(normalise(model, references[0, :1].to(next(model.parameters()).device)))
    except (AssertionError, RuntimeError) as error:
        raise ValueError(
            f"{type(model).__name__} can't look at references of {tuple(references.shape[-2:])} pixels: {error}"
        ) from error
    if outputs.ndim == 2 and not 0 <= int(target.min()) <= int(target.max()) < outputs.shape[1]:
        wrong = target[(target < 0) | (target >= outputs.shape[1])][0]
        raise IndexError(
            f"class {int(wrong)} doesn't exist: {type(model).__name__} has classes 0 to {outputs.shape[1] - 1}"
        )


def vital(model: nn.Module, target: Sequence[int] | Tensor, references: Tensor, *, size: int | None = None,
          steps: int | None = None, seed: int | Sequence[int] = 0, preset: str = "world",
          callback: Callable[[int, Tensor], None] | None = None, **options) -> Tensor:  # fmt: skip
    """Visualize classes by matching their references' feature distributions.

    References are (k, n, 3, h, w) in [0, 1], one set per target.
    Returns (k, 3, size, size) in [0, 1] for one seed, (seeds, k, 3, size, size) for several. Options override the
    preset: steps, lr, jitter (share of the width), start, centre, tv, l2, weights, relevance, taps.
    """
    if references.ndim != 5 or len(references) != len(target):
        raise ValueError(
            f"vital needs references (k, n, 3, h, w), one set for each of the {len(target)} targets; "
            f"got {tuple(references.shape)}"
        )
    how = settings(model, preset, options | ({} if steps is None else {"steps": steps}))
    seeds = [seed] if isinstance(seed, int) else list(seed)
    target = torch.as_tensor(target)
    check_classes(model, target, references)
    matched = how["taps"] or blocks(model)
    quantiles = reference_quantiles(model, references, matched, target=target, relevance=how["relevance"])
    images = optimise(model, target, quantiles, seeds, size or references.shape[-1], how, callback)
    return images if isinstance(seed, int) else images.unflatten(0, (len(seeds), len(target)))
