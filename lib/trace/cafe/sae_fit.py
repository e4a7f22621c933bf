"""How a sparse autoencoder learns: Adam on unit-length atoms, a batch of PFVs at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...names import unknown
from .sae import KINDS, Sae

# `active` codes a PFV for Matryoshka, `penalty` for plain (lambda, for PFVs of mean square 1 a channel). The rate is
# for 2^14 latents and grows as their number shrinks; `revive` counts steps without firing until a latent is dead.
RECIPE = {"steps": 1200, "batch": 512, "rate": 1.6e-3, "active": 16, "penalty": 0.5, "warm_up": 0.05, "revive": 20}
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of all atoms, in the prefixes of a Matryoshka
REVIVAL = 1 / 32  # weight of what dead latents can add


@dataclass
class Learner:
    """What Adam moves, and what is counted on the way."""

    encoder: nn.Parameter
    atoms: nn.Parameter
    before: nn.Parameter
    bias: nn.Parameter
    after: nn.Parameter
    prefixes: list[int]
    idle: Tensor  # (K,) steps since a latent fired last
    threshold: float = 0.0


def train(activations: Tensor, *, width: int, kind: str = "matryoshka", seed: int = 0, **changes) -> Sae:
    """Learn `width` latents from activations (n, c); `changes` are to RECIPE."""
    recipe = settings(activations, width, kind, changes)
    scale = activations.square().mean().sqrt().clamp_min(1e-12)
    draws = torch.Generator().manual_seed(seed)
    learner = begin(activations / scale, width, kind, draws)
    moved = [learner.encoder, learner.atoms, learner.before, learner.after]
    if kind == "matryoshka":
        moved.append(learner.bias)  # Eq. 8 has none
    rate = recipe["rate"] * math.sqrt(2**14 / width)
    adam = torch.optim.Adam(moved, lr=rate)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=recipe["steps"], pct_start=recipe["warm_up"])
    for step in range(recipe["steps"]):
        rows = torch.randint(len(activations), (recipe["batch"],), generator=draws)
        adam.zero_grad()
        loss(learner, activations[rows] / scale, kind, recipe).backward()
        along_sphere(learner.atoms)
        nn.utils.clip_grad_norm_(moved, 1.0)
        adam.step()
        cycle.step()
        normalise(learner.atoms)
        if step == recipe["steps"] // 10:
            learner.threshold = 0.0  # that of codes which had not settled
    return finished(learner, scale)


def settings(activations: Tensor, width: int, kind: str, changes: dict) -> dict:
    """Check what was asked for and return the full recipe."""
    if kind not in KINDS:
        raise KeyError(unknown("kind of autoencoder", kind, KINDS))
    wrong = [name for name in changes if name not in RECIPE]
    if wrong:
        raise KeyError(unknown("part of the recipe", wrong[0], RECIPE))
    recipe = {**RECIPE, **changes}
    if activations.ndim != 2 or len(activations) == 0 or not activations.isfinite().all():
        raise ValueError(f"activations are (n, c) finite numbers, n above 0; found {tuple(activations.shape)}")
    if width < len(SHARES) or recipe["active"] >= width:
        raise ValueError(f"{recipe['active']} active codes need more latents than the width of {width}")
    return recipe


def begin(activations: Tensor, width: int, kind: str, draws: torch.Generator) -> Learner:
    """Start from random atoms, an encoder that is their transpose, and the mean of PFVs as the centre."""
    atoms = torch.randn(width, activations.shape[1], generator=draws).to(activations)
    normalise(atoms)
    centre = activations.mean(0)
    prefixes = sorted({max(1, round(width * share)) for share in SHARES}) if kind == "matryoshka" else [width]
    values = atoms.clone(), atoms, centre, torch.zeros_like(atoms[:, 0]), centre.clone()
    return Learner(*map(nn.Parameter, values), prefixes, torch.zeros_like(atoms[:, 0]))


def loss(learner: Learner, h: Tensor, kind: str, recipe: dict) -> Tensor:
    """Return the loss of a batch h (b, c), of either kind."""
    codes = ((h - learner.before) @ learner.encoder.T + learner.bias).relu()
    if kind == "plain":
        error = h - codes @ learner.atoms - learner.after
        return error.square().sum(1).mean() + recipe["penalty"] * codes.abs().sum(1).mean()
    kept = largest(codes, recipe["active"] * len(h), learner)
    parts = zip(kept.split(sizes(learner.prefixes), 1), learner.atoms.split(sizes(learner.prefixes)), strict=True)
    rest, errors = h - learner.after, []
    for part, atoms in parts:
        rest = rest - part @ atoms
        errors.append(rest.square().sum(1).mean())
    learner.idle = torch.where((kept > 0).any(0), 0.0, learner.idle + 1)
    return sum(errors) / len(errors) + REVIVAL * revival(learner, codes, rest.detach(), recipe["revive"])


def sizes(prefixes: list[int]) -> list[int]:
    """Return how many atoms each prefix adds."""
    return [stop - start for start, stop in zip([0, *prefixes], prefixes, strict=False)]


def largest(codes: Tensor, count: int, learner: Learner) -> Tensor:
    """Keep the `count` largest codes of a batch (b, K), and follow the smallest of them."""
    flat = codes.detach().flatten()
    edge = flat.kthvalue(len(flat) - count).values
    lowest = codes.detach()[codes.detach() > edge]
    if len(lowest):
        low = lowest.min().item()
        learner.threshold = 0.99 * learner.threshold + 0.01 * low if learner.threshold else low
    return codes * (codes > edge)


def revival(learner: Learner, codes: Tensor, rest: Tensor, patience: int) -> Tensor:
    """Return how badly dead latents rebuild what is left (b, c), 0 while none is dead."""
    dead = learner.idle > patience
    if not dead.any():
        return rest.new_zeros(())
    count = min(rest.shape[1] // 2, int(dead.sum()))
    unused = codes[:, dead]
    best = unused.topk(count, 1)
    added = torch.zeros_like(unused).scatter(1, best.indices, best.values) @ learner.atoms[dead]
    return (rest - added).square().sum(1).mean()


@torch.no_grad()
def normalise(atoms: Tensor) -> None:
    """Give atoms (K, c) length 1, in place: else the penalty could be evaded by long atoms and small codes."""
    atoms.div_(atoms.norm(dim=1, keepdim=True).clamp_min(1e-12))


@torch.no_grad()
def along_sphere(atoms: nn.Parameter) -> None:
    """Take the part of the gradient away that would only change lengths."""
    atoms.grad.sub_((atoms.grad * atoms).sum(1, keepdim=True) * atoms)


@torch.no_grad()
def finished(learner: Learner, scale: Tensor) -> Sae:
    """Return the autoencoder for activations as they are, before they were divided by `scale`."""
    fields = (learner.before * scale, learner.bias * scale, learner.after * scale)
    before, bias, after = (value.detach().clone() for value in fields)
    threshold = scale.new_full((1,), learner.threshold) * scale
    prefixes = torch.tensor(learner.prefixes)
    return Sae(learner.encoder.detach(), learner.atoms.detach(), before, bias, after, threshold, prefixes)
