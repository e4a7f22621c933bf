"""The pen: paints batches of shapes as inked cartoons and keeps the truth about every pixel.

A noun is a function that receives a pen and paints one drawing per image of the batch, in a frame of about [-1, 1]
with y pointing down. See `book/world/inside`.
"""

import math

import torch
from torch import Tensor

from .dice import Dice
from .sdf import Point, Value, circle, length

INK = (0.13, 0.10, 0.11)
COLOURS = {
    "red": (0.86, 0.13, 0.12), "orange": (0.97, 0.53, 0.12), "yellow": (0.98, 0.83, 0.18), "green": (0.25, 0.62, 0.22),
    "blue": (0.16, 0.40, 0.80), "purple": (0.52, 0.26, 0.68), "pink": (0.97, 0.56, 0.66), "brown": (0.50, 0.31, 0.17),
    "black": (0.12, 0.11, 0.13), "white": (0.97, 0.96, 0.94), "grey": (0.56, 0.57, 0.60), "cream": (0.98, 0.90, 0.72),
}  # fmt: skip
TEXTURES = ("stripes", "bands", "spots", "checks", "scales", "fur", "gores")
PLAIN = len(TEXTURES)  # as an edit: no texture at all
PARTS = (
    "head", "body", "leg", "tail", "ear", "mane", "muzzle", "eye", "nose", "paw", "chest", "whisker", "collar",
    "tongue", "long ear", "teeth", "wing", "belly", "face", "big eye", "beak", "branch", "foot", "long leg",
    "long neck", "flipper", "hood", "fin", "tail fin", "wing case", "spot", "insect leg", "antenna",
    "clear wing", "stalk", "ring", "gills", "cap", "white spot", "stem", "leaf", "petal", "disc", "berry", "seed",
    "rind", "crown", "roof", "window", "door", "wheel", "lamp", "mast", "flag", "sail", "hull", "flame", "nose cone",
    "porthole", "envelope", "basket", "holder", "wax", "rock", "tower",
)  # fmt: skip
PART_ID = {name: i + 1 for i, name in enumerate(PARTS)}
ONE = torch.ones(1)
Colour = str | tuple[float, float, float] | Tensor


def rgb(colour: Colour) -> Tensor:
    """Turn a colour's name or triple into (1, 3, 1, 1); leave tensors alone."""
    if torch.is_tensor(colour):
        return colour
    return torch.tensor(COLOURS[colour] if isinstance(colour, str) else colour).view(1, 3, 1, 1)


def blended(a: Colour, b: Colour, mask: Tensor) -> Tensor:
    """Mix two colours by a mask (n, h, w)."""
    a, b = rgb(a), rgb(b)
    return a + (b - a) * mask[:, None]


