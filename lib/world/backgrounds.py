"""Ten backgrounds, each two calm bands of low contrast with a few things to recognise it by.

A background is a function of a `Ground` that returns colours (n, 3, size, size). See `book/world/inside`.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .dice import Dice
from .pen import Colour, blended, rgb
from .sdf import circle, ellipse, length, meet, path, union


@dataclass(frozen=True)
class Ground:
    """Image coordinates x, y in [-1, 1] (n, size, size) with the dice of each image."""

    x: Tensor
    y: Tensor
    dice: Dice

    @property
    def px(self) -> float:
        return 2 / self.x.shape[-1]

    def vary(self, name: str, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw one number per image, (n, 1, 1)."""
        return self.dice.uniform(name, low, high)

    def noise(self, name: str, cells: int) -> Tensor:
        """Draw smooth noise in [0, 1] from a grid of `cells` x `cells` random values."""
        values = self.dice.uniform(name, shape=(1, cells, cells))
        return F.interpolate(values, size=self.x.shape[1:], mode="bicubic", align_corners=False)[:, 0].clamp(0, 1)

    def edge(self, f: Tensor, width: float | None = None) -> Tensor:
        """Turn the sign of f into a mask that is soft over `width` (one pixel unless told)."""
        return (f / (width or self.px) + 0.5).clamp(0, 1)

    def specks(self, name: str, cells: int, share: float, radius: float) -> Tensor:
        """Scatter small round specks, at most one per cell of a `cells` x `cells` grid."""
        u, v = (self.x + 1) * (cells / 2), (self.y + 1) * (cells / 2)
        column, row = u.long().clamp(0, cells - 1), v.long().clamp(0, cells - 1)
        place = (row * cells + column).flatten(1)
        ox, oy, lit = (
            self.dice.uniform(f"{name} {k}", shape=(cells * cells,)).gather(1, place).view_as(u) for k in "xyl"
        )
        d = length(u - column - 0.25 - 0.5 * ox, v - row - 0.25 - 0.5 * oy) * (2 / cells) - radius
        return self.edge(-d) * (lit < share)


def ramp(top: Colour, bottom: Colour, t: Tensor) -> Tensor:
    """Go from one colour to another as t (n, h, w) goes from 0 to 1."""
    return blended(top, bottom, t.clamp(0, 1))


def over(image: Tensor, colour: Colour, mask: Tensor) -> Tensor:
    """Lay a colour over an image where the mask is 1."""
    return image + (rgb(colour) - image) * mask[:, None]


def open_sky(g: Ground, horizon: Tensor) -> Tensor:
    """Paint pale blue that whitens towards the horizon."""
    return ramp((0.45, 0.70, 0.95), (0.82, 0.92, 0.98), (g.y - horizon + 1.2) / 1.2)


def hills(g: Ground, horizon: Tensor) -> Tensor:
    """Let the horizon roll."""
    return horizon + (g.noise("hills", 5) - 0.5) * 0.22


def grass(g: Ground) -> Tensor:
    """Green meadow under a blue sky."""
    horizon = g.vary("horizon", -0.25, 0.25)
    rough = g.noise("rough", 12)
    green = ramp((0.45, 0.75, 0.30), (0.22, 0.55, 0.18), g.y - horizon + (rough - 0.5) * 0.5)
    blades = g.edge(torch.sin(g.x * 60 + rough * 9) * torch.sin(g.y * 16 + g.noise("blades", 5) * 12) - 0.55, 0.5)
    return over(open_sky(g, horizon), green * (1 - 0.25 * blades[:, None]), g.edge(g.y - hills(g, horizon)))


def forest(g: Ground) -> Tensor:
    """Dark trunks before a green haze."""
    horizon, rough = g.vary("horizon", -0.25, 0.25), g.noise("rough", 12)
    image = ramp((0.42, 0.60, 0.38), (0.16, 0.33, 0.16), (g.y + 1) / 1.6 + (rough - 0.5) * 0.5)
    for k in range(4):
        centre, width = g.vary(f"trunk {k}", -1, 1), g.vary(f"trunk width {k}", 0.06, 0.13)
        trunk = meet((g.x - centre).abs() - width - 0.04 * g.y, g.y - horizon - 0.45)
        bark = rgb((0.30, 0.21, 0.13)) * g.vary(f"bark {k}", 0.7, 1.2)[:, None]
        image = over(image, bark, g.edge(-trunk))
    earth = ramp((0.35, 0.36, 0.16), (0.26, 0.20, 0.10), (g.y - horizon) * 0.7 + (rough - 0.5) * 0.9)
    return over(image, earth, g.edge(g.y - hills(g, horizon) - 0.3))


