"""Scenes: planned images drawn with the truth for every pixel. See `book/world/inside`."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .backgrounds import GROUNDS, Ground
from .dice import Dice
from .pen import Pen
from .planning import HARD, MAIN_COLOUR, Plan, Rows, find
from .sdf import circle, ellipse, turn
from .styles import restyle
from .truth import concepts
from .vocabulary import BACKGROUNDS, NOUNS, TABLE

CHUNK = 64  # images painted together: a plane of them stays in the cache


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
        labels = {"nouns": self.label, "places": self.background, "kinds": self.kind}
        find("task", task, tuple(labels))
        return labels[task]


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
    dark = torch.where((plan.hard == HARD.index("dark")).view(-1, 1, 1), dice.uniform("dark", 0.15, 0.42), 1.0)[:, None]
    canvas = canvas.lerp(canvas.mean(1, keepdim=True), (1 - dark) * 0.6)
    grain = dice.normal("grain", shape=(3, size, size)) * torch.where(dark < 1, 0.07, 0.02)
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
