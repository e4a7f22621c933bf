"""Which words an explanation may use: the concept sets of an edition, and what of them is true of which image.

The world has its own; another edition has its classes and a folder `concepts` with `concepts.txt`, a phrase on each
line, and `parents.txt`, with lines such as `zebra: equine, mammal`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from ..names import unknown
from .matrix import Matrix, from_labels, with_parents

if TYPE_CHECKING:
    from ..editions.record import Edition, Images

SETS = ("labels", "labels + parents", "full", "distractors")
CLASSES = "nouns"  # the task of networks that tell an edition's own classes


def concepts(ed: Edition, kind: str = "full", *, task: str = CLASSES) -> list[str]:
    """List the words of a concept set: a task's labels, with their parents, all that an edition has, and more.

    `distractors` adds phrases to the full set that no image shows.
    """
    if kind not in SETS:
        raise ValueError(unknown("concept set", kind, SETS))
    names = labels_of(ed, task)
    if kind != "labels":
        above = taxonomy(ed, names)
        if not above and kind == "labels + parents" and task == CLASSES:
            raise ValueError(f"{ed.gives('taxonomy')}, and there is no file parents.txt in its folder concepts")
        names += sorted(set().union(*above.values()))
    if kind in ("full", "distractors"):
        names += world_words() if drawn(ed) else lines(ed, "concepts.txt", needed=True)
    if kind == "distractors":
        names += strange_things() if drawn(ed) else lines(ed, "distractors.txt", needed=True)
    return list(dict.fromkeys(names))


def drawn(ed: Edition) -> bool:
    """Tell whether an edition's images come from the world."""
    return ed.pictures.source == "world"


def task_of(ed: Edition, role: str) -> str:
    """Tell what a network was trained to say: nouns (an edition's classes), places or kinds."""
    from .. import zoo

    spec = ed.networks[role] if role in ed.networks else None
    if spec is None:
        raise ValueError(unknown(f"network of the {ed.name} edition", role, ed.networks))
    return spec.task or (zoo.card(spec.name)["task"] if spec.name.startswith("world/") else CLASSES)


def labels_of(ed: Edition, task: str) -> list[str]:
    """List the labels of a task, as one says them."""
    if not drawn(ed):
        return list(ed.classes)
    from .. import world

    if task not in world.TASKS:
        raise ValueError(unknown("task of the world", task, world.TASKS))
    return [world.place(name) if task == "places" else name for name in world.TASKS[task]]


def taxonomy(ed: Edition, names: Sequence[str]) -> dict[str, set[str]]:
    """Return what some names also are, {name: parents}, without names that have none."""
    if not drawn(ed):
        rows = [line.partition(":") for line in lines(ed, "parents.txt")]
        found: Mapping[str, set[str]] = {a.strip(): {p.strip() for p in b.split(",") if p.strip()} for a, _, b in rows}
    else:
        from .. import world

        found = {name: set(world.parents(name)) for name in names}
    return {name: above for name, above in found.items() if above}


def lines(ed: Edition, file: str, *, needed: bool = False) -> list[str]:
    """Read a file of an edition's folder `concepts`, a phrase on each line."""
    if ed.gives("concepts"):
        if needed:
            raise ValueError(ed.gives("concepts"))
        return []
    path = ed.folder("concepts") / file
    if not path.is_file():
        if needed:
            raise ValueError(f"the {ed.name} edition's folder concepts has no {file} with a phrase on each line")
        return []
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def world_words() -> list[str]:
    """List all that can be said of a scene: concepts, kinds, and the small things that stand beside others."""
    from .. import world

    return [*world.CONCEPTS, *world.KINDS, *(f"small {noun}" for noun in world.NOUNS)]


def strange_things() -> list[str]:
    """Make up things that the world doesn't have, out of its words: `purple zebra`, `gored cat`, `owl bus`."""
    from .. import world

    signs = [*world.GROUPS["texture"], *world.COLOURS]
    pairs = [f"{sign} {noun}" for sign in signs for noun in world.NOUNS]
    return [name for name in pairs if name not in world.KINDS] + [" ".join(two) for two in permutations(world.NOUNS, 2)]


def labels(ed: Edition, images: Images, task: str = CLASSES) -> Matrix:
    """Tell which labels of a task, and which of their parents, are in images: (n, labels and parents).

    A scene of the world shows what is visible in it, both of two things; another edition's image shows its class.
    """
    names = labels_of(ed, task)
    if images.scenes is not None:
        found = truth(images.scenes, names)
    else:
        found = from_labels(F.one_hot(images.labels, len(names)), names)
    return with_parents(found, taxonomy(ed, names))


def truth(scenes, names: Sequence[str]) -> Matrix:
    """Tell what is true of the world's scenes: any words that the world has, (n, M)."""
    from .. import world
    from ..zoo.phrases import concept_phrases, concept_truth, facts, mentions

    small = [f"small {noun}" for noun in world.NOUNS]
    known = {name: i for i, name in enumerate([*concept_phrases(), *small])}
    for name in names:
        if name not in known:
            raise KeyError(unknown("concept of the world", name, known))
    first = mentions().index(small[0])
    values = torch.cat([concept_truth(scenes), facts(scenes)[:, first : first + len(small)]], 1)
    return from_labels(values[:, [known[name] for name in names]], names)
