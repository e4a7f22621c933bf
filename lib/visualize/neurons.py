"""VITAL, inner mode: an image whose relevant activations are distributed as those of patches a neuron answers to.

What is matched is activation times relevance for a channel or a direction of any tap (sections 3.3 and B.3). Relevance
comes from the same forward pass as the activations, and the references are sorted once. See
`book/vital/b-1-inner-neurons`.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from ..relevance import dead, relevance_and_activations
from ..zoo import denormalise, normalise
from ..zoo.taps import locate, record
from .optimise import Callback, Job, bell, descend, learning_rate, pixel_norm, prepare, shifted, total_variation
from .presets import settings
from .transparency import opacity, watched
from .vital import Quantiles, blocks, matching_loss, resample, sorted_values, tap_weights, unit_range

# The official optimiser, which differs from the paper's text in what it matches and in tv and l2, and what 64 pixels
# need. `spatial`: relevance is scaled from 0 to 1 per channel; `channels`: channels count by their relevance.
PRESETS = {
    "paper-code": dict(steps=2000, lr=1.0, jitter=30 / 224, start=1.0, centre=0.0, tv=3e-7, l2=3e-7,
                       weights=(0.1, 1, 1, 1), taps=None, where=None, spatial=True, channels=True),
    "paper-text": dict(steps=2000, lr=1.0, jitter=30 / 224, start=1.0, centre=0.0, tv=3e-6, l2=3e-6,
                       weights=(0.1, 1, 1, 1), taps=None, where=None, spatial=False, channels=False),
    "world": dict(steps=100, lr=0.5, jitter=4 / 64, start=0.5, centre=0.4, tv=1e-3, l2=0.0,
                  weights="scale-free", taps=None, where=None, spatial=True, channels=False),
}  # fmt: skip
AT_ONCE = 16  # references, whose activations and relevance are kept for the way back


@dataclass(frozen=True)
class Goal:
    """What is matched: at which taps, for which target, how weighted; rows are targets of all seeds."""

    taps: list[str]
    at: str
    where: str
    relevance: str
    spatial: bool
    gain: dict[str, Tensor] = field(default_factory=dict)  # (rows, c, 1) roots of the channels' weights
    quantiles: Quantiles = field(default_factory=dict)  # (rows, c, p)
    weights: dict[str, Tensor] = field(default_factory=dict)  # (rows,)


def vital_inner(
    model: nn.Module, target: Sequence[int] | Tensor, references: Tensor, *, at: str = "block5",
    relevance: str = "LRP", size: int | None = None, steps: int | None = None, seed: int | Sequence[int] = 0,
    preset: str = "world", transparency: bool = False, callback: Callback | None = None, **options,
) -> Tensor | tuple[Tensor, Tensor]:  # fmt: skip
    """Visualize channels (k,) or directions (k, c) of a tap from the patches that excite them.

    References are (k, n, 3, h, w) in [0, 1], one set per target, as `concepts.top_patches` finds them. Returns
    (k, 3, size, size) in [0, 1] for one seed, (seeds, k, 3, size, size) for several; with `transparency` also how
    much each pixel took part, (k, size, size) or (seeds, k, size, size). Options override the preset: steps, lr,
    jitter, start, centre, tv, l2, weights, taps, where, spatial, channels.
    """
    how = settings(model, preset, options | ({} if steps is None else {"steps": steps}), method="vital_inner",
                   presets=PRESETS, exceptions={})  # fmt: skip
    job = prepare(model, target, references, size=size, seed=seed, at=at)
    goal = set_goal(job, references, relevance, how)
    start = job.draw(3, job.size, job.size) * how["start"]
    if how["centre"]:
        start = start * bell(job.size, how["centre"]).to(start)
    trace = torch.zeros_like(start) if transparency else None
    black, white = (normalise(model, torch.full((1, 3, 1, 1), v, device=job.target.device)) for v in (0.0, 1.0))
    x = descend(
        start, partial(loss, job, goal, how, trace), steps=how["steps"], betas=(0.5, 0.9), bounds=(black, white),
        rate=lambda step: learning_rate(step, how["steps"], how["lr"]), callback=callback,
    )  # fmt: skip
    say_dead(job, x)
    images = job.finished(denormalise(model, x))
    return (images, opacity(trace).unflatten(0, images.shape[:-3])) if transparency else images


def loss(job: Job, goal: Goal, how: dict, trace: Tensor | None, x: Tensor, step: int) -> Tensor:
    """Return the loss of equation 4 with activations times relevance, per row."""
    shown = shifted(x if trace is None else watched(x, trace), round(how["jitter"] * job.size), job.generators)
    matched = relevant(job.model, shown, job.target, goal)
    quantiles = {tap: resample(q, matched[tap].shape[-1]) for tap, q in goal.quantiles.items()}
    total = matching_loss(matched, quantiles, goal.weights)
    if how["tv"]:
        total = total + how["tv"] * total_variation(shown)
    return total + how["l2"] * pixel_norm(shown) if how["l2"] else total


def relevant(model: nn.Module, x: Tensor, target: Tensor, goal: Goal) -> dict[str, Tensor]:
    """Return activation times relevance at each tap (n, c, positions), the gradient through activations alone."""
    found, activations = look(model, x, target, goal)
    scaled = {tap: unit_range(r) if goal.spatial else r for tap, r in found.items()}
    return {tap: activations[tap] * scaled[tap] * goal.gain.get(tap, 1.0) for tap in goal.taps}


def look(model: nn.Module, x: Tensor, target: Tensor, goal: Goal) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return relevance and activations; where a target is zero on an image, relevance starts at its best position."""
    find = partial(relevance_and_activations, model, target=target, relevance=goal.relevance, at=goal.at)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the target at", RuntimeWarning)
        found, activations = find(x, taps=[*goal.taps, goal.at], where=goal.where)
        lost = dead(activations[goal.at].detach(), target) if goal.where == "everywhere" else None
        if lost is not None and lost.any():
            # no gradient passes a ReLU that is off, so guided backpropagation starts as LRP
            known = "LRP" if goal.relevance == "guided backpropagation" else goal.relevance
            start, _ = find(x.detach()[lost], target=target[lost], taps=goal.taps, where="best", relevance=known)
            for tap, instead in start.items():
                found[tap] = found[tap].index_put((lost,), instead)
    return {tap: found[tap] for tap in goal.taps}, activations


