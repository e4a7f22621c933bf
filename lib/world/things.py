"""Vehicles and things: seven nouns without a face.

See `book/world/inside`.
"""

import torch
from torch import Tensor

from .noun import Noun
from .pen import Pen, blended, rgb
from .sdf import Point, Value, blend, box, capsule, circle, ellipse, meet, polygon, union

GLASS, GLINT = (0.70, 0.86, 0.95), (0.90, 0.96, 0.99)
LIGHT = (1.0, 0.93, 0.50)
BRASS = (0.80, 0.62, 0.24)
STEEL, TYRE = (0.80, 0.81, 0.84), (0.17, 0.16, 0.18)
WOOD, DARK_WOOD, WICKER = (0.45, 0.30, 0.18), (0.33, 0.20, 0.13), (0.74, 0.52, 0.27)


def lighter(colour: Tensor, share: float) -> Tensor:
    """Move a colour a share of the way towards white."""
    return colour * (1 - share) + share


def wheels(pen: Pen, middle: float, apart: float, height: float, radius: float) -> None:
    """Paint two tyres with bright hub caps, `apart` to either side of `middle`."""
    rim = circle((pen.x - middle).abs(), pen.y, (apart, height), 0.0)
    pen.paint(rim - radius, TYRE, "wheel")
    pen.paint(rim - 0.52 * radius, STEEL, "wheel", ink=0)
    pen.paint(rim - 0.2 * radius, TYRE, "wheel", ink=0)


def glazing(pen: Pen) -> Tensor:
    """Colour window glass with slanting glints."""
    stripe = ((pen.x + 0.6 * pen.y).remainder(0.34) - 0.1).abs()
    return blended(GLASS, GLINT, pen.edge(0.045 - stripe, 1.2))


def road_lamps(pen: Pen, front: float, height: float) -> None:
    """Paint a headlight at the right end of a vehicle and a tail light at its left end."""
    pen.paint(ellipse(pen.x, pen.y, (front, height), (0.07, 0.085)), LIGHT, "lamp", ink=0.03)
    pen.paint(ellipse(pen.x, pen.y, (-front, height), (0.05, 0.075)), "red", "lamp", ink=0.03)


def car(pen: Pen) -> None:
    """Low body, small cabin set back on it, two wheels."""
    x, y, colour = pen.x, pen.y, pen.main()
    top, bonnet = pen.vary("roof", -0.50, -0.38), pen.vary("bonnet", -0.05, 0.06)
    front, back = 0.42 + bonnet, -0.56
    cabin = polygon(x, y, [(back, 0.02), (front, 0.02), (front - 0.24, top), (back + 0.19, top)], 0.05)
    pen.paint(cabin, colour * 0.92, "roof")
    sill, lintel = -0.08, top + 0.07
    rear = polygon(x, y, [(back + 0.08, sill), (-0.10, sill), (-0.10, lintel), (back + 0.21, lintel)])
    fore = polygon(x, y, [(-0.01, sill), (front - 0.08, sill), (front - 0.24, lintel), (-0.01, lintel)])
    pen.paint(union(rear, fore), glazing(pen), "window", ink=0.03)
    body = blend(box(x, y, (0, 0.17), (0.90, 0.20), 0.12), box(x, y, (-0.1, 0.10), (0.66, 0.20), 0.1), 0.1)
    pen.paint(body, colour, "body")
    pen.paint(meet(body, 0.28 - y), colour * 0.7, "body", ink=0)
    seam, handle = box(x, y, (-0.06, 0.13), (0.014, 0.14)), box(x, y, (-0.2, 0.07), (0.055, 0.022))
    pen.paint(union(seam, handle), "black", "door", ink=0)
    road_lamps(pen, 0.84, 0.13)
    wheels(pen, 0.0, 0.5, 0.38, 0.23)


def bus(pen: Pen) -> None:
    """A car stretched upwards into one long box with a row of windows."""
    x, y, colour = pen.x, pen.y, pen.main()
    top = pen.vary("roof", -0.62, -0.52)
    body = box(x, y, (0, (top + 0.42) / 2), (0.92, (0.42 - top) / 2), 0.13)
    pen.paint(body, colour, "body")
    pen.paint(meet(body, (y - 0.12).abs() - 0.045), lighter(colour, 0.6), "body", ink=0)
    pen.paint(meet(body, 0.30 - y), colour * 0.7, "body", ink=0)
    pen.paint(meet(body, y - top - 0.07), colour * 0.8, "roof", ink=0)
    middle, half = (top + 0.15) / 2 - 0.05, (-0.15 - top) / 2 - 0.03
    glass, either_side = glazing(pen), ((x + 0.23).abs() - 0.30).abs()  # four columns folded into one
    pen.paint(box(either_side, y, (0.15, middle), (0.11, half), 0.03), glass, "window", ink=0.03)
    door = box(x, y, (0.62, -0.06), (0.16, 0.34), 0.03)
    pen.paint(door, glass, "door", ink=0.03)
    pen.paint(meet(door, (x - 0.62).abs() - 0.014), "black", "door", ink=0)
    road_lamps(pen, 0.87, 0.22)
    wheels(pen, -0.07, 0.45, 0.42, 0.21)


