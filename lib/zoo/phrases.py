"""Which phrases are true of which image: the multi-positive labels of the image-text networks.

A caption is true of an image when everything that it mentions is there, so images share captions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

THINGS, SHOWN = ("noun", "family", "order", "part"), ("texture", "colour")


def mentions() -> list[str]:
    """Return everything that a caption can mention: nouns, kinds, small ones of both, places."""
    from .. import world

    things = [*world.NOUNS, *world.KINDS]
    return [
        *things,
        *(f"small {thing}" for thing in things),
        *(world.place(place) for place in world.BACKGROUNDS),
    ]


def facts(scenes) -> Tensor:
    """Tell which mentions are true of each scene, bool (n, mentions)."""
    from .. import world

    nouns, kinds, places = len(world.NOUNS), len(world.KINDS), len(world.BACKGROUNDS)
    half = nouns + kinds
    true = torch.zeros(len(scenes), 2 * half + places + 1, dtype=torch.bool)
    rows, nothing = torch.arange(len(scenes)), true.shape[1] - 1
    two = scenes.second >= 0
    for column in (scenes.label, nouns + scenes.kind, 2 * half + scenes.background):
        true[rows, column] = True
    for start in (0, half):  # the second object is there, and it is the small one
        true[rows, torch.where(two, start + scenes.second, nothing)] = True
        true[rows, torch.where(two, start + nouns + scenes.second_kind, nothing)] = True
    return true[:, :nothing]


def mentioned(captions: Sequence[str], known: Sequence[str]) -> Tensor:
    """Tell what each caption mentions, bool (captions, mentions)."""
    from .. import world

    number = {mention: i for i, mention in enumerate(known)}
    where = "|".join(re.escape(world.place(place)) for place in world.BACKGROUNDS)
    found = torch.zeros(len(captions), len(known), dtype=torch.bool)
    for row, caption in enumerate(captions):
        objects, place = re.fullmatch(rf"(.*?)(?: ({where}))?", caption).groups()
        parts = [re.sub(r"^an? ", "", part) for part in objects.split(" and ")]
        found[row, [number[part] for part in (*parts, *([place] if place else []))]] = True
    return found


def truth(captions: Tensor, images: Tensor) -> Tensor:
    """Tell which captions (m, mentions) are true of which images (n, mentions): bool (n, m)."""
    return (~images).float() @ captions.float().T == 0


def concept_phrases(form: int = 0) -> list[str]:
    """Return one phrase per concept, then per kind: bare names, or `a wheel`, `a red thing`."""
    from .. import world

    if form == 0:
        return [*world.CONCEPTS, *world.KINDS]
    group = {name: kind for kind, names in world.GROUPS.items() for name in names}
    said = [_said(name, group[name]) for name in world.CONCEPTS]
    return [*said, *(_article(kind) for kind in world.KINDS)]


def concept_truth(scenes) -> Tensor:
    """Tell which concept phrases are true of each scene, bool (n, concepts + kinds)."""
    from .. import world

    nouns, kinds = len(world.NOUNS), len(world.KINDS)
    return torch.cat([scenes.concept, facts(scenes)[:, nouns : nouns + kinds]], 1)


def _said(name: str, group: str) -> str:
    if group in THINGS:
        return _article(name)
    return _article(f"{name} thing") if group in SHOWN else name


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
