"""The mammals: zebra and horse stand in side view; cat, dalmatian and rabbit sit and face us."""

import torch
from torch import Tensor

from .noun import Noun
from .pen import Pen
from .sdf import Value, blend, box, capsule, circle, ellipse, meet, path, polygon, union

FLESH = (0.97, 0.62, 0.68)
STRIPE = 0.27  # object units from one stripe to the next


def paler(colour: Tensor, share: float) -> Tensor:
    """Mix a colour with white."""
    return colour * (1 - share) + share


def mirrored(pen: Pen, middle: Value = 0.0) -> Tensor:
    """Fold the plane at x = middle, so that what is drawn at the right also appears at the left."""
    return (pen.x - middle).abs()


def zebra(pen: Pen) -> None:
    """Paint a white horse with stripes in the main colour, hooves and nose of the same."""
    stands(pen, pen.shade("white", "coat", 0.03), pen.main(), True)


def horse(pen: Pen) -> None:
    """Paint a plain horse in the main colour with a dark mane, tail and hooves."""
    coat = pen.main()
    stands(pen, coat, coat * 0.6, False)


def stands(pen: Pen, ground: Tensor, mark: Tensor, striped: bool) -> None:
    """Paint the body that zebra and horse share, facing right; stripes are all that tells them apart."""
    x, y = pen.x, pen.y
    period = STRIPE * pen.vary("stripe width", 0.9, 1.1)
    hair = pen.shade((0.17, 0.13, 0.13), "hair", 0.03)

    def hide(d: Tensor, part: str, u: Tensor, v: Tensor, duty: float, light: float = 1.0) -> None:
        if striped:
            pen.coat(d, ground * light, mark, part, "stripes", (u, v, period), duty=duty)
        else:
            pen.paint(d, ground * light, part)

    sway = pen.vary("tail", -0.1, 0.08)
    pen.paint(path(x, y, [(-0.58, -0.1), (-0.76, 0.02), (-0.8 + sway, 0.42)], 0.05, 0.085), hair, "tail")
    for name, back, front, light in (("far legs", -0.33, 0.34, 0.76), ("near legs", -0.47, 0.21, 1.0)):
        step = pen.vary(name, -0.08, 0.08)
        hind, fore = (capsule(x, y, (hip, 0.15), (hip + way * step, 0.80), 0.105, 0.06)
                      for hip, way in ((back, 1), (front, -1)))  # fmt: skip
        legs = union(hind, fore)
        hide(legs, "leg", y, x, -0.15, light)
        pen.paint(meet(legs, 0.73 - y), hair, "leg", ink=0)
    up = y - pen.vary("nod", -0.05, 0.06) * (-2 * y).clamp(0, 1)  # the neck nods, the trunk stays
    pen.paint(path(x, up, [(0.06, -0.2), (0.36, -0.68), (0.52, -0.75)], 0.1, 0.075), hair, "mane")
    trunk = ellipse(x, y, (-0.13, 0.06), (0.50, 0.28))
    neck = capsule(x, up, (0.25, 0.02), (0.50, -0.5), 0.22, 0.12)
    rise = (1.2 * x - 1.6 * y - 0.24).clamp(0, 1)  # 0 on the trunk, 1 high on the neck
    along, around = x + rise * (0.22 - 0.5 * x - 0.8 * y), y + rise * (0.7 * x - 0.5 * y)
    hide(blend(trunk, neck, 0.14), "body", along, around, 0.05)
    pen.paint(capsule(x, up, (0.46, -0.62), (0.43, -0.86), 0.075, 0.02), ground, "ear")
    head = capsule(x, up, (0.50, -0.54), (0.84, -0.25), 0.155, 0.105)
    hide(head, "head", (x - y) * 0.75, (x + y) * 0.75, -0.35)
    pen.paint(meet(head, circle(x, up, (0.91, -0.19), 0.19)), mark, "muzzle", ink=0)
    pen.paint(ellipse(x, up, (0.86, -0.27), (0.03, 0.02)), hair * 0.5, "muzzle", ink=0)
    gaze(pen, x - 0.58, up, 0.0, -0.55, 0.062)


def gaze(pen: Pen, x: Tensor, y: Tensor, out: float, height: float, radius: float) -> None:
    """Paint two round eyes `out` to both sides of x = 0 (one eye if out = 0) that look the same way."""
    look = x - pen.vary("look", -0.2, 0.2) * radius
    glint = (look + 0.2 * radius).abs()
    pen.paint(circle(x.abs(), y, (out, height), radius), "white", "eye", ink=0.025)
    pen.paint(circle(look.abs(), y, (out, height), 0.62 * radius), "black", "eye", ink=0)
    pen.paint(circle(glint, y, (out, height - 0.22 * radius), 0.24 * radius), "white", "eye", ink=0)


