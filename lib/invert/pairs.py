"""Pairs of scenes that differ in one thing only, drawn by the world: what is asked of reconstructions in `survive`.

Both are scenes as the models learnt them wherever the world allows it: another colour is that of another kind of the
noun, another noun has a kind of the same colour. Textures and parts are the exception, since no scene in training
lacks them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..names import unknown
from ..world import BACKGROUNDS, HARD, KINDS, PARTS, SPLITS, TEXTURES, Plan, Scenes, draw, plan
from ..world.dice import Dice
from ..world.planning import MAIN_COLOUR
from ..world.truth import counts
from ..world.vocabulary import KIND_COLOUR, KIND_NOUN

COLOUR_OF, NOUN_OF = torch.tensor(KIND_COLOUR), torch.tensor(KIND_NOUN)
FIRST = 2400  # scenes of the test split that come before these
LEAST, FAINT = 8, 26  # a pair counts where so many pixels differ by so much of 255, at 64 x 64
SHOWN, MOST = 12, 0.4  # pixels of a texture or part to be seen, and the most of the object that a part may be
NARROW, LARGE, SMALL = 0.18, 1.02, 0.76  # ends of where and how large objects alone in a scene are
Edited = tuple[Plan, Tensor]  # plans, and whether the thing could be changed in them


@dataclass(frozen=True, eq=False)
class Pairs:
    """Drawn scenes (m), and pairs of them: rows `first` and `second` (p,), `names` of what differs.

    Scenes that share a seed (m,) are to be drawn from the same noise, as both of a pair do.
    """

    scenes: Scenes
    first: Tensor
    second: Tensor
    names: tuple[str, ...]
    seeds: Tensor

    def __len__(self) -> int:
        return len(self.first)

    def of(self, name: str) -> Tensor:
        """Return which pairs differ in this, (k,)."""
        return torch.tensor([i for i, each in enumerate(self.names) if each == name], dtype=torch.long)


def pick(allowed: Tensor, dice: Dice) -> tuple[Tensor, Tensor]:
    """Draw one of the allowed options (n, k) of each row: (n,), and whether there was any."""
    luck = dice.uniform("edit", shape=(allowed.shape[1],))
    return torch.where(allowed, luck, -1.0).argmax(1), allowed.any(1)


def noun(scenes: Plan, drawn: Scenes, dice: Dice) -> Edited:
    """Put another noun there, in the same colour."""
    same = COLOUR_OF == COLOUR_OF[scenes.kind][:, None]
    kind, there = pick(same & (NOUN_OF != scenes.label[:, None]), dice)
    return replace(scenes, kind=kind, label=NOUN_OF[kind], colour=MAIN_COLOUR[kind]), there


def colour(scenes: Plan, drawn: Scenes, dice: Dice) -> Edited:
    """Give the noun the colour of another of its kinds."""
    own = torch.arange(len(KINDS)) == scenes.kind[:, None]
    kind, there = pick((NOUN_OF == scenes.label[:, None]) & ~own, dice)
    return replace(scenes, kind=kind, colour=MAIN_COLOUR[kind]), there


def texture(scenes: Plan, drawn: Scenes, dice: Dice) -> Edited:
    """Replace the noun's texture by another one, or by none."""
    seen = counts(drawn.texture, len(TEXTURES))[:, 1:]
    own, there = seen.argmax(1), seen.amax(1) >= SHOWN
    other, _ = pick(torch.arange(len(TEXTURES) + 1) != own[:, None], dice)
    return replace(scenes, texture=other), there


def part(scenes: Plan, drawn: Scenes, dice: Dice) -> Edited:
    """Leave out one part that is in sight."""
    seen = counts(drawn.part, len(PARTS))[:, 1:]
    gone, there = pick((seen >= SHOWN) & (seen <= MOST * seen.sum(1, keepdim=True)), dice)
    return replace(scenes, without=gone + 1), there


def place(scenes: Plan, drawn: Scenes, dice: Dice) -> Edited:
    """Draw another background."""
    other, there = pick(torch.arange(len(BACKGROUNDS)) != scenes.background[:, None], dice)
    return replace(scenes, background=other), there


def position(scenes: Plan, drawn: Scenes, dice: Dice) -> Edited:
    """Move the object to the far side."""
    pose = scenes.pose.clone()
    pose[:, 0, 0] = torch.where(pose[:, 0, 0] > 0, -NARROW, NARROW)
    return replace(scenes, pose=pose), torch.ones(len(scenes), dtype=torch.bool)


