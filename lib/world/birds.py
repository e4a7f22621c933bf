"""The birds: owl and penguin face us, flamingo and finch stand in side view."""

from torch import Tensor

from .noun import Noun
from .pen import Pen, rgb
from .sdf import blend, box, capsule, circle, ellipse, meet, path, polygon, union

BARK = (0.42, 0.27, 0.15)


def creamy(colour: Tensor, share: float) -> Tensor:
    """Mix a colour with cream."""
    return colour * (1 - share) + rgb("cream") * share


def perch(pen: Pen, height: float) -> None:
    """Paint the branch on which a bird sits."""
    pen.paint(box(pen.x, pen.y, (0, height), (0.86, 0.06), 0.05), pen.shade(BARK, "bark"), "branch")


def owl(pen: Pen) -> None:
    """Paint an owl on a branch: two huge yellow eyes in pale discs, ear tufts, a scaly belly."""
    x, y, turned = pen.x, pen.y, pen.vary("turned", -0.04, 0.04)
    coat = pen.main()
    dark, light, face = coat * 0.7, creamy(coat, 0.6), (x - turned).abs()
    perch(pen, 0.86)
    lift = pen.vary("wings", 0, 0.18)
    pen.paint(ellipse(x.abs(), y, (0.46 + lift * 0.5, 0.25), (0.19, 0.46), -0.15 - lift), dark, "wing")
    pen.paint(ellipse(x, y, (0, 0.2), (0.48, 0.64)), coat, "body")
    belly = ellipse(x, y, (0, 0.36), (0.33, 0.42))
    pen.coat(belly, light, coat * 0.75, "belly", "scales", (x, y, 0.26), duty=-0.03, ink=0.015)
    perk = pen.vary("tufts", -0.05, 0.06)
    pen.paint(polygon(face, y, [(0.10, -0.56), (0.45, -0.36), (0.46 + perk, -0.88)], 0.02), dark, "ear")
    pen.paint(ellipse(x, y, (turned, -0.30), (0.50, 0.36)), coat, "head")
    pen.paint(circle(face, y, (0.22, -0.30), 0.245), light, "face", ink=0.02)
    look = pen.vary("look", -0.03, 0.03)
    pen.paint(circle(face, y, (0.21, -0.30), 0.17), (0.99, 0.80, 0.12), "big eye", ink=0.03)
    pen.paint(circle((x - turned - look).abs(), y, (0.205, -0.30), 0.09), "black", "big eye", ink=0)
    glint = (x - turned - look + 0.035).abs()
    pen.paint(circle(glint, y, (0.205, -0.335), 0.032), "white", "big eye", ink=0)
    beak = polygon(face, y, [(-0.08, -0.21), (0.08, -0.21), (0, -0.02)], 0.015)
    pen.paint(beak, "orange", "beak", ink=0.025)
    toe = ((x.abs() - 0.2).abs() - 0.065).abs()
    pen.paint(capsule(toe, y, (0, 0.79), (0, 0.88), 0.045), "orange", "foot", ink=0.02)


def flamingo(pen: Pen) -> None:
    """Paint a pink bird with an S-shaped neck, a hooked beak with a black tip and stilts for legs."""
    x, y, bend = pen.x, pen.y, pen.vary("knee", -0.12, 0.08)
    up = y - pen.vary("nod", -0.07, 0.07) * (-2 * y - 0.2).clamp(0, 1)  # the neck nods, the body stays
    coat = pen.main()
    dark = coat * rgb((0.93, 0.68, 0.76))
    bent = path(x, y, [(-0.2, 0.2), (-0.3 + bend, 0.55), (-0.04 + bend * 0.5, 0.64)], 0.038)
    straight = path(x, y, [(-0.05, 0.2), (-0.02, 0.55), (0.0, 0.92)], 0.038)
    for leg in (bent, straight):
        pen.paint(leg, dark, "long leg", ink=0.028)
    pen.paint(capsule(x, y, (-0.02, 0.93), (0.15, 0.93), 0.035), dark, "foot", ink=0.028)
    pen.paint(polygon(x, y, [(-0.5, -0.1), (-0.45, 0.2), (-0.86, 0.22)], 0.03), dark, "tail")
    curve = [(0.16, 0.08), (0.38, 0.03), (0.48, -0.12), (0.43, -0.28), (0.26, -0.50), (0.31, -0.70),
             (0.44, -0.78)]  # fmt: skip
    pen.paint(path(x, up, curve, 0.105, 0.075), coat, "long neck")
    pen.paint(ellipse(x, y, (-0.16, 0.04), (0.43, 0.26), -0.1), coat, "body")
    pen.paint(ellipse(x, y, (-0.27, 0.0), (0.31, 0.17), -0.2), dark, "wing", ink=0.025)
    pen.paint(capsule(x, y, (-0.5, 0.08), (-0.1, 0.08), 0.02), coat * 0.62, "wing", ink=0)
    beak = path(x, up, [(0.60, -0.73), (0.78, -0.66), (0.79, -0.47)], 0.075, 0.04)
    pen.paint(beak, "cream", "beak", ink=0.03)
    pen.paint(meet(beak, -0.61 - up), "black", "beak", ink=0)
    pen.paint(circle(x, up, (0.52, -0.75), 0.12), coat, "head")
    pen.paint(circle(x, up, (0.55, -0.78), 0.042), "black", "eye", ink=0)