def sits(pen: Pen, width: float) -> Tensor:
    """Measure the distance to the pear-shaped body of a furry animal that sits facing us."""
    x, y = pen.x, pen.y
    return blend(ellipse(x, y, (0, 0.49), (width, 0.41)), ellipse(x, y, (0, 0.75), (width + 0.08, 0.18)), 0.1)


def cat(pen: Pen) -> None:
    """Paint a sitting tabby: pointed ears, green slit eyes, whiskers and dark stripes."""
    x, y, turned = pen.x, pen.y, pen.vary("turned", -0.06, 0.06)
    coat = pen.main()
    dark, light, side, face = coat * 0.52, paler(coat, 0.65), mirrored(pen), mirrored(pen, turned)
    tip = pen.vary("tail", -0.12, 0.12)
    tail = path(x, y, [(0.35, 0.77), (0.68, 0.7), (0.77, 0.4), (0.68 + tip, 0.1)], 0.095, 0.075)
    pen.coat(tail, coat, dark, "tail", "stripes", (y + 0.3 * x, x, 0.25))
    body = sits(pen, 0.40)
    pen.coat(body, coat, dark, "body", "stripes", (y, x, STRIPE), duty=-0.25, where=pen.edge(side - 0.2, 1.0))
    pen.paint(ellipse(x, y, (0, 0.43), (0.18, 0.27)), light, "chest", ink=0)
    pen.paint(ellipse(side, y, (0.17, 0.84), (0.15, 0.09)), light, "paw")
    perk = pen.vary("ears", -0.05, 0.05)
    pen.paint(polygon(face, y, [(0.12, -0.50), (0.46, -0.28), (0.43 + perk, -0.84)], 0.025), coat, "ear")
    pen.paint(polygon(face, y, [(0.23, -0.52), (0.40, -0.42), (0.395 + perk, -0.70)]), FLESH, "ear", ink=0)
    head, brow = ellipse(x, y, (turned, -0.22), (0.50, 0.41)), pen.edge(-0.40 - y, 1.0)
    cheek = pen.edge(face - 0.35, 1.0)
    across = torch.where(y < -0.37, face, y)  # stripes stand on the brow and lie on the cheeks
    tabby = (brow + cheek).clamp(max=1)
    pen.coat(head, coat, dark, "head", "stripes", (across, x, 0.25), duty=-0.2, where=tabby)
    pen.paint(ellipse(face, y, (0.09, -0.02), (0.14, 0.115)), light, "muzzle", ink=0)
    for low in (-0.14, 0.04):
        whisker = capsule(face, y, (0.2, -0.05), (0.68, low), 0.014)
        pen.paint(whisker, (0.98, 0.97, 0.95), "whisker", ink=0)
    pen.paint(ellipse(face, y, (0.20, -0.25), (0.115, 0.125)), (0.56, 0.82, 0.28), "eye", ink=0.03)
    pen.paint(ellipse(face, y, (0.20, -0.25), (0.04, 0.105)), "black", "eye", ink=0)
    pen.paint(polygon(face, y, [(-0.06, -0.13), (0.06, -0.13), (0, -0.06)], 0.015), FLESH, "nose", ink=0.02)
    smile = meet(circle(face, y, (0.065, -0.01), 0.06).abs() - 0.012, -y)
    pen.paint(smile, dark * 0.5, "muzzle", ink=0)


