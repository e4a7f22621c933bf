"""The same scene with a concept and without it: paired drawings that differ in one edit, for causal questions.

A place or colour is painted over the scene's own, a noun, kind, family or order takes the place of another main
object, a texture or part is left out of an object that has it, a small thing is put beside another. Every pair is
checked against the drawings' own truth. See `book/linear/x-causes`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from .. import world
from ..names import unknown
from ..world.pen import TEXTURES
from ..world.planning import Plan
from ..world.splits import draw_blocks
from ..world.vocabulary import ADJECTIVES, TABLE
from ..zoo.phrases import concept_phrases, concept_truth, facts, mentions

SEED = 90_000  # scenes that no split holds
SPARE = 1.1  # scenes planned for each pair that is wanted: in a few the concept comes out hidden
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


@dataclass(frozen=True, eq=False)
class Paintings(Mapping[str, Painted]):
    """Pairs of scenes by concept. A scene that serves several concepts is there once."""

    images: Tensor  # bytes (n, 3, s, s)
    truth: Tensor  # bool (n, words): which of all `words` each image shows
    rows: dict[str, tuple[Tensor, Tensor]]  # by concept, which images are without it and which with it

    def __getitem__(self, name: str) -> Painted:
        """Give a concept's pairs."""
        before, after = self.rows[name]
        return Painted(self.images[before], self.images[after])

    def __iter__(self) -> Iterator[str]:
        """Go through the concepts."""
        return iter(self.rows)

    def __len__(self) -> int:
        """Count the concepts."""
        return len(self.rows)

    def gained(self, names: Sequence[str]) -> Tensor:
        """Tell how much more often scenes show each name once a concept has been painted: (concepts, names)."""
        columns = [words().index(name) for name in names]
        shown = self.truth[:, columns].float()
        return torch.stack([shown[after].mean(0) - shown[before].mean(0) for before, after in self.rows.values()])


@cache
def words() -> tuple[str, ...]:
    """List all that can be painted."""
    return tuple(dict.fromkeys([*concept_phrases(), *SMALL]))


def paintable(name: str) -> bool:
    """Tell whether the world can be drawn with and without a concept."""
    return name in words()


def paintable_words(phrase: str) -> list[str]:
    """Find what can be painted in a phrase, the longest first from the left: `a striped cat head` has two."""
    found, left = [], phrase.split()
    while left:
        tries = (length for length in range(len(left), 0, -1) if paintable(" ".join(left[:length])))
        length = next(tries, 0)
        found += [" ".join(left[:length])] if length else []
        left = left[max(1, length) :]
    return list(dict.fromkeys(found))


def painted(names: Sequence[str], n: int = 32, *, seed: int = 0, size: int = 64) -> Paintings:
    """Draw up to n scenes without each concept and with it, all else alike.

    All drawings are made in one go, since many small ones take far longer. Different nouns take turns as the main
    object. A concept of which no pair comes out is an error.
    """
    names = list(dict.fromkeys(names))
    for name in names:
        if not paintable(name):
            raise KeyError(unknown("concept that can be painted", name, words()))
    if n < 1 or not names:
        raise ValueError(f"painting needs a concept and 1 pair of scenes or more; got {len(names)} concepts, {n} pairs")
    usual = world.plan(range(BASE * n), SEED + seed, hard=0.0)
    seen = look(usual, size)
    pairs = [planned(name, math.ceil(SPARE * n), seed, usual, seen[1]) for name in names]
    images, truth = look(Plan.cat([part for pair in pairs for part in pair if isinstance(part, Plan)]), size)
    images, truth = torch.cat([seen[0], images]), torch.cat([seen[1], truth])
    rows = zip(names, numbered(pairs, len(usual)), strict=True)
    return Paintings(images, truth, {name: checked(name, *pair, truth, n) for name, pair in rows})


def numbered(pairs: Sequence[tuple[Plan | Tensor, Plan]], start: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Number the scenes of pairs from `start`, as they are drawn; what is a number already stays one."""
    for pair in pairs:
        found = []
        for part in pair:
            new = isinstance(part, Plan)
            found.append(torch.arange(start, start + len(part)) if new else part)
            start += len(part) if new else 0
        yield found[0], found[1]


def look(plan: Plan, size: int) -> tuple[Tensor, Tensor]:
    """Draw scenes: bytes (n, 3, size, size), and which of all words they show (n, words)."""
    drawn = draw_blocks(plan, size, maps=False)
    start, told = mentions().index(next(iter(SMALL))), [*concept_phrases(), *SMALL]
    truth = torch.cat([concept_truth(drawn), facts(drawn)[:, start : start + len(SMALL)]], 1)
    return drawn.image, truth[:, [told.index(name) for name in words()]]


def checked(name: str, before: Tensor, after: Tensor, truth: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Keep the first n pairs of scenes, numbers (m,), that lack a concept before and have it after."""
    column = words().index(SMALL.get(name, name))  # a small thing has to be seen, and its noun tells
    kept = (truth[after, column] & ~truth[before, column]).nonzero()[:n, 0]
    if not len(kept):
        raise ValueError(f"none of {len(after)} scenes could be drawn without and with {name!r}")
    return before[kept], after[kept]


def planned(name: str, n: int, seed: int, usual: Plan, truth: Tensor) -> tuple[Plan | Tensor, Plan]:
    """Plan n scenes without a concept and with it; `truth` tells which words the usual ones show.

    Usual scenes that serve as they are come as their numbers (n,).
    """
    if name in SMALL or name == "two things":
        after = world.plan(range(n), SEED + seed, hard=0.0, pairs=1.0)
        after = after if name == "two things" else world.edit(after, second=SMALL[name])
        return world.edit(after, second="nothing"), after
    if name in PATTERNS:
        plan = scenes_of(wearers()[name], n, seed)
        return world.edit(plan, texture="plain"), world.edit(plan, texture=PATTERNS[name])
    if name in world.PARTS:
        plan = scenes_of(wearers()[name], n, seed)
        return world.edit(plan, without=name), plan
    lacking = (~truth[:, words().index(name)]).nonzero()[:n, 0]
    return lacking, exchanged(usual[lacking], name)


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


@cache
def wearers() -> dict[str, list[str]]:
    """List the nouns that have each part, and those that can wear a texture, as two drawings of each show it."""
    plan = world.plan(range(2 * len(TABLE)), SEED, clean=True)
    # whoever wears one texture can wear all: an edit changes the pattern of a coat
    shown, striped = (look(p, 64)[1] for p in (plan, world.edit(plan, texture="stripes")))
    found = {}
    for name in (*world.PARTS, *PATTERNS):
        there = (striped if name in PATTERNS else shown)[:, words().index(WORN.get(name, name))]
        found[name] = [noun for noun, yes in zip(world.NOUNS, there.view(2, -1).any(0).tolist(), strict=True) if yes]
    return found
