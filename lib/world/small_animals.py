"""Fish and insects: drawings of the small animals. See `book/world/inside`."""

from torch import Tensor

from .noun import Noun
from .pen import Pen, blended
from .sdf import Point, blend, circle, ellipse, meet, path, polygon, union


def fish_body(pen: Pen) -> Tensor:
    """Measure the distance to a fish's body, nose to the right."""
    x, y = pen.x, pen.y
    depth = pen.vary("depth", 0.38, 0.43)
    return blend(ellipse(x, y, (0.11, 0.0), (0.60, depth)), ellipse(x, y, (-0.38, 0.0), (0.24, 0.15)), 0.18)


def fish_fins(pen: Pen, colour: Tensor) -> None:
    """Paint the fins above and below, to be partly hidden by the body."""
    x, y = pen.x, pen.y
    sweep = pen.vary("fin sweep", -0.15, 0.15)
    back = ellipse(x, y, (-0.04, -0.38), (0.36, 0.17), 0.25 + sweep)
    low = ellipse(x, y, (-0.10, 0.42), (0.24, 0.14), -0.75 - sweep)
    pen.paint(union(back, low), colour, "fin")


def fish_face(pen: Pen, fin: Tensor) -> None:
    """Paint the fin on the side, the eye and the mouth."""
    x, y = pen.x, pen.y
    flap = pen.vary("side fin", 0.1, 0.7)
    pen.paint(ellipse(x, y, (0.14, 0.14), (0.15, 0.09), flap), fin, "fin", ink=0.028)
    pen.eye((0.50, -0.10), 0.105)
    pen.paint(path(x, y, [(0.70, 0.10), (0.62, 0.15), (0.54, 0.13)], 0.018), "black", "head", ink=0)


def fish_tail(pen: Pen, colour: Tensor) -> None:
    """Paint a forked tail that sways."""
    sway = pen.vary("sway", -0.25, 0.25)
    bent = pen.y + sway * (pen.x + 0.4).clamp(max=0)
    pen.paint(ellipse(pen.x, bent.abs(), (-0.66, 0.24), (0.34, 0.16), -0.55), colour, "tail fin")


def clownfish(pen: Pen) -> None:
    """Paint a fish with three broad white bands edged in black; the rest is a goldfish."""
    x, y = pen.x, pen.y
    skin = pen.main()
    fin = skin * 0.93
    fish_tail(pen, fin)
    fish_fins(pen, fin)

    frame = (x - 0.21 + pen.vary("bands", -0.02, 0.02) + 0.8 * (x + 0.1) * y * y, y, 0.46)
    behind_the_eye = (x < 0.54).float()
    rim, _ = pen.marks("bands", *frame, 0.25)
    ground = blended(skin, "black", rim * behind_the_eye)
    pen.coat(fish_body(pen), ground, "white", "body", "bands", frame, duty=-0.25, where=behind_the_eye)
    fish_face(pen, fin)


def goldfish(pen: Pen) -> None:
    """Paint a fish with a coat of scales; the rest is a clownfish."""
    x, y = pen.x, pen.y
    skin = pen.main()
    fin = skin * 0.93
    fish_tail(pen, fin)
    fish_fins(pen, fin)

    behind_the_gills = (circle(x, y, (-0.55, 0.0), 0.86) < 0).float()
    pen.coat(fish_body(pen), skin, skin * 0.74, "body", "scales", (x, y, 0.25), where=behind_the_gills)
    fish_face(pen, fin)


def feeler(pen: Pen, x: Tensor, points: list[Point]) -> None:
    """Paint a thin antenna with a knob at its end, through the given points."""
    thread = union(path(x, pen.y, points, 0.028), circle(x, pen.y, points[-1], 0.055))
    pen.paint(thread, "black", "antenna", ink=0)


