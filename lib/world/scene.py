"""Scenes: plan what stands where, change one thing, draw it with the truth for every pixel.

`plan` decides everything from (seed, index) without drawing; `edit` changes one thing and nothing else; `draw` paints.
See `book/world/inside`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from .backgrounds import GROUNDS, Ground
from .dice import Dice
from .pen import COLOURS, PART_ID, TEXTURES, Pen
from .sdf import circle, ellipse, turn
from .styles import restyle
from .truth import concepts
from .vocabulary import BACKGROUNDS, KIND_COLOUR, KIND_NOUN, KINDS, NOUNS, TABLE

HARD = ("close", "far", "hidden", "dark")  # the four ways in which a quarter of the images is hard
HOME = torch.tensor([BACKGROUNDS.index(noun.home) for noun in TABLE.values()])
FIRST_KIND = torch.tensor([KIND_NOUN.index(k) for k in range(len(NOUNS))])
KIND_COUNT = torch.tensor([len(noun.colours) for noun in TABLE.values()])
MAIN_COLOUR = torch.tensor(list(COLOURS.values()))[list(KIND_COLOUR)]  # (kinds, 3)
CHUNK = 64  # images painted together: a plane of them stays in the cache


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


@dataclass(frozen=True)
class Scenes(Rows):
    """Images with their truth; maps are (n, s, s) bytes."""

    index: Tensor
    image: Tensor  # uint8 (n, 3, s, s)
    label: Tensor
    kind: Tensor
    second: Tensor
    second_kind: Tensor
    background: Tensor
    hard: Tensor
    count: Tensor
    concept: Tensor  # bool (n, concepts)
    instance: Tensor  # 0 nothing, 1 main object, 2 second object, 3 occluder
    part: Tensor  # 0 none, else 1 + index into PARTS
    texture: Tensor  # 0 none, else 1 + index into TEXTURES

    def pixels(self) -> Tensor:
        """Return the images as floats in [0, 1], (n, 3, s, s)."""
        return self.image.float() / 255

    def target(self, task: str) -> Tensor:
        """Return the labels of a task: nouns, places or kinds."""
        fields_of = {"nouns": self.label, "places": self.background, "kinds": self.kind}
        if task not in fields_of:
            raise KeyError(f"no task {task!r}; the world has {', '.join(fields_of)}")
        return fields_of[task]


def pick_kind(noun: Tensor, dice: Dice) -> Tensor:
    """Draw a kind of each noun: the commonest in two of three, else any of the others."""
    others = KIND_COUNT[noun] - 1
    rest = 1 + dice.choice("kind", 2**20) % others.clamp(min=1)
    return FIRST_KIND[noun] + torch.where(dice.coin("commonest", 0.65) | (others == 0), 0, rest)


def plan(index: Tensor | range, seed: int = 0, *, pairs: float = 0.12, hard: float = 0.25, home: float = 0.8,
         clean: bool = False) -> Plan:  # fmt: skip
    """Decide scenes: nouns go round by index; `pairs`, `hard` and `home` are shares of images."""
    index = torch.as_tensor(list(index) if isinstance(index, range) else index)
    dice = Dice.of(seed, index)
    n, label = len(index), index % len(NOUNS)
    draw_hard = torch.where(dice.coin("hard", hard) & (not clean), dice.choice("which hard", len(HARD)), -1)
    two = dice.coin("pair", pairs) & (draw_hard != HARD.index("close")) & (not clean)
    second = torch.where(two, (label + 1 + dice.choice("second", len(NOUNS) - 1)) % len(NOUNS), -1)
    kind = pick_kind(label, dice)
    at_home = dice.coin("at home", home)
    return Plan(
        keys=dice.keys, index=index, label=label, kind=kind, second=second,
        second_kind=torch.where(two, pick_kind(second.clamp(min=0), dice.child("second")), -1),
        background=torch.where(at_home, HOME[label], dice.choice("background", len(BACKGROUNDS))),
        hard=draw_hard, pose=poses(dice, two, draw_hard),
        occluders=torch.where(draw_hard == HARD.index("hidden"), 2, 0) + dice.coin("occluder", 0.15).long() * (not clean),
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
    scale = torch.where(close, 1.3 + 0.6 * u[:, 4], torch.where(far, 0.26 + 0.16 * u[:, 4], scale))
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
        changes |= dict(second=torch.full((n,), noun), second_kind=torch.full((n,), -1 if none else int(FIRST_KIND[noun])))
    return replace(plan, **changes)


def find(what: str, name: str, names: tuple[str, ...]) -> int:
    """Return the place of a name, or say which names there are."""
    if name not in names:
        raise KeyError(f"no {what} {name!r}; the world has {', '.join(names)}")
    return names.index(name)


def groups(ids: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Go through the images that share an id >= 0, a chunk at a time."""
    for k in ids.unique().tolist():
        if k >= 0:
            for rows in (ids == k).nonzero()[:, 0].split(CHUNK):
                yield k, rows


def frame(n: int, size: int) -> tuple[Tensor, Tensor]:
    """Return the pixel centres of n images, x and y in [-1, 1]."""
    t = (torch.arange(size) + 0.5) / size * 2 - 1
    return t.view(1, 1, size).expand(n, size, size), t.view(1, size, 1).expand(n, size, size)


