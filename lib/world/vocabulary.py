"""The words of the world: nouns, kinds, concepts, tasks, the taxonomy, and captions.

Concepts are columns of a truth table; a name is what one would say ("red", "on grass", "wheel").
"""

from functools import cache

import torch
from torch import Tensor

from . import birds, mammals, plants, small_animals, things
from .backgrounds import GROUNDS
from .dice import Dice
from .noun import Noun
from .pen import COLOURS as PALETTE
from .pen import PARTS, TEXTURES

TABLE: dict[str, Noun] = {n.name: n for m in (mammals, birds, small_animals, plants, things) for n in m.NOUNS}
NOUNS = tuple(TABLE)
FAMILIES = tuple(dict.fromkeys(noun.family for noun in TABLE.values()))
BACKGROUNDS, COLOURS = tuple(GROUNDS), tuple(PALETTE)
KINDS = tuple(kind for noun in TABLE.values() for kind in noun.kinds)
KIND_NOUN = tuple(NOUNS.index(noun.name) for noun in TABLE.values() for _ in noun.kinds)
KIND_COLOUR = tuple(COLOURS.index(colour) for noun in TABLE.values() for colour in noun.colours)
TASKS = {"nouns": NOUNS, "places": BACKGROUNDS, "kinds": KINDS}

ORDERS = {"animal": ("mammal", "bird", "fish", "insect"), "living thing": ("animal", "plant"),
          "made thing": ("vehicle", "thing")}  # fmt: skip
ADJECTIVES = dict(stripes="striped", bands="banded", spots="spotted", checks="checked", scales="scaly", fur="furry",
                  gores="gored")  # fmt: skip
PREPOSITIONS = dict(sky="in the", room="in a", forest="in the", night="at", reef="at the", street="on a", sea="at")


def place(background: str) -> str:
    """Say where: `on grass`, `in the forest`."""
    return f"{PREPOSITIONS.get(background, 'on')} {background}"


GROUPS: dict[str, tuple[str, ...]] = {
    "noun": NOUNS, "family": FAMILIES, "order": tuple(ORDERS), "place": tuple(place(b) for b in BACKGROUNDS),
    "texture": tuple(ADJECTIVES[t] for t in TEXTURES), "colour": COLOURS, "part": PARTS, "count": ("two things",),
}  # fmt: skip
CONCEPTS = tuple(name for group in GROUPS.values() for name in group)


@cache
def parents(name: str) -> frozenset[str]:
    """Return everything that a noun, kind or family also is, however far up; unknown words have no parents."""
    above: set[str] = set()
    if name in TABLE:
        above = {TABLE[name].family}
    elif name in KINDS:
        above = {NOUNS[KIND_NOUN[KINDS.index(name)]]}
    above |= {order for order, members in ORDERS.items() if name in members}
    return frozenset(above.union(*(parents(p) for p in above)))


@cache
def membership() -> Tensor:
    """Return which noun is in which family and order, (nouns, families + orders)."""
    return torch.tensor([[group in parents(noun) for group in (*FAMILIES, *ORDERS)] for noun in NOUNS])


def article(words: str) -> str:
    """Put `a` or `an` in front."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def captions(scenes, seed: int = 0) -> list[str]:
    """Write one true sentence per image; how much it says differs from image to image."""
    dice = Dice.of(seed, scenes.index).child("caption")
    short, swap, where = (dice.coin(name, p).tolist() for name, p in (("short", 0.3), ("swap", 0.5), ("where", 0.7)))
    words = []
    for i in range(len(scenes)):
        table, ids = (
            (NOUNS, (scenes.label[i], scenes.second[i]))
            if short[i]
            else (KINDS, (scenes.kind[i], scenes.second_kind[i]))
        )
        first = article(table[ids[0]])
        if scenes.second[i] >= 0:
            pair = [first, article("small " + table[ids[1]])]
            first = " and ".join(pair[::-1] if swap[i] else pair)
        words.append(f"{first} {place(BACKGROUNDS[scenes.background[i]])}" if where[i] else first)
    return words
