"""Mushroom, flower and fruit: drawings of the plants. See `book/world/inside`."""

import math

import torch
from torch import Tensor

from .noun import Noun
from .pen import Pen, blended, rgb, staggered
from .sdf import Point, Value, blend, box, capsule, circle, ellipse, length, meet, path, turn, union


def blade(x: Tensor, y: Tensor, base: Point, long: float, wide: float, angle: Value = 0.0) -> Tensor:
    """Measure the distance to a pointed leaf that starts at `base`, upright or leaning right by `angle`."""
    across, along = turn(x, y, base, angle)
    half = long / 2
    bulge = (half * half - wide * wide) / (2 * wide)
    return circle(across.abs(), along, (-bulge, -half), bulge + wide)


def agaric(pen: Pen) -> None:
    """Paint a toadstool: a bright domed cap with white spots on a pale stalk with a ring."""
    x, y = pen.x, pen.y
    wide, high = pen.vary("cap width", 0.68, 0.82), pen.vary("cap height", 0.56, 0.70)
    lean, thick = pen.vary("lean", -0.08, 0.08), pen.vary("stalk", 0.14, 0.19)
    pen.paint(path(x, y, [(lean, -0.05), (0.0, 0.45), (0.0, 0.70)], thick, thick * 1.2), "cream", "stalk")
    pen.paint(ellipse(x, y, (0.0, 0.80), (thick * 1.65, 0.14)), (0.88, 0.80, 0.64), "stalk", ink=0.03)
    pen.paint(ellipse(x, y, (lean, 0.28), (thick * 1.8, 0.10)), "white", "ring", ink=0.028)

    across = (x - lean) / wide
    pleats = pen.edge(torch.cos(across * (math.tau * 3.5)), math.tau * 3.5 / wide)
    under = ellipse(x, y, (lean, 0.0), (wide * 0.93, 0.17))
    pen.paint(under, blended((0.95, 0.90, 0.80), (0.74, 0.64, 0.54), pleats), "gills")
    rim = y - 0.06 + 0.12 * (1 - across * across).clamp(min=0)
    cap = meet(ellipse(x, y, (lean, -0.03), (wide, high)), rim)
    pen.paint(cap, pen.main(), "cap")
    agaric_spots(pen, cap, across, (y + 0.03) / high)


def agaric_spots(pen: Pen, cap: Tensor, across: Tensor, up: Tensor) -> None:
    """Paint white warts on the cap; across and up run over it from -1 to 1."""
    size, slide = pen.vary("spot size", 0.85, 1.1), pen.vary("spots slide", -0.07, 0.07)
    places = (
        (0.02, -0.72, 0.13), (-0.46, -0.58, 0.14), (0.46, -0.56, 0.13), (-0.05, -0.34, 0.16),
        (0.40, -0.22, 0.11), (-0.74, -0.18, 0.12), (0.78, -0.22, 0.12), (-0.40, -0.16, 0.10),
    )  # fmt: skip
    spots = union(*[circle(across, up, (cx + slide, cy), r * size) for cx, cy, r in places]) * 0.68
    pen.paint(meet(cap + 0.01, spots), "white", "white spot", ink=0.016)


def sunflower(pen: Pen) -> None:
    """Paint a large dark chequered disc in a wreath of pointed petals, on a leafy stem."""
    x, y, middle = pen.x, pen.y, -0.25
    bend, green = pen.vary("bend", -0.09, 0.09), pen.shade("green", "leaf")
    pen.paint(path(x, y, [(0.0, -0.1), (bend, 0.4), (0.0, 1.1)], 0.06), green, "stem")
    rise = pen.vary("leaves", -0.12, 0.12)
    left = blade(x, y, (bend * 0.6, 0.72), 0.62, 0.14, rise - 1.05)
    right = blade(x, y, (bend * 0.4, 0.86), 0.62, 0.14, rise + 1.05)
    pen.paint(union(left, right), green * 0.95, "leaf")

    radius, angle = length(x, y - middle), torch.atan2(y - middle, x)
    petals, colour, step = pen.vary("petal length", 0.42, 0.48), pen.main(), math.tau / 12
    for k in range(2):
        turned = (angle + step * (pen.vary("turn") + k / 2)).remainder(step) - step / 2
        # seen from the middle, every petal is the same blade pointing outwards
        petal = blade(radius * torch.sin(turned), -radius * torch.cos(turned), (0.0, -0.20), petals, 0.125)
        pen.paint(petal, colour * (0.84 + 0.16 * k), "petal", ink=0.03)
    disc, net = circle(x, y, (0.0, middle), 0.31), (x, y - middle, 0.25)
    pen.coat(disc, (0.47, 0.28, 0.13), (0.24, 0.13, 0.07), "disc", "checks", net)


def strawberry(pen: Pen) -> None:
    """Paint a heart-shaped berry dotted with pale seeds, under a star of green leaves."""
    x, y = pen.x, pen.y
    wide, green = pen.vary("width", 0.92, 1.06), pen.shade("green", "leaf")
    shoulders = ellipse(x, y, (0.0, -0.14), (0.62 * wide, 0.40))
    berry = blend(shoulders, capsule(x, y, (0.0, -0.05), (0.0, 0.58), 0.54 * wide, 0.25), 0.2)
    pen.paint(berry, pen.main(), "berry")
    across, down, _, _ = staggered(x, y + 0.05, 0.24)
    seed = ellipse(across * 0.24, down * 0.24, (0.0, 0.0), (0.032, 0.052))
    pen.paint(meet(berry + 0.06, seed), (1.0, 0.88, 0.45), "seed", ink=0.016)

    tilt = pen.vary("tilt", -0.12, 0.12)
    pen.paint(path(x, y, [(0.0, -0.5), (0.03, -0.74), (0.10 + tilt, -0.90)], 0.05), green * 0.85, "stem")
    half = x.abs()
    for angle, long in ((1.75, 0.58), (2.35, 0.52), (math.pi, 0.40)):
        pen.paint(blade(half, y, (0.0, -0.52), long, 0.125, angle + tilt * 0.5), green, "leaf", ink=0.03)


def pineapple(pen: Pen) -> None:
    """Paint an upright oval fruit with a net of lozenges and a tall tuft of pointed leaves."""
    x, y = pen.x, pen.y
    green, rind = pen.shade("green", "crown") * 0.8, pen.main() * 0.85 + rgb("yellow") * 0.15
    sway = pen.vary("sway", -0.3, 0.3)
    half = (x + sway * (y + 0.2).clamp(max=0)).abs()
    for angle, long, light in ((1.05, 0.50, 0.8), (0.68, 0.64, 0.9), (0.33, 0.74, 1.0), (0.0, 0.76, 1.15)):
        pen.paint(blade(half, y, (0.04 * angle, -0.14), long, 0.105, angle), green * light, "crown", ink=0.03)
    body = blend(ellipse(x, y, (0.0, 0.34), (0.44, 0.56)), box(x, y, (0.0, 0.34), (0.32, 0.48), 0.2), 0.1)
    lines = rind * torch.tensor([0.70, 0.50, 0.30]).view(1, 3, 1, 1)
    net = (x, y * 0.9, pen.vary("net", 0.25, 0.29))
    pen.coat(body, rind, lines, "rind", "checks", net)


NOUNS = (
    Noun(agaric, "plant", "forest", ("red", "brown")),
    Noun(sunflower, "plant", "grass", ("yellow", "orange")),
    Noun(strawberry, "plant", "room", ("red", "pink")),
    Noun(pineapple, "plant", "sand", ("yellow", "green")),
)