def paint_object(plan: Plan, which: int, size: int) -> Pen:
    """Paint the main (0) or second (1) object of scenes that show the same noun."""
    noun = (plan.label, plan.second)[which][0]
    dice = Dice(plan.keys).child(("main", "second")[which])
    x0, y0, scale = plan.pose[:, which].unbind(1)
    spread = dice.uniform("form", -1, 1, shape=(5, 1, 1)).unbind(1)
    angle, wide, tall, shear = 0.16 * spread[0], 1 + 0.07 * spread[1], 1 + 0.07 * spread[2], 0.08 * spread[3]
    flip, scale = torch.where(spread[4] < 0, -1.0, 1.0), scale.view(-1, 1, 1)
    x, y = turn(*frame(len(plan), size), (x0.view(-1, 1, 1), y0.view(-1, 1, 1)), angle)
    y = y / (scale * tall)
    x = x * flip / (scale * wide) + shear * y
    pen = Pen(x, y, (2 / size) / scale, dice, MAIN_COLOUR[plan.second_kind] if which else plan.colour)
    if not which:
        pen.wanted, pen.hidden = plan.texture, plan.without.to(torch.uint8)
    TABLE[NOUNS[noun]].paint(pen)
    return pen


def draw_occluder(dice: Dice, size: int) -> tuple[Tensor, Tensor]:
    """Paint a plain thing in front: a post, a leaf or a ball; return its colours and coverage."""
    x, y = frame(len(dice), size)
    u = dice.uniform("occluder", shape=(6, 1, 1)).unbind(1)
    side = torch.where(u[0] < 0.5, -1.0, 1.0)
    post = (x - side * (0.35 + 0.55 * u[1])).abs() - (0.05 + 0.05 * u[2])
    leaf = ellipse(x, y, (side * (0.4 + 0.5 * u[1]), 0.3 + 0.6 * u[2]), (0.38, 0.16), 1.8 * u[3] - 0.9)
    ball = circle(x, y, (side * (0.45 + 0.45 * u[1]), 0.45 + 0.45 * u[2]), 0.16 + 0.12 * u[3])
    d = torch.where(u[4] < 0.33, post, torch.where(u[4] < 0.66, leaf, ball))
    rim = (0.5 + (d + 0.035) * (size / 2)).clamp(0, 1) * 0.75
    colour = dice.uniform("occluder colour", 0.15, 0.85, shape=(3, 1, 1))
    return colour * (1 - rim[:, None]), (0.5 - d * (size / 2)).clamp(0, 1)


def lit(plan: Plan, canvas: Tensor) -> Tensor:
    """Add light, tint and grain; dark scenes lose light and colour and gain grain."""
    dice, size = Dice(plan.keys), canvas.shape[-1]
    x, y = frame(len(plan), size)
    angle, slope = dice.uniform("light from", 0, 6.2832), dice.uniform("slope", 0, 0.16)
    light = 1 + slope * (x * torch.cos(angle) + y * torch.sin(angle)) + 0.05 * dice.normal("light")
    tint = 1 + 0.025 * dice.normal("tint", shape=(3, 1, 1))
    dark = torch.where((plan.hard == HARD.index("dark")).view(-1, 1, 1), dice.uniform("dark", 0.25, 0.55), 1.0)[:, None]
    canvas = canvas.lerp(canvas.mean(1, keepdim=True), (1 - dark) * 0.6)
    grain = dice.normal("grain", shape=(3, size, size)) * torch.where(dark < 1, 0.06, 0.02)
    shown = canvas * dark * light[:, None] * tint + grain
    return torch.where(plan.clean.view(-1, 1, 1, 1), canvas, shown)


def draw(plan: Plan, size: int = 64, *, maps: bool = True) -> Scenes:
    """Draw planned scenes with their truth; without `maps` the per-pixel truth is left out (maps of size 0)."""
    n, dice = len(plan), Dice(plan.keys)
    canvas, filled = torch.empty(n, 3, size, size), torch.zeros(n, size, size, dtype=torch.bool)
    instance, part, texture = truth = torch.zeros(3, n, size, size, dtype=torch.uint8)
    for k, rows in groups(plan.background):
        ground = Ground(*frame(len(rows), size), dice[rows].child("background"))
        canvas[rows] = GROUNDS[BACKGROUNDS[k]](ground)
    for which, ids in ((1, plan.second), (0, plan.label)):
        for _, rows in groups(ids):
            pen = paint_object(plan[rows], which, size)
            slope = dice[rows].uniform(f"shade {which}", 0, 0.2)
            shade = 1 + slope * (-pen.y * 0.7 - pen.x * 0.4).clamp(-1, 1)
            inside = pen.cover > 0.5
            canvas[rows] = canvas[rows] * (1 - pen.cover[:, None]) + pen.rgb * shade[:, None]
            instance[rows] = instance[rows].masked_fill(inside, which + 1)
            for whole, own in ((part, pen.part), (texture, pen.texture), (filled, pen.filled)):
                whole[rows] = torch.where(inside, own, whole[rows])
    for k in range(int(plan.occluders.max()) if n else 0):
        rows = (plan.occluders > k).nonzero()[:, 0]
        colour, cover = draw_occluder(dice[rows].child(f"occluder {k}"), size)
        canvas[rows] = canvas[rows] * (1 - cover[:, None]) + colour * cover[:, None]
        for whole, value in ((instance, 3), (part, 0), (texture, 0), (filled, False)):
            whole[rows] = whole[rows].masked_fill(cover > 0.5, value)
    concept = concepts(plan, (instance, part, texture), canvas, filled)
    for rows in torch.arange(n).split(CHUNK):
        shown = restyle(lit(plan[rows], canvas[rows]), plan.style[rows], dice[rows])
        canvas[rows] = (shown.clamp(0, 1) * 255).round()
    instance, part, texture = truth if maps else truth[:, :, :0, :0]
    return Scenes(
        index=plan.index, image=canvas.to(torch.uint8), label=plan.label, kind=plan.kind, second=plan.second,
        second_kind=plan.second_kind, background=plan.background, hard=plan.hard,
        count=1 + (plan.second >= 0).long(), concept=concept, instance=instance, part=part, texture=texture,
    )  # fmt: skip