def sailboat(pen: Pen) -> None:
    """Two three-cornered sails on a mast, a curved hull, a flag."""
    x, y, colour = pen.x, pen.y, pen.main(jitter=0.03)
    boom, bow = pen.vary("boom", 0.68, 0.84), pen.vary("bow", 0.58, 0.70)
    pen.paint(capsule(x, y, (-0.02, -0.92), (-0.02, 0.5), 0.035), WOOD, "mast", ink=0.03)
    tip = pen.vary("flag", -0.84, -0.76)
    flag = polygon(x, y, [(0.03, -0.93), (0.03, -0.73), (0.34, tip)])
    pen.paint(flag, pen.pick("flag colour", "red", "blue", "green"), "flag", ink=0.03)
    bulge = (0.64 * boom, -0.16)
    mainsail = polygon(x, y, [(0.07, -0.74), bulge, (boom, 0.34), (0.07, 0.34)], 0.02)
    pen.paint(mainsail, colour, "sail")
    jib = polygon(x, y, [(-0.12, -0.62), (-0.12, 0.34), (-bow, 0.34)], 0.02)
    pen.paint(jib, colour * 0.88, "sail")
    hull = meet(box(x, y, (0.02, 0.68), (0.90, 0.22)), circle(x, y, (0.02, -0.32), 1.20))
    pen.paint(hull, pen.pick("hull", "brown", "blue"), "hull")
    pen.paint(meet(hull, (y - 0.56).abs() - 0.04), "white", "hull", ink=0)


def rocket(pen: Pen) -> None:
    """White pointed body on end, coloured nose cone and fins, a porthole, fire below."""
    x, y, colour = pen.x, pen.y, pen.main()
    body_colour = pen.pick("body", "white", "white", "grey", jitter=0.03)
    length, sway = pen.vary("flame", 0.80, 0.94), pen.vary("sway", -0.07, 0.07)
    pen.paint(polygon(x, y, [(-0.2, 0.5), (0.2, 0.5), (sway, length)], 0.04), "orange", "flame", ink=0.03)
    core = polygon(x, y, [(-0.1, 0.5), (0.1, 0.5), (sway / 2, length - 0.16)], 0.02)
    pen.paint(core, LIGHT, "flame", ink=0)
    span = pen.vary("fins", 0.54, 0.66)
    corners = [(0.22, 0.02), (span, 0.42), (span, 0.68), (0.2, 0.46)]
    pen.paint(polygon(x.abs(), y, corners, 0.02), colour, "fin")
    body = meet(circle(x, y, (-0.80, -0.08), 1.17), circle(x, y, (0.80, -0.08), 1.17), y - 0.52)
    pen.paint(body, body_colour, "body")
    pen.paint(meet(body, x + 0.22), body_colour * 0.84, "body", ink=0)
    pen.paint(meet(body, (y - 0.36).abs() - 0.05), colour, "body", ink=0)
    pen.paint(meet(body, y + 0.46), "black", "nose cone", ink=0)
    pen.paint(meet(body, y + 0.495), colour, "nose cone", ink=0)
    glass = circle(x, y, (0, -0.17), 0.14)
    pen.paint(glass - 0.06, STEEL, "porthole", ink=0.03)
    pen.paint(glass, glazing(pen), "porthole", ink=0.03)
    pen.paint(box(x, y, (0, 0.46), (0.055, 0.22), 0.03), colour, "fin", ink=0.03)


def balloon(pen: Pen) -> None:
    """A great round envelope in bright gores, a small basket hanging below."""
    x, y, colour = pen.x, pen.y, pen.main()
    pen.paint(capsule(x.abs(), y, (0.13, 0.4), (0.18, 0.76), 0.022), DARK_WOOD, "basket", ink=0)
    ball = circle(x, y, (0, -0.30), 0.62)
    skirt = polygon(x, y, [(-0.454, 0.122), (0.454, 0.122), (0.14, 0.46), (-0.14, 0.46)])  # touches the ball
    envelope = union(ball, skirt)
    width = 0.65 * torch.sqrt((1 - ((y + 0.30) / 0.80) ** 2).clamp(min=0.05))
    frame = (x / width, (y + 0.30) / 0.65, pen.vary("gores", 0.58, 0.70))
    ground = pen.pick("between", "white", "yellow", "cream")
    pen.coat(envelope, ground, colour, "envelope", "gores", frame, duty=0.3)
    pen.paint(box(x, y, (0, 0.48), (0.17, 0.045), 0.02), colour * 0.8, "envelope", ink=0.03)
    basket = polygon(x, y, [(-0.18, 0.74), (0.18, 0.74), (0.13, 0.94), (-0.13, 0.94)], 0.02)
    pen.paint(basket, WICKER, "basket")
    pen.paint(meet(basket, (y - 0.86).abs() - 0.02), WOOD, "basket", ink=0)
    pen.paint(box(x, y, (0, 0.74), (0.22, 0.045), 0.03), WOOD, "basket", ink=0.02)


