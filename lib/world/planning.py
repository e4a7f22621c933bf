"""Plans: what stands where in each scene, decided from (seed, index) without drawing, and edits of one thing.

See `book/world/inside`.
"""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from .dice import Dice
from .pen import COLOURS, PART_ID, TEXTURES
from .vocabulary import BACKGROUNDS, KIND_COLOUR, KIND_NOUN, KINDS, NOUNS, TABLE

HARD = ("close", "far", "hidden", "dark")  # the four ways in which three images of ten are hard
ALONE = torch.tensor([HARD.index("close"), HARD.index("far")])  # no second object that is larger than the first
HOME = torch.tensor([BACKGROUNDS.index(noun.home) for noun in TABLE.values()])
FIRST_KIND = torch.tensor([KIND_NOUN.index(k) for k in range(len(NOUNS))])
KIND_COUNT = torch.tensor([len(noun.colours) for noun in TABLE.values()])
MAIN_COLOUR = torch.tensor(list(COLOURS.values()))[list(KIND_COLOUR)]  # (kinds, 3)


@dataclass(frozen=True)
class Rows:
    """Tensors that share their first axis, one row per image."""

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, which: Tensor | slice | list[int]):
        return type(self)(*(getattr(self, f.name)[which] for f in fields(self)))

    @classmethod
    def cat(cls, parts: list):
        """Put several records one after the other."""
        return cls(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)))


@dataclass(frozen=True)
class Plan(Rows):
    """What a scene holds, before it is drawn; every field is (n,) but `pose` (n, 2, 3) and `colour` (n, 3)."""

    keys: Tensor
    index: Tensor
    label: Tensor
    kind: Tensor
    second: Tensor  # -1: nothing
    second_kind: Tensor
    background: Tensor
    hard: Tensor  # -1, or an index into HARD
    pose: Tensor  # main and second object: x, y, scale
    occluders: Tensor
    style: Tensor
    colour: Tensor  # main colour of the main object
    texture: Tensor  # texture of the main object that replaces its own: -1 none
    without: Tensor  # part of the main object that is left out: 0 none
    clean: Tensor  # no occluder, no light, no noise


def pick_kind(noun: Tensor, dice: Dice) -> Tensor:
    """Draw a kind of each noun: the commonest in two of three, else any of the others."""
    others = KIND_COUNT[noun] - 1
    rest = 1 + dice.choice("kind", 2**20) % others.clamp(min=1)
    return FIRST_KIND[noun] + torch.where(dice.coin("commonest", 0.65) | (others == 0), 0, rest)


def plan(index: Tensor | range, seed: int = 0, *, pairs: float = 0.12, hard: float = 0.3, home: float = 0.8,
         clean: bool = False) -> Plan:  # fmt: skip
    """Decide scenes: nouns go round by index; `pairs`, `hard` and `home` are shares of images."""
    index = torch.as_tensor(list(index) if isinstance(index, range) else index)
    dice = Dice.of(seed, index)
    n, label = len(index), index % len(NOUNS)
    draw_hard = torch.where(dice.coin("hard", hard) & (not clean), dice.choice("which hard", len(HARD)), -1)
    two = dice.coin("pair", pairs) & ~torch.isin(draw_hard, ALONE) & (not clean)
    second = torch.where(two, (label + 1 + dice.choice("second", len(NOUNS) - 1)) % len(NOUNS), -1)
    kind = pick_kind(label, dice)
    at_home = dice.coin("at home", home)
    occluders = torch.where(draw_hard == HARD.index("hidden"), 3, 0) + dice.coin("occluder", 0.15)
    return Plan(
        keys=dice.keys, index=index, label=label, kind=kind, second=second,
        second_kind=torch.where(two, pick_kind(second.clamp(min=0), dice.child("second")), -1),
        background=torch.where(at_home, HOME[label], dice.choice("background", len(BACKGROUNDS))),
        hard=draw_hard, pose=poses(dice, two, draw_hard),
        occluders=torch.where(torch.tensor(clean), 0, occluders),
        style=torch.zeros(n, dtype=torch.long), colour=MAIN_COLOUR[kind], texture=torch.full((n,), -1),
        without=torch.zeros(n, dtype=torch.long), clean=torch.full((n,), clean),
    )  # fmt: skip


def poses(dice: Dice, two: Tensor, hard: Tensor) -> Tensor:
    """Place the main and the second object: (n, 2, 3) of x, y, scale in image coordinates [-1, 1]."""
    u = dice.uniform("pose", shape=(8,))
    side = torch.where(u[:, 0] < 0.5, -1.0, 1.0)
    scale = (0.76 + 0.26 * u[:, 1]) * torch.where(two, 0.72, 1.0)
    x = torch.where(two, side * (0.22 + 0.2 * u[:, 2]), (u[:, 2] - 0.5) * 0.36)
    y = torch.where(two, (u[:, 3] - 0.35) * 0.3, (u[:, 3] - 0.5) * 0.26)
    close, far = hard == HARD.index("close"), hard == HARD.index("far")
    scale = torch.where(close, 1.5 + 0.9 * u[:, 4], torch.where(far, 0.22 + 0.16 * u[:, 4], scale))
    x, y = (v * torch.where(close, 3.0, torch.where(far, 2.5, 1.0)) for v in (x, y))
    other = torch.stack([-side * (0.5 + 0.12 * u[:, 5]), u[:, 6] * 0.6 - 0.2, 0.36 + 0.1 * u[:, 7]], 1)
    return torch.stack([torch.stack([x, y, scale], 1), other], 1)


def edit(plan: Plan, *, background: str | None = None, kind: str | None = None, colour: str | None = None,
         texture: str | None = None, without: str | None = None, second: str | None = None) -> Plan:  # fmt: skip
    """Change one thing in scenes and leave every other pixel's draw as it was; `texture="plain"` removes it."""
    n, changes = len(plan), {}
    if background is not None:
        changes["background"] = torch.full((n,), find("background", background, BACKGROUNDS))
    if kind is not None:
        number = find("kind", kind, KINDS)
        changes |= dict(kind=torch.full((n,), number), label=torch.full((n,), KIND_NOUN[number]))
        changes["colour"] = MAIN_COLOUR[number].expand(n, 3)
    if colour is not None:
        changes["colour"] = torch.tensor(list(COLOURS.values()))[find("colour", colour, tuple(COLOURS))].expand(n, 3)
    if texture is not None:
        changes["texture"] = torch.full((n,), find("texture", texture, (*TEXTURES, "plain")))
    if without is not None:
        changes["without"] = torch.full((n,), 1 + find("part", without, tuple(PART_ID)))
    if second is not None:
        none = second == "nothing"
        noun = -1 if none else find("noun", second, NOUNS)
        changes |= dict(
            second=torch.full((n,), noun), second_kind=torch.full((n,), -1 if none else int(FIRST_KIND[noun]))
        )
    return replace(plan, **changes)


def find(what: str, name: str, names: tuple[str, ...]) -> int:
    """Return the place of a name, or say which names there are."""
    if name not in names:
        raise KeyError(f"no {what} {name!r}; the world has {', '.join(names)}")
    return names.index(name)