def penguin(pen: Pen) -> None:
    """Paint an upright bird in a tailcoat: white belly and face, flippers, orange beak and feet."""
    x, y, turned = pen.x, pen.y, pen.vary("turned", -0.05, 0.05)
    coat = pen.main(0.03)
    face = (x - turned).abs()
    pen.paint(ellipse(x.abs(), y, (0.21, 0.87), (0.19, 0.08)), "orange", "foot")
    for way, name in ((-1, "left flipper"), (1, "right flipper")):
        swing = pen.vary(name, 0.05, 0.6)
        shoulder = (way * (0.46 + 0.22 * swing), 0.12)
        pen.paint(ellipse(x, y, shoulder, (0.12, 0.40), -way * swing), coat, "flipper")
    trunk = ellipse(x, y, (0, 0.3), (0.47, 0.58))
    head = ellipse(x, y, (turned, -0.42), (0.34, 0.34))
    pen.paint(blend(trunk, head, 0.2), coat, "body")
    pen.paint(head + 0.02, coat, "head", ink=0)
    pen.paint(ellipse(x, y, (0, 0.38), (0.34, 0.45)), "white", "belly", ink=0)
    mask = union(ellipse(face, y, (0.13, -0.40), (0.15, 0.18)), ellipse(x, y, (turned, -0.28), (0.2, 0.14)))
    pen.paint(mask, "white", "face", ink=0)
    pen.paint(ellipse(face, y, (0.13, -0.43), (0.06, 0.08)), "black", "eye", ink=0)
    pen.paint(circle((x - turned + 0.015).abs(), y, (0.13, -0.46), 0.026), "white", "eye", ink=0)
    beak = polygon(face, y, [(-0.11, -0.34), (0.11, -0.34), (0, -0.19)], 0.02)
    pen.paint(beak, "orange", "beak", ink=0.025)


def finch(pen: Pen) -> None:
    """Paint a small round bird on a branch: a hood in the main colour, a stout beak, a barred brown wing."""
    x, y, nod, wag = pen.x, pen.y, pen.vary("nod", -0.04, 0.04), pen.vary("tail", -0.1, 0.1)
    hood, brown = pen.main(), pen.shade("brown", "wing")
    perch(pen, 0.82)
    tail = polygon(x, y, [(-0.36, 0.08), (-0.28, 0.36), (-0.88, 0.56 + wag), (-0.93, 0.36 + wag)], 0.02)
    pen.paint(tail, brown * 0.7, "tail")
    legs = union(*[capsule(x, y, (at, 0.45), (at + 0.03, 0.78), 0.028) for at in (-0.04, 0.16)])
    pen.paint(legs, (0.55, 0.38, 0.28), "leg", ink=0.02)
    bill = polygon(x, y, [(0.56, -0.46 + nod), (0.58, -0.18 + nod), (0.84, -0.27 + nod)], 0.025)
    pen.paint(bill, (0.80, 0.66, 0.42), "beak", ink=0.03)
    trunk, head = ellipse(x, y, (-0.06, 0.14), (0.46, 0.37), 0.3), circle(x, y, (0.32, -0.34 + nod), 0.31)
    body = blend(trunk, head, 0.2)
    pen.paint(body, pen.shade((0.90, 0.82, 0.70), "breast", 0.03), "body")
    pen.paint(meet(body, circle(x, y, (0.44, -0.26 + nod), 0.45)), hood, "hood", ink=0)
    wing = ellipse(x, y, (-0.24, 0.12), (0.37, 0.21), 0.45)
    pen.coat(wing, brown, creamy(brown, 0.45), "wing", "scales", (x, y, 0.24), ink=0.03)
    pen.paint(circle(x, y, (0.43, -0.42 + nod), 0.07), "black", "eye", ink=0)
    pen.paint(circle(x, y, (0.41, -0.445 + nod), 0.026), "white", "eye", ink=0)


NOUNS = (
    Noun(owl, "bird", "night", ("brown", "grey", "white")),
    Noun(flamingo, "bird", "sea", ("pink",)),
    Noun(penguin, "bird", "snow", ("black", "blue")),
    Noun(finch, "bird", "snow", ("red", "yellow", "blue")),
)