def sea(g: Ground) -> Tensor:
    """Blue water with waves up to a straight horizon."""
    horizon = g.vary("horizon", -0.25, 0.25)
    water = ramp((0.22, 0.58, 0.80), (0.06, 0.30, 0.58), g.y - horizon)
    swell = torch.sin(g.x * 7 + g.vary("swell", 0, math.tau)) * 1.3
    crest = g.edge(torch.sin(g.y * 26 + swell + g.vary("crest", 0, math.tau)) - 0.75, 0.3)
    return over(open_sky(g, horizon), water + 0.22 * crest[:, None], g.edge(g.y - horizon))


def reef(g: Ground) -> Tensor:
    """Under water: light from above, bubbles, a coral on the sand."""
    roll = g.noise("roll", 5) - 0.5
    image = ramp((0.25, 0.72, 0.85), (0.03, 0.25, 0.48), (g.y + 1) / 2 + roll * 0.3)
    rays = torch.sin((g.x + g.y * 0.35) * g.vary("rays", 5, 8) + g.vary("rays at", 0, math.tau)) - 0.4
    image = over(image, (0.80, 0.97, 1.0), g.edge(rays, 0.8) * 0.25 * (1 - g.y) / 2)
    image = over(image, (0.85, 0.76, 0.55), g.edge(g.y - 0.72 - roll * 0.35) * 0.8)
    for k in range(5):
        centre = g.vary(f"bubble x {k}", -1, 1), g.vary(f"bubble y {k}", -1, 0.7)
        rim = circle(g.x, g.y, centre, g.vary(f"bubble size {k}", 0.03, 0.07)).abs() - 0.012
        image = over(image, (0.85, 0.98, 1.0), g.edge(-rim) * 0.9)
    foot = g.vary("coral", -0.9, 0.9)
    arms = [path(g.x, g.y, [(foot + k, 1.05), (foot + 1.6 * k + 0.05, 0.8), (foot + 2 * k, 0.55)], 0.04, 0.03)
            for k in (-0.1, 0.02, 0.14)]  # fmt: skip
    return over(image, (0.90, 0.35, 0.45), g.edge(-union(*arms)))


def sky(g: Ground) -> Tensor:
    """Blue with three white clouds."""
    image = ramp((0.33, 0.62, 0.93), (0.80, 0.92, 0.99), (g.y + 1) / 2 + g.vary("haze", -0.2, 0.2))
    for k in range(3):
        cx, cy, r = g.vary(f"cloud x {k}", -1, 1), g.vary(f"cloud y {k}", -0.95, 0.9), g.vary(f"cloud {k}", 0.1, 0.2)
        puffs = (
            circle(g.x, g.y, (cx - r * 0.5, cy - r * 0.4), r * 0.7),
            circle(g.x, g.y, (cx + r * 0.5, cy - r * 0.3), r * 0.55),
        )
        image = over(
            image, (1.0, 1.0, 1.0), g.edge(-union(ellipse(g.x, g.y, (cx, cy), (r * 1.8, r * 0.7)), *puffs)) * 0.9
        )
    return image


def sand(g: Ground) -> Tensor:
    """Rippled dunes under a yellow sky."""
    horizon = g.vary("horizon", -0.25, 0.25)
    dune = ramp((0.93, 0.79, 0.50), (0.80, 0.62, 0.36), g.y - horizon + (g.noise("rough", 12) - 0.5) * 0.4)
    ripples = g.edge(torch.sin(g.y * 30 + g.x * 3 + g.noise("ripples", 5) * 12) - 0.6, 0.5)
    return over(ramp((0.98, 0.82, 0.55), (0.99, 0.93, 0.75), g.y + 1), dune * (1 - 0.12 * ripples[:, None]),
                g.edge(g.y - hills(g, horizon)))  # fmt: skip