def ladybird(pen: Pen) -> None:
    """Paint a beetle from above: a round, shiny, halved back with black spots, a black head."""
    x, y = pen.x, pen.y
    half = x.abs()  # everything is drawn twice, mirrored
    step = pen.vary("step", -0.07, 0.07)
    for at in (-0.2, 0.16, 0.5):
        leg = [(0.4, at), (0.74, at - 0.05 + step), (0.86, at + 0.13 + step)]
        pen.paint(path(half, y, leg, 0.04, 0.03), "black", "insect leg", ink=0)
    reach = pen.vary("feelers", 0.26, 0.40)
    feeler(pen, half, [(0.10, -0.66), (reach * 0.7, -0.84), (reach, -0.90)])
    pen.paint(ellipse(x, y, (0.0, -0.52), (0.36, 0.27)), "black", "head")
    pen.paint(circle(half, y, (0.19, -0.59), 0.088), "white", "eye", ink=0)
    pen.paint(circle(half, y, (0.175, -0.60), 0.04), "black", "eye", ink=0)

    back = ellipse(x, y, (0.0, 0.17), (0.63, 0.63))
    pen.paint(back, pen.main(), "wing case")
    shine = ellipse(x, y, (-0.46, -0.02), (0.17, 0.06), -1.05)
    pen.paint(shine, "white", "wing case", ink=0, alpha=0.5)
    size = pen.vary("spot size", 0.9, 1.15)
    places = ((0.30, -0.14, 0.130), (0.40, 0.23, 0.145), (0.20, 0.54, 0.120))
    spots = [circle(half, y, (cx, cy), r * size) for cx, cy, r in places]
    pen.paint(meet(back, union(*spots, circle(x, y, (0.0, -0.44), 0.15))), "black", "spot", ink=0)
    pen.paint(meet(back, half - 0.022), "black", "wing case", ink=0)


def bee_wings(pen: Pen) -> None:
    """Paint two clear, veined wings raised above the back."""
    x, y = pen.x, pen.y
    beat = pen.vary("beat", -0.25, 0.2)
    for cx, lean, long in ((-0.26, -0.45, 0.36), (0.04, 0.22, 0.42)):
        angle, centre = beat + lean, (cx + lean * 0.1, -0.44)
        pen.paint(ellipse(x, y, centre, (0.20, long), angle), (0.82, 0.91, 0.98), "clear wing", ink=0.03)
        pen.paint(ellipse(x, y, centre, (0.022, long * 0.75), angle), (0.55, 0.66, 0.76), "clear wing", ink=0)


def bee(pen: Pen) -> None:
    """Paint a plump body in yellow and black stripes, with clear wings and a sting."""
    x, y = pen.x, pen.y
    yellow, nod = pen.main(), pen.vary("nod", -0.04, 0.04)
    pen.paint(polygon(x, y, [(-0.60, 0.02), (-0.60, 0.20), (-0.88, 0.13)], 0.01), "black", "body", ink=0.02)
    swing = pen.vary("legs", -0.05, 0.08)
    for at in (-0.34, -0.12, 0.10):
        leg = [(at, 0.34), (at + swing, 0.50), (at + swing + 0.09, 0.58)]
        pen.paint(path(x, y, leg, 0.03), "black", "insect leg", ink=0)
    bee_wings(pen)
    body = ellipse(x, y, (-0.14, 0.10), (0.53, 0.36))
    pen.coat(body, yellow, "black", "body", "stripes", (x + 0.3 * y * y, y, 0.43))

    for start, end in ((0.40, 0.46), (0.54, 0.72)):
        feeler(pen, x, [(start, -0.16 + nod), (start + 0.04, -0.36 + nod), (end, -0.48 + nod)])
    pen.paint(circle(x, y, (0.44, 0.05 + nod), 0.275), yellow * 0.97, "head")
    pen.eye((0.53, -0.01 + nod), 0.105)
    smile = [(0.43, 0.19 + nod), (0.52, 0.21 + nod), (0.60, 0.16 + nod)]
    pen.paint(path(x, y, smile, 0.018), "black", "head", ink=0)


NOUNS = (
    Noun(clownfish, "fish", "reef", ("orange", "black")),
    Noun(goldfish, "fish", "reef", ("orange", "yellow", "white")),
    Noun(ladybird, "insect", "forest", ("red", "orange", "yellow")),
    Noun(bee, "insect", "sky", ("yellow",)),
)