def size(scenes: Plan, drawn: Scenes, dice: Dice) -> Edited:
    """Make a large object small and a small one large."""
    pose = scenes.pose.clone()
    pose[:, 0, 2] = torch.where(pose[:, 0, 2] > (LARGE + SMALL) / 2, SMALL, LARGE)
    return replace(scenes, pose=pose), torch.ones(len(scenes), dtype=torch.bool)


def count(scenes: Plan, drawn: Scenes, dice: Dice) -> Edited:
    """Take the second object away."""
    none = torch.full_like(scenes.second, -1)
    return replace(scenes, second=none, second_kind=none), scenes.second >= 0


def light(scenes: Plan, drawn: Scenes, dice: Dice) -> Edited:
    """Turn the light down."""
    dark = torch.full_like(scenes.hard, HARD.index("dark"))
    return replace(scenes, hard=dark), torch.ones(len(scenes), dtype=torch.bool)


def thing_in_front(scenes: Plan, drawn: Scenes, dice: Dice) -> Edited:
    """Put a post, a leaf or a ball in front."""
    return replace(scenes, occluders=torch.ones_like(scenes.occluders)), torch.ones(len(scenes), dtype=torch.bool)


def details(scenes: Plan, drawn: Scenes, dice: Dice) -> Edited:
    """Draw the same things anew, with other chance: their forms, the ground's pattern, tint and grain."""
    return replace(scenes, keys=dice.child("anew").keys), torch.ones(len(scenes), dtype=torch.bool)


CHANGES: dict[str, Callable[[Plan, Scenes, Dice], Edited]] = {
    "noun": noun, "colour": colour, "texture": texture, "part": part, "place": place, "position": position,
    "size": size, "count": count, "light": light, "thing in front": thing_in_front, "details": details,
}  # fmt: skip
ATTRIBUTES = tuple(CHANGES)
IN_TWOS = ("count",)  # begins from scenes of two objects


def pairs(n: int = 32, *, attributes: Sequence[str] = ATTRIBUTES, seed: int = 0) -> Pairs:
    """Draw n scenes, each again with every attribute changed; what can't be changed in a scene or seen is left out.

    The unchanged scene is shared by all its pairs, so that it has to be reconstructed only once.
    """
    for name in attributes:
        if name not in CHANGES:
            raise KeyError(unknown("attribute", name, ATTRIBUTES))
    drawn, found, rows = [], [], 0
    for twos in sorted({name in IN_TWOS for name in attributes}):
        start = base_plan(n, seed, twos)
        own = draw(start)
        drawn.append(own)
        first, rows = rows + torch.arange(n), rows + n
        for name in (each for each in attributes if (each in IN_TWOS) == twos):
            scenes, there = CHANGES[name](start, own, Dice(start.keys).child(f"edit {name}"))
            kept = there.nonzero()[:, 0]
            edited = draw(scenes[kept])
            kept, edited = visible(own, edited, kept)
            drawn.append(edited)
            found.append((first[kept], rows + torch.arange(len(kept)), [name] * len(kept), kept))
            rows += len(kept)
    return collected(drawn, found, attributes, n)


def base_plan(n: int, seed: int, twos: bool) -> Plan:
    """Plan scenes of one object or of two, in full view and good light."""
    index = range(FIRST + seed * n, FIRST + (seed + 1) * n)
    scenes = plan(index, SPLITS["test"].seed, pairs=float(twos), hard=0.0)
    return replace(scenes, occluders=torch.zeros_like(scenes.occluders))


def visible(own: Scenes, edited: Scenes, kept: Tensor) -> tuple[Tensor, Scenes]:
    """Leave out pairs that look the same."""
    differ = (own.image[kept].short() - edited.image.short()).abs().amax(1) > FAINT
    seen = differ.flatten(1).sum(1) >= LEAST
    return kept[seen], edited[seen]


def collected(drawn: list[Scenes], found: list[tuple], attributes: Sequence[str], n: int) -> Pairs:
    """Put scenes and pairs together, in the order of the attributes."""
    scenes = Scenes.cat(drawn)
    seeds = torch.zeros(len(scenes), dtype=torch.long)
    for _, second, _, source in found:
        seeds[second] = source
    for first, _, _, source in found:
        seeds[first] = source
    found = sorted(found, key=lambda each: list(attributes).index(each[2][0]) if each[2] else 0)
    first, second = (torch.cat([each[k] for each in found]) for k in (0, 1))
    return Pairs(scenes, first, second, tuple(name for each in found for name in each[2]), seeds)
