"""The same scene with a concept and without it: paired drawings that differ in one edit, for causal questions.

A place or colour is painted over the scene's own, a noun, kind, family or order takes the place of another main
object, a texture or part is left out of an object that has it, a small thing is put beside another. Every pair is
checked against the drawings' own truth. See `book/linear/x-causes`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .. import world
from ..names import unknown
from ..world.pen import TEXTURES
from ..world.planning import Plan
from ..world.splits import draw_blocks
from ..world.vocabulary import ADJECTIVES, TABLE
from ..zoo.phrases import concept_phrases, concept_truth

SEED = 90_000  # scenes that no split holds
SPARE = 1.5  # scenes planned for each pair that is wanted: in some the concept comes out hidden
BASE = 6  # usual scenes for each pair that is wanted: two in three show the commonest concepts already
PLACES = {world.place(name): name for name in world.BACKGROUNDS}
SMALL = {f"small {noun}": noun for noun in world.NOUNS}
PATTERNS = {ADJECTIVES[name]: name for name in TEXTURES}
WORN = dict.fromkeys(PATTERNS, ADJECTIVES["stripes"])


@dataclass(frozen=True, eq=False)
class Painted:
    """Images of m scenes without a concept and with it, bytes (m, 3, s, s)."""

    without: Tensor
    within: Tensor

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self.without)


def paintable(name: str) -> bool:
    """Tell whether the world can be drawn with and without a concept."""
    return name in SMALL or name in concept_phrases()


def noun_of(name: str) -> str:
    """Return the noun of a small thing, and any other name as it is."""
    return SMALL.get(name, name)


def painted(names: Sequence[str], n: int = 32, *, seed: int = 0, size: int = 64) -> dict[str, Painted]:
    """Draw up to n scenes without each concept and with it, all else alike, {name: Painted}.

    All drawings are made in one go, since many small ones take far longer. Different nouns take turns as the main
    object. A concept of which no pair comes out is an error.
    """
    names = list(dict.fromkeys(names))
    for name in names:
        if not paintable(name):
            raise KeyError(unknown("concept that can be painted", name, concept_phrases()))
    if n < 1 or not names:
        raise ValueError(f"painting needs a concept and 1 pair of scenes or more; got {len(names)} concepts, {n} pairs")
    usual = world.plan(range(BASE * n), SEED + seed, hard=0.0)
    _, truth = look(usual, size)
    plans = [planned(name, math.ceil(SPARE * n), seed, usual, truth) for name in names]
    return {name: checked(name, *pair, n) for name, pair in zip(names, together(plans, size), strict=True)}


def together(pairs: Sequence[tuple[Plan, Plan]], size: int) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Draw pairs of plans in one go and hand them out again: (images, truth) twice for each pair."""
    plans = [plan for pair in pairs for plan in pair]
    images, truth = look(Plan.cat(plans), size)
    lengths = [len(plan) for plan in plans]
    drawn = list(zip(images.split(lengths), truth.split(lengths), strict=True))
    for k in range(0, len(drawn), 2):
        yield drawn[k : k + 2]


def look(plan: Plan, size: int) -> tuple[Tensor, Tensor]:
    """Draw scenes: bytes (n, 3, size, size), and which concepts and kinds are in them (n, concepts + kinds)."""
    drawn = draw_blocks(plan, size, maps=False)
    return drawn.image, concept_truth(drawn)


def checked(name: str, before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor], n: int) -> Painted:
    """Keep the first n pairs of scenes (images, truth) that lack a concept before and have it after."""
    column = concept_phrases().index(noun_of(name))
    kept = (after[1][:, column] & ~before[1][:, column]).nonzero()[:n, 0]
    if not len(kept):
        raise ValueError(f"none of {len(after[0])} scenes could be drawn without and with {name!r}")
    return Painted(before[0][kept], after[0][kept])


def planned(name: str, n: int, seed: int, usual: Plan, truth: Tensor) -> tuple[Plan, Plan]:
    """Plan n scenes without a concept and with it; `truth` tells which concepts the usual ones show."""
    if name in SMALL or name == "two things":
        after = world.plan(range(n), SEED + seed, hard=0.0, pairs=1.0)
        after = after if name == "two things" else world.edit(after, second=noun_of(name))
        return world.edit(after, second="nothing"), after
    if name in PATTERNS:
        plan = scenes_of(wearers()[name], n, seed)
        return world.edit(plan, texture="plain"), world.edit(plan, texture=PATTERNS[name])
    if name in world.PARTS:
        plan = scenes_of(wearers()[name], n, seed)
        return world.edit(plan, without=name), plan
    lacking = ~truth[:, concept_phrases().index(name)]
    before = usual[lacking.nonzero()[:n, 0]]
    return before, exchanged(before, name)


def exchanged(before: Plan, name: str) -> Plan:
    """Give scenes another background, colour or main object."""
    if name in PLACES:
        return world.edit(before, background=PLACES[name])
    if name in world.COLOURS:
        return world.edit(before, colour=name)
    return in_turn(before, [kind for kind in world.KINDS if name == kind or name in world.parents(kind)])


def in_turn(plan: Plan, kinds: Sequence[str]) -> Plan:
    """Let kinds take turns as the main object."""
    turn = torch.arange(len(plan)) % len(kinds)
    rows = [(turn == k).nonzero()[:, 0] for k in range(len(kinds))]
    parts = [world.edit(plan[r], kind=kind) for r, kind in zip(rows, kinds, strict=True) if len(r)]
    return Plan.cat(parts)[torch.cat(rows).argsort()]


def scenes_of(nouns: Sequence[str], n: int, seed: int) -> Plan:
    """Plan scenes with some nouns only, which take turns."""
    ids = torch.tensor([world.NOUNS.index(noun) for noun in nouns])
    rounds = torch.arange(n)
    return world.plan(rounds // len(ids) * len(world.NOUNS) + ids[rounds % len(ids)], SEED + seed, hard=0.0)


@lru_cache(maxsize=1)
def wearers() -> dict[str, list[str]]:
    """List the nouns that have each part, and those that can wear a texture, as two drawings of each show it."""
    plan = world.plan(range(2 * len(TABLE)), SEED, clean=True)
    # whoever wears one texture can wear all: an edit changes the pattern of a coat
    shown, striped = (look(p, 64)[1] for p in (plan, world.edit(plan, texture="stripes")))
    found = {}
    for name in (*world.PARTS, *PATTERNS):
        there = (striped if name in PATTERNS else shown)[:, concept_phrases().index(WORN.get(name, name))]
        found[name] = [noun for noun, yes in zip(world.NOUNS, there.view(2, -1).any(0).tolist(), strict=True) if yes]
    return found