def dalmatian(pen: Pen) -> None:
    """Paint a sitting white dog: spots and hanging ears in the main colour, a collar, tongue out."""
    x, y, turned = pen.x, pen.y, pen.vary("turned", -0.06, 0.06)
    coat, mark = pen.shade("white", "coat", 0.03), pen.main()
    side, face, frame = mirrored(pen), mirrored(pen, turned), (x, y, STRIPE)
    wag = pen.vary("tail", -0.12, 0.12)
    pen.paint(path(x, y, [(0.38, 0.76), (0.68, 0.62), (0.82, 0.3 + wag)], 0.065, 0.035), coat, "tail")
    pen.coat(sits(pen, 0.38), coat, mark, "body", "spots", frame)
    pen.coat(capsule(side, y, (0.14, 0.42), (0.15, 0.83), 0.105, 0.115), coat, mark, "leg", "spots", frame)
    pen.paint(box(x, y, (0, 0.15), (0.25, 0.06), 0.04), pen.pick("collar", "red", "blue"), "collar")
    skull, jaw = ellipse(x, y, (turned, -0.36), (0.38, 0.34)), ellipse(x, y, (turned, -0.08), (0.27, 0.25))
    brow = torch.minimum(-0.2 - y, circle(face, y, (0.16, -0.33), 0.13))  # the eyes stay clear of spots
    pen.coat(blend(skull, jaw, 0.1), coat, mark, "head", "spots", frame, where=pen.edge(brow, 1.0))
    flop = 0.47 + pen.vary("ears", -0.06, 0.1)
    pen.paint(path(face, y, [(0.29, -0.60), (flop, -0.42), (flop, -0.10)], 0.10, 0.145), mark, "ear")
    out = pen.vary("tongue", 0.06, 0.13)
    pen.paint(ellipse(x, y, (turned, 0.20), (0.085, out)), (0.93, 0.42, 0.48), "tongue", ink=0.025)
    pen.paint(ellipse(x, y, (turned, 0.04), (0.23, 0.165)), coat, "muzzle", ink=0.02)
    pen.paint(capsule(x, y, (turned, 0.02), (turned, 0.14), 0.014), mark * 0.5, "muzzle", ink=0)
    pen.paint(ellipse(x, y, (turned, -0.06), (0.125, 0.09)), mark * 0.5, "nose", ink=0.02)
    pen.paint(ellipse(x, y, (turned - 0.03, -0.09), (0.04, 0.02)), "grey", "nose", ink=0)
    gaze(pen, x - turned, y, 0.16, -0.33, 0.1)


def rabbit(pen: Pen) -> None:
    """Paint a sitting rabbit: very long ears, two front teeth, a round tail and soft fur."""
    x, y, turned = pen.x, pen.y, pen.vary("turned", -0.05, 0.05)
    coat = pen.main()
    light, shadow, side, face = paler(coat, 0.55), coat * 0.68, mirrored(pen), mirrored(pen, turned)
    pen.paint(circle(x, y, (0.44, 0.62), 0.16), light, "tail")
    pen.coat(sits(pen, 0.38), coat, shadow, "body", "fur", (x, y, 0.24))
    pen.paint(ellipse(x, y, (0, 0.55), (0.20, 0.26)), light, "chest", ink=0)
    pen.paint(ellipse(side, y, (0.22, 0.85), (0.19, 0.09)), light, "paw")
    for way, name in ((-1, "left ear"), (1, "right ear")):
        lean = pen.vary(name, 0.0, 0.28)
        root = turned + way * (0.15 + 0.35 * lean)
        pen.paint(ellipse(x, y, (root, -0.66), (0.125, 0.34), way * lean), coat, "long ear")
        pen.paint(ellipse(x, y, (root, -0.64), (0.06, 0.25), way * lean), FLESH, "long ear", ink=0)
    skull, cheeks = ellipse(x, y, (turned, -0.14), (0.37, 0.33)), ellipse(x, y, (turned, -0.02), (0.42, 0.22))
    brow = pen.edge(-0.28 - y, 1.0)  # strokes below the eyes would look like tears
    pen.coat(blend(skull, cheeks, 0.1), coat, shadow, "head", "fur", (x, y, 0.24), where=brow)
    pen.paint(box(x, y, (turned, 0.15), (0.07, 0.085), 0.02), "white", "teeth", ink=0.022)
    pen.paint(capsule(x, y, (turned, 0.1), (turned, 0.23), 0.01), "grey", "teeth", ink=0)
    pen.paint(circle(face, y, (0.09, 0.025), 0.115), light, "muzzle", ink=0.016)
    pen.paint(ellipse(x, y, (turned, -0.06), (0.075, 0.05)), FLESH, "nose", ink=0.022)
    pen.paint(ellipse(face, y, (0.21, -0.19), (0.075, 0.1)), "black", "eye", ink=0.012)
    pen.paint(circle(face, y, (0.2, -0.23), 0.03), "white", "eye", ink=0)


NOUNS = (
    Noun(zebra, "mammal", "sand", ("black",)),
    Noun(horse, "mammal", "grass", ("brown", "grey", "cream")),
    Noun(cat, "mammal", "room", ("orange", "grey", "cream")),
    Noun(dalmatian, "mammal", "street", ("black", "brown")),
    Noun(rabbit, "mammal", "grass", ("white", "brown", "grey")),
)
