"""The straight path from picture to noise that the models learn: z(s) = (1 - s) z + s noise, velocity noise - z."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor

STEPS = 1000  # the model is told 1000 s, as if there were so many steps
ORDERS = {"dpm": 2, "ddim": 1}


@dataclass(frozen=True, eq=False)
class Noising:
    """How a model's pictures become noise, in functions of latents (n, c, h, w) and levels (n,) in (0, 1).

    mix(z, noise, level); aim(z, noise, level), what the model predicts; clean(noisy, predicted, level); told(level),
    what the model is told; at(ratio), the level of a signal to noise ratio; clock(steps, solver, shift), a scheduler
    of diffusers and the level at each of its steps.
    """

    mix: Callable[[Tensor, Tensor, Tensor], Tensor]
    aim: Callable[[Tensor, Tensor, Tensor], Tensor]
    clean: Callable[[Tensor, Tensor, Tensor], Tensor]
    told: Callable[[Tensor], Tensor]
    at: Callable[[float], float]
    clock: Callable[[int, str, float], tuple[object, list[float]]]


def levels(n: int, draws: torch.Generator, *, shift: float = 1.0) -> Tensor:
    """Draw noise levels (n,) in (0, 1), one from each n-th of the range; `shift` above 1 prefers much noise."""
    even = (torch.arange(n) + torch.rand(n, generator=draws)) / n
    even = even[torch.randperm(n, generator=draws)].clamp(1e-3, 1 - 1e-3)
    return shift * even / (1 + (shift - 1) * even)


def mix(z: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Go from latents (n, c, h, w) towards noise, each by its own level (n,)."""
    level = level.view(-1, 1, 1, 1)
    return (1 - level) * z + level * noise


def clean(noisy: Tensor, velocity: Tensor, level: Tensor) -> Tensor:
    """Go back from noisy latents along a velocity to the picture that it points at."""
    return noisy - level.view(-1, 1, 1, 1) * velocity


def velocity(z: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Return the velocity of the straight path, the same at every level."""
    return noise - z


def clock(steps: int, solver: str, shift: float) -> tuple[DPMSolverMultistepScheduler, list[float]]:
    """Return the scheduler of the straight path, and its levels."""
    made = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift, solver_order=ORDERS[solver],
        lower_order_final=True, final_sigmas_type="zero",
    )  # fmt: skip
    made.set_timesteps(steps)
    made.set_begin_index(0)
    return made, made.sigmas[:-1].tolist()


FLOW = Noising(mix, velocity, clean, lambda level: level * STEPS, lambda ratio: 1 / (1 + ratio), clock)