def teardrop(pen: Pen, centre: Point, radius: Value, tip: Point) -> Tensor:
    """Measure the distance to a flame: round below, drawn out to a tip."""
    return capsule(pen.x, pen.y, centre, tip, radius, 0.005)


def candle(pen: Pen) -> None:
    """A stick of wax with drips and a big glowing flame, in a brass holder."""
    x, y, colour = pen.x, pen.y, pen.main(jitter=0.04)
    top, width = pen.vary("height", -0.22, -0.02), pen.vary("width", 0.21, 0.28)
    lean = pen.vary("lean", -0.1, 0.1)
    for radius, alpha in ((0.50, 0.22), (0.36, 0.30)):
        pen.paint(circle(x, y, (lean / 3, top - 0.32), radius), LIGHT, "flame", ink=0, alpha=alpha)
    handle = circle(x, y, (0.65, 0.69), 0.14).abs() - 0.05
    pen.paint(handle, BRASS, "holder")
    stick = box(x, y, (0, (top + 0.80) / 2), (width, (0.80 - top) / 2), 0.05)
    pen.paint(stick, colour, "wax")
    pen.paint(meet(stick, width * 0.5 - x), colour * 0.82, "wax", ink=0)
    for side, drop in ((-0.62, 0.24), (0.56, 0.40)):
        drip = capsule(x, y, (side * width, top + 0.04), (side * width, top + drop), 0.05, 0.065)
        pen.paint(drip, lighter(colour, 0.3), "wax", ink=0.025)
    pen.paint(ellipse(x, y, (0, top + 0.02), (width, 0.075)), lighter(colour, 0.4), "wax", ink=0.03)
    dish = [(-0.54, 0.74), (0.54, 0.74), (0.40, 0.92), (-0.40, 0.92)]
    pen.paint(polygon(x, y, dish, 0.02), BRASS, "holder")
    pen.paint(box(x, y, (0, 0.75), (0.62, 0.035), 0.03), lighter(rgb(BRASS), 0.3), "holder", ink=0.02)
    pen.paint(capsule(x, y, (0, top - 0.14), (0, top + 0.02), 0.025), "black", "wax", ink=0)
    pen.paint(teardrop(pen, (0, top - 0.24), 0.15, (lean, top - 0.68)), "orange", "flame", ink=0.03)
    pen.paint(teardrop(pen, (0, top - 0.21), 0.085, (lean / 2, top - 0.46)), LIGHT, "flame", ink=0)


def beams(pen: Pen, spread: float) -> None:
    """Paint a cone of light to either side of the lamp."""
    cone = [(0.1, -0.64), (1.6, -0.62 - spread), (1.6, -0.62 + spread), (0.1, -0.56)]
    pen.paint(polygon(pen.x.abs(), pen.y, cone), LIGHT, "lamp", ink=0, alpha=0.35)


def lighthouse(pen: Pen) -> None:
    """A tapering banded tower on a rock, with a lamp under a pointed roof and two beams."""
    x, y, colour = pen.x, pen.y, pen.main()
    foot = pen.vary("foot", 0.30, 0.38)
    beams(pen, 0.34)
    beams(pen, 0.20)
    shore = pen.vary("rock", -0.1, 0.1)
    rock = union(ellipse(x, y, (shore, 0.94), (0.70, 0.17)), ellipse(x, y, (shore + 0.3, 0.86), (0.26, 0.15)))
    pen.paint(rock, pen.shade("grey", "stone") * 0.9, "rock")
    tower = polygon(x, y, [(-0.2, -0.42), (0.2, -0.42), (foot, 0.86), (-foot, 0.86)], 0.01)
    pen.coat(tower, "white", colour, "tower", "bands", (y + 0.42, x, 0.515))
    pen.paint(box(x, y, (0, 0.73), (0.095, 0.145), 0.08), DARK_WOOD, "door", ink=0.025)
    pen.paint(box(x, y, (0, 0.22), (0.055, 0.075), 0.04), GLASS, "window", ink=0.03)
    pen.paint(box(x, y, (0, -0.59), (0.16, 0.15), 0.01), LIGHT, "lamp")
    pen.paint(capsule(x, y, (0, -0.72), (0, -0.44), 0.018), "black", "lamp", ink=0)
    pen.paint(box(x, y, (0, -0.43), (0.29, 0.05), 0.03), "grey", "tower")
    pen.paint(polygon(x, y, [(-0.22, -0.70), (0.22, -0.70), (0.0, -0.95)], 0.02), colour, "roof")


NOUNS = (
    Noun(car, "vehicle", "street", ("red", "blue", "yellow", "green")),
    Noun(bus, "vehicle", "street", ("red", "yellow", "blue", "green")),
    Noun(sailboat, "vehicle", "sea", ("white", "red", "yellow")),
    Noun(rocket, "vehicle", "night", ("red", "blue")),
    Noun(balloon, "vehicle", "sky", ("red", "blue", "purple")),
    Noun(candle, "thing", "room", ("white", "red", "purple")),
    Noun(lighthouse, "thing", "sky", ("red", "blue")),
)