class Pen:
    """A layer of n drawings: premultiplied colour, coverage, and the part and texture of every pixel."""

    def __init__(self, x: Tensor, y: Tensor, px: Tensor, dice: Dice, main: Tensor):
        """Take object coordinates (n, h, w), the size of a pixel in them, and each drawing's main colour (n, 3)."""
        self.x, self.y, self.px, self.dice = x, y, px, dice
        self.main_colour = main
        self.rgb = torch.zeros(len(x), 3, *x.shape[1:])
        self.cover = torch.zeros(x.shape)
        self.part, self.texture = torch.zeros(2, *x.shape, dtype=torch.uint8)
        self.filled = torch.zeros(x.shape, dtype=torch.bool)  # coloured, not outline
        self.wanted = torch.full((len(x),), -1)  # texture that replaces the drawing's own, -1 for none
        self.hidden = torch.zeros(len(x), dtype=torch.uint8)  # part that is left out, 0 for none

    def vary(self, name: str, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw one number per image, (n, 1, 1), under a name of its own."""
        return self.dice.uniform(name, low, high)

    def shade(self, colour: Colour, name: str, jitter: float = 0.05) -> Tensor:
        """Vary a colour a little from image to image, (n, 3, 1, 1)."""
        each = self.dice.normal(name, shape=(3, 1, 1)) * 0.6 + self.dice.normal(name + " light", shape=(1, 1, 1))
        return (rgb(colour) + jitter * each).clamp(0.02, 1)

    def main(self, jitter: float = 0.05) -> Tensor:
        """Return the colour that tells this drawing's kind (red car, blue car), a little varied."""
        return self.shade(self.main_colour[:, :, None, None], "main", jitter)

    def pick(self, name: str, *colours: str, jitter: float = 0.05) -> Tensor:
        """Choose among named colours, per image."""
        table = torch.cat([rgb(c) for c in colours])
        return self.shade(table[self.dice.choice(name, len(colours))], name + " shade", jitter)

    def paint(self, d: Tensor, colour: Colour, part: str, *, ink: float = 0.035, alpha: float = 1.0) -> None:
        """Fill where d < 0 and ink an outline of width `ink` around it; glass (alpha < 1) leaves no truth."""
        shown = (self.hidden != PART_ID[part]).view(-1, 1, 1)
        d = torch.where(shown, d, 9.0) if not bool(shown.all()) else d
        if ink:
            line = ((ink - d) / self.px + 0.5).clamp_(0, 1)
            self.rgb.lerp_(rgb(INK), line[:, None])
            self.cover.lerp_(ONE, line)
            self.filled &= line < 0.5
        fill = (0.5 - d / self.px).clamp_(0, 1).mul_(alpha)
        self.rgb.lerp_(rgb(colour), fill[:, None])
        self.cover.lerp_(ONE, fill)
        if alpha == 1:
            inside = d < ink / 2
            self.part.masked_fill_(inside, PART_ID[part])
            self.texture.masked_fill_(inside, 0)
            self.filled |= fill > 0.5

    def coat(
        self, d: Tensor, ground: Colour, mark: Colour, part: str, pattern: str, frame: tuple[Tensor, Tensor, Value],
        *, duty: float = 0.0, where: Tensor | None = None, ink: float = 0.035
    ) -> None:  # fmt: skip
        """Paint a shape in colour `ground` with a pattern of colour `mark`, laid out by frame = (u, v, period)."""
        u, v, period = frame
        mask, which = self.marks(pattern, u, v, period, duty)
        mask = mask if where is None else mask * where
        self.paint(d, blended(ground, mark, mask), part, ink=ink)
        region = (d < 0) if where is None else (d < 0) & (where > 0)
        shown = (self.hidden != PART_ID[part]).view(-1, 1, 1) & (which > 0)
        self.texture = torch.where(region & shown, which, self.texture)

    def marks(self, pattern: str, u: Tensor, v: Tensor, period: Value, duty: float) -> tuple[Tensor, Tensor]:
        """Return the mask of a pattern (or of the one that an edit wants instead) and its texture id (n, 1, 1)."""
        which = torch.where(self.wanted < 0, TEXTURES.index(pattern), self.wanted)
        mask = torch.zeros_like(u)
        for k in which.unique().tolist():
            if k < PLAIN:
                own = PATTERNS[TEXTURES[k]](self, u, v, period, duty if TEXTURES[k] == pattern else 0.0)
                mask = torch.where((which == k).view(-1, 1, 1), own, mask)
        return mask, torch.where(which < PLAIN, which + 1, 0).to(torch.uint8).view(-1, 1, 1)

    def edge(self, f: Tensor, slope: Tensor | float) -> Tensor:
        """Turn the sign of f into an antialiased mask; `slope` is how much f changes per object unit."""
        return (f / (self.px * slope) + 0.5).clamp(0, 1)

    def eye(self, centre: Point, radius: float, *, white: Colour = "white", part: str = "eye") -> None:
        """Paint a cartoon eye that looks a little to one side."""
        x, y, (cx, cy) = self.x, self.y, centre
        look = self.vary(f"look {part}", -0.25, 0.25) * radius
        self.paint(circle(x, y, centre, radius), white, part, ink=0.025)
        self.paint(circle(x, y, (cx + look, cy), radius * 0.6), "black", part, ink=0)
        self.paint(circle(x, y, (cx + look - radius * 0.2, cy - radius * 0.25), radius * 0.22), "white", part, ink=0)


def stripes(pen: Pen, u: Tensor, v: Tensor, period: Value, duty: float) -> Tensor:
    """Draw parallel lines across u, somewhere along their period."""
    return pen.edge(torch.sin(u * (math.tau / period) + pen.vary("stripes", 0, math.tau)) + duty, math.tau / period)


def bands(pen: Pen, u: Tensor, v: Tensor, period: Value, duty: float) -> Tensor:
    """Draw parallel lines across u that always start at the same place."""
    return pen.edge(torch.sin(u * (math.tau / period)) + duty, math.tau / period)


def staggered(u: Tensor, v: Tensor, period: Value) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Split the plane into bricks; return place within the brick (-.5 to .5) and the brick's number."""
    u, v = u / period, v / period
    u = u + 0.5 * torch.floor(v).remainder(2)
    row, column = torch.floor(v), torch.floor(u)
    return u - column - 0.5, v - row - 0.5, column, row


def spots(pen: Pen, u: Tensor, v: Tensor, period: Value, duty: float) -> Tensor:
    """Draw dots of uneven size, one in each brick."""
    sx, sy = pen.vary("spots x", 0, 9), pen.vary("spots y", 0, 9)
    a, b, column, row = staggered(u + sx * period, v + sy * period, period)
    wild = torch.sin(column * 127.1 + row * 311.7 + torch.floor(sx * 10)) * 437.58
    h1, h2, h3 = wild - torch.floor(wild), (wild * 7.13).remainder(1.0), (wild * 3.71).remainder(1.0)
    d = length(a - (h1 - 0.5) * 0.5, b - (h2 - 0.5) * 0.5) - (0.36 + duty) * (0.7 + 0.5 * h3)
    return pen.edge(-d * period, 1.0)


def checks(pen: Pen, u: Tensor, v: Tensor, period: Value, duty: float) -> Tensor:
    """Draw a net of slanting lines with a dot in each mesh."""
    p, q = (((u + v) / period).remainder(1.0) - 0.5).abs(), (((u - v) / period).remainder(1.0) - 0.5).abs()
    return pen.edge(torch.maximum(torch.maximum(p, q) - 0.41 + duty, 0.13 - length(p, q)) * period, 1.5)


def scales(pen: Pen, u: Tensor, v: Tensor, period: Value, duty: float) -> Tensor:
    """Draw rows of rounded scales."""
    a, b, _, _ = staggered(u, v, period)
    return pen.edge((0.13 + duty - (length(a, b) - 0.44).abs()) * period, 1.0)


def fur(pen: Pen, u: Tensor, v: Tensor, period: Value, duty: float) -> Tensor:
    """Draw short downward strokes."""
    a, b, _, _ = staggered(u, v, period)
    return pen.edge((0.10 + duty - torch.maximum(a.abs(), b.abs() - 0.2)) * period, 1.0) * 0.6


def gores(pen: Pen, u: Tensor, v: Tensor, period: Value, duty: float) -> Tensor:
    """Draw lines that bulge like the gores of a balloon, across which u runs from -1 to 1."""
    wave = torch.sin(torch.asin(u.clamp(-0.999, 0.999)) * (math.pi / period) + math.pi / 2)
    slope = (math.pi / period) / torch.sqrt((1 - u * u).clamp(min=0.05))
    return pen.edge(wave + duty, slope * 1.6)


PATTERNS = dict(stripes=stripes, bands=bands, spots=spots, checks=checks, scales=scales, fur=fur, gores=gores)