@torch.no_grad()
def say_dead(job: Job, x: Tensor) -> None:
    """Warn of finished images that their target doesn't answer to: nothing in them was relevant."""
    with record(job.model, job.at) as kept:
        job.model(x)
    count = int(dead(kept[job.at], job.target).sum())
    if count:
        warnings.warn(f"{count} of {len(x)} finished images leave their target at {job.at} at zero; with more steps, "
                      "more references or relevance='LRP' it may come alive", RuntimeWarning, stacklevel=3)  # fmt: skip


def set_goal(job: Job, references: Tensor, relevance: str, how: dict) -> Goal:
    """Look at each target's references (k, n, 3, h, w) once: their mean sorted features and channels' weights."""
    taps = list(how["taps"] or taps_before(job.model, job.at, references[0, :1], how["weights"]))
    where = how["where"] or ("best" if job.target.is_floating_point() else "everywhere")
    plain = Goal(taps, job.at, where, relevance, how["spatial"])
    found = [of_references(job, plain, k, images, how["channels"]) for k, images in enumerate(references)]
    gain, q = ({tap: torch.stack([one[tap] for one in part]) for tap in taps} for part in zip(*found, strict=True))
    weights = {tap: torch.as_tensor(w, device=job.target.device).expand(job.targets)
               for tap, w in weights_of(q, how["weights"]).items()}  # fmt: skip
    rows = [{tap: value.repeat(len(job.generators), *[1] * (value.ndim - 1)) for tap, value in part.items()}
            for part in (gain, q, weights)]  # fmt: skip
    return Goal(taps, job.at, where, relevance, how["spatial"], *rows)


def weights_of(quantiles: Quantiles, weights: str | Sequence[float]) -> dict[str, float | Tensor]:
    """Return each tap's weight; of the published list of weights, as many as there are taps."""
    if not isinstance(weights, str) and len(weights) < len(quantiles):
        raise ValueError(f"{len(quantiles)} taps need a weight each, got {len(weights)}: {', '.join(quantiles)}")
    return tap_weights(quantiles, weights if isinstance(weights, str) else weights[: len(quantiles)])


@torch.no_grad()
def of_references(job: Job, plain: Goal, k: int, images: Tensor, by_channel: bool) -> tuple[dict, Quantiles]:
    """Return the roots of channel weights (c, 1) and the mean sorted features (c, p) of a target's references."""
    gain, quantiles = dict.fromkeys(plain.taps, 0.0), dict.fromkeys(plain.taps, 0.0)
    for part in images.split(AT_ONCE):
        target = job.target[k].expand(len(part), *job.target.shape[1:])
        found, activations = look(job.model, normalise(job.model, part.to(job.target.device)), target, plain)
        for tap, r in found.items():
            scaled = unit_range(r) if plain.spatial else r
            quantiles[tap] += sorted_values(activations[tap] * scaled).sum(0) / len(images)
            weight = channel_weights(r) if by_channel else torch.ones_like(r[0, :, :1])
            gain[tap] += weight * len(part) / len(images)
    gain = {tap: weight.sqrt() for tap, weight in gain.items()}
    return gain, {tap: q * gain[tap] for tap, q in quantiles.items()}


def channel_weights(relevance: Tensor) -> Tensor:
    """Weigh channels by their largest relevance (n, c, positions), 0 to 1 in each image, averaged: (c, 1)."""
    largest = relevance.amax(-1)  # (n, c)
    above = largest - largest.amin(1, keepdim=True)
    return (above / (above.amax(1, keepdim=True) + 1e-6)).mean(0)[:, None]


@torch.no_grad()
def taps_before(model: nn.Module, at: str, images: Tensor, weights: str | Sequence[float]) -> list[str]:
    """Return the blocks that run before a tap, as many as there are weights for them."""
    device, names = next(model.parameters()).device, blocks(model)
    places = {spot.name: (spot.path, spot.inlet) for spot in locate(model, [*names, at])}
    with record(model, dict.fromkeys([*names, at])) as kept:  # in the order in which they run
        model(normalise(model, images.to(device)))
    order = list(kept)
    found = [tap for tap in order[: order.index(at)] if tap in names and places[tap] != places[at]]
    if not found:
        raise ValueError(f"no block runs before {at!r}: name the taps to match, as in taps=['conv1']")
    return found if isinstance(weights, str) else found[: len(weights)]