def snow(g: Ground) -> Tensor:
    """White ground, grey sky, falling flakes."""
    horizon = g.vary("horizon", -0.25, 0.25)
    white = ramp((0.97, 0.98, 1.0), (0.80, 0.87, 0.96), g.y - horizon + (g.noise("rough", 12) - 0.5) * 0.3)
    image = over(ramp((0.58, 0.68, 0.80), (0.80, 0.86, 0.92), g.y + 1), white, g.edge(g.y - hills(g, horizon)))
    return over(image, (1.0, 1.0, 1.0), g.specks("flakes", 16, 0.4, 0.018))


def room(g: Ground) -> Tensor:
    """Striped wallpaper, a skirting board and floor boards."""
    paper = g.dice.uniform("paper", 0, 0.25, shape=(3, 1, 1)) + rgb((0.72, 0.62, 0.55))
    wide = g.edge(torch.sin(g.x * g.vary("wide", 9, 13) + g.vary("wide at", 0, math.tau)), 0.35)
    floor = g.vary("floor", 0.35, 0.65)
    gaps = g.edge(torch.sin((g.y - floor) * 22 + (g.noise("grain", 5) - 0.5) * 2), 0.5)
    image = over(
        paper * (1 - 0.13 * wide[:, None]), rgb((0.60, 0.40, 0.24)) * (1 - 0.13 * gaps[:, None]), g.edge(g.y - floor)
    )
    return over(image, (0.95, 0.93, 0.88), g.edge(0.045 - (g.y - floor).abs()))


def night(g: Ground) -> Tensor:
    """Dark violet with stars and a crescent moon."""
    image = ramp((0.05, 0.06, 0.20), (0.20, 0.16, 0.42), (g.y + 1) / 2 + (g.noise("mist", 5) - 0.5) * 0.6)
    image = over(image, (1.0, 0.97, 0.85), g.specks("stars", 12, 0.4, 0.016) * g.vary("starlight", 0.6, 1))
    cx, cy = g.vary("moon x", -0.85, 0.85), g.vary("moon y", -0.85, -0.4)
    moon = meet(circle(g.x, g.y, (cx, cy), 0.17), -circle(g.x, g.y, (cx + 0.09, cy - 0.05), 0.14))
    return over(image, (0.98, 0.95, 0.75), g.edge(-moon))


def street(g: Ground) -> Tensor:
    """A row of houses behind a road with a dashed line."""
    road = g.vary("road", 0.0, 0.5)
    image = ramp((0.75, 0.80, 0.86), (0.88, 0.88, 0.88), g.y + 1)
    for k in range(5):
        centre = g.vary(f"house {k}", -0.25, 0.25) + (k - 2) * 0.48
        house = meet(
            (g.x - centre).abs() - g.vary(f"house width {k}", 0.15, 0.24), g.vary(f"house top {k}", -0.9, -0.2) - g.y
        )
        lit = g.edge(torch.sin((g.x - centre) * 33) * 0.5 + torch.sin(g.y * 33) * 0.5 - 0.45, 0.4)
        wall = g.dice.uniform(f"wall {k}", 0, 0.2, shape=(3, 1, 1)) + rgb((0.55, 0.45, 0.42))
        image = over(image, wall + 0.25 * lit[:, None], g.edge(-house))
    tar = rgb((0.36, 0.36, 0.39)) * (1 + 0.12 * (g.noise("tar", 12) - 0.5))[:, None]
    image = over(over(image, tar, g.edge(g.y - road)), (0.80, 0.80, 0.78), g.edge(0.05 - (g.y - road).abs()))
    dashes = g.edge(0.035 - (g.y - road - 0.37).abs()) * g.edge(
        torch.sin(g.x * 12 + g.vary("dashes", 0, math.tau)), g.px * 12
    )
    return over(image, (0.96, 0.92, 0.75), dashes)


GROUNDS = {f.__name__: f for f in (grass, forest, sea, reef, sky, sand, snow, room, night, street)}
