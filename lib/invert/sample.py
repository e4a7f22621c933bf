"""Draw pictures from noise in a few steps, many at once, each from a seed of its own.

The solvers are diffusers' multistep DPM-Solver on the straight path; of order 1 it is DDIM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real

import torch
from torch import Tensor

from ..names import unknown
from . import prompts as words
from .base import Base, velocity
from .control import Inverter
from .flow import FLOW, ORDERS, Noising

AGAINST = ("prompt", "all")
BATCH = 64


@dataclass(frozen=True)
class How:
    """How pictures are drawn.

    `solver` is dpm or ddim, `shift` above 1 takes more of the steps at much noise. `guidance` above 1 goes on beyond
    what the prompt changes (`against="prompt"`: features stay, as in the paper) or beyond what prompt and features
    change (`"all"`, which training leaves out together). `strength` scales what a control adds.
    """

    steps: int = 8
    solver: str = "dpm"
    shift: float = 1.0
    guidance: float = 1.0
    against: str = "prompt"
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what there isn't."""
        for what, value, valid in (("solver", self.solver, ORDERS), ("guidance against", self.against, AGAINST)):
            if value not in valid:
                raise ValueError(unknown(what, value, valid))
        if not isinstance(self.steps, Integral) or self.steps < 1:
            raise ValueError(f"a picture takes 1 or more steps, found {self.steps!r}")
        for what in ("shift", "guidance", "strength"):
            value, least = getattr(self, what), "above 0" if what == "shift" else "of 0 or more"
            if not isinstance(value, Real) or not 0 <= value < float("inf") or (what == "shift" and not value):
                raise ValueError(f"{what} of drawing is a number {least}, found {value!r}")


def how(options: dict) -> How:
    """Read options of drawing."""
    valid = [f.name for f in fields(How)]
    wrong = [name for name in options if name not in valid]
    if wrong:
        raise ValueError(unknown("option of drawing", wrong[0], valid))
    return How(**options)


def noise(shape: tuple[int, int, int], seeds: Sequence[int]) -> Tensor:
    """Draw latent noise (n, c, h, w), each picture's from its own seed, on the CPU whatever the device."""
    if not len(seeds) or not all(hasattr(seed, "__index__") for seed in seeds):
        raise ValueError(f"each picture has a whole number as its seed, found {list(seeds)}")
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds])


def sample(base: Base, captions: Sequence[str] | Tensor | None = None, *, seeds: Sequence[int], progress: bool = False,
           **options) -> Tensor:  # fmt: skip
    """Draw one picture per seed, (n, 3, s, s) in [0, 1]: of captions, of word numbers, or of anything (None).

    Options are those of `How`: steps, solver, shift, guidance.
    """
    if isinstance(captions, str) or not isinstance(seeds, Iterable):
        raise ValueError(f"captions and seeds are lists, one of each per picture, found {captions!r} and {seeds!r}")
    way, said = how(options), words.special(words.ANY, len(seeds)) if captions is None else captions
    if len(said) != len(seeds):
        raise ValueError(f"there is one seed per caption: found {len(seeds)} seeds and {len(said)} captions")
    vectors, null = base.prompts(said), base.prompts(words.special(words.NOTHING, len(seeds)))

    def drift(part: slice) -> Callable:
        asked, other = vectors[part], null[part]
        return guided(way, lambda z, s: velocity(base, z, s, asked), lambda z, s: velocity(base, z, s, other))

    return drawn(base, drift, noise(base.shape, seeds), way, progress=progress)


def reconstruct(inverter: Inverter, features: Tensor, *, seeds: int | Sequence[int] = 0, progress: bool = False,
                **options) -> Tensor:  # fmt: skip
    """Draw a picture of each feature map (n, c, h, w), (n, 3, s, s) in [0, 1]; one seed serves all, or one each.

    Options are those of `How`: steps, solver, shift, guidance, against, strength; an edition's inverter has its own.
    """
    way, base, maps = how(inverter.drawing | options), inverter.base, inverter.check(features).to(inverter.base.device)
    seeds = list(seeds) if isinstance(seeds, Iterable) else [seeds] * len(maps)
    if len(seeds) != len(maps):
        raise ValueError(f"there is one seed for all features or one each: found {len(seeds)} for {len(maps)}")

    def drift(part: slice) -> Callable:
        return guided(way, *steered(inverter, maps[part], way))

    return drawn(base, drift, noise(base.shape, seeds), way, progress=progress)


def steered(inverter: Inverter, maps: Tensor, way: How) -> tuple[Callable, Callable]:
    """Return the drift of feature maps (n, c, h, w), and the one that guidance goes away from."""
    base, control = inverter.base, inverter.control
    asked, null = (base.prompts(words.special(which, len(maps))) for which in (words.ANY, words.NOTHING))
    none = torch.ones(len(maps), dtype=torch.bool, device=maps.device) if way.against == "all" else None
    with torch.no_grad():  # features stay the same through all steps
        encoded, blank = control.encoder(maps), control.encoder(maps, none)

    def one(z: Tensor, level: Tensor, prompt: Tensor, seen: Tensor) -> Tensor:
        return velocity(base, z, level, prompt, control.steer(z, level, prompt, seen, way.strength))

    return lambda z, s: one(z, s, asked, encoded), lambda z, s: one(z, s, null, blank)


def guided(way: How, given: Callable, without: Callable) -> Callable:
    """Let a drift go on beyond what a condition changes."""
    if way.guidance == 1:
        return given

    def beyond(z: Tensor, level: Tensor) -> Tensor:
        start = without(z, level)
        return start + way.guidance * (given(z, level) - start)

    return beyond


@torch.no_grad()
def drawn(base: Base, drift: Callable, start: Tensor, way: How, *, progress: bool = False) -> Tensor:
    """Solve the path from noise (n, c, h, w) batch by batch and decode; `drift(part)` gives the drift of those rows."""
    from tqdm.auto import tqdm

    pictures, batch = torch.empty(len(start), 3, base.size, base.size), base.facts.get("batch", BATCH)
    for first in tqdm(range(0, len(start), batch), disable=not progress, leave=False, desc="drawing"):
        part = slice(first, first + batch)
        z = solve(drift(part), start[part].to(base.device), way, base.noising)
        pictures[part] = (base.codec.decode(z).sample / 2 + 0.5).cpu()
    return pictures


def solve(drift: Callable, z: Tensor, way: How, noising: Noising = FLOW) -> Tensor:
    """Follow a drift from noise to latents (n, c, h, w)."""
    clock, levels = noising.clock(way.steps, way.solver, way.shift)
    for time, level in zip(clock.timesteps, levels, strict=True):
        pace = drift(z, torch.full((len(z),), level, device=z.device))
        z = clock.step(pace, time, z, return_dict=False)[0]
    return z
