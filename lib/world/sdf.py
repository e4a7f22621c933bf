"""Signed distances to simple shapes: negative inside, in the units of the coordinates, y pointing down.

Coordinates are (n, h, w) tensors; every other argument is a number or an (n, 1, 1) tensor. See `book/world/inside`.
"""

import math
from functools import reduce

import torch
from torch import Tensor

Value = float | Tensor
Point = tuple[Value, Value]


def length(x: Tensor, y: Tensor) -> Tensor:
    """Return the length of a vector, with a defined gradient at zero."""
    return torch.sqrt(x * x + y * y + 1e-12)


def turn(x: Tensor, y: Tensor, centre: Point, angle: Value) -> tuple[Tensor, Tensor]:
    """Express points in a frame at `centre` that is turned by `angle`."""
    cx, cy = centre
    if isinstance(angle, float | int):
        cos, sin = math.cos(angle), math.sin(angle)
    else:
        cos, sin = torch.cos(angle), torch.sin(angle)
    return (x - cx) * cos + (y - cy) * sin, (y - cy) * cos - (x - cx) * sin


def circle(x: Tensor, y: Tensor, centre: Point, radius: Value) -> Tensor:
    """Measure the distance to a circle."""
    return length(x - centre[0], y - centre[1]) - radius


def ellipse(x: Tensor, y: Tensor, centre: Point, radii: Point, angle: Value = 0.0) -> Tensor:
    """Measure the distance to an ellipse, to first order (exact on its rim)."""
    x, y = turn(x, y, centre, angle) if torch.is_tensor(angle) or angle else (x - centre[0], y - centre[1])
    near, slope = length(x / radii[0], y / radii[1]), length(x / radii[0] ** 2, y / radii[1] ** 2)
    return near * (near - 1) / (slope + 1e-6)


def capsule(x: Tensor, y: Tensor, start: Point, end: Point, radius: Value, last: Value | None = None) -> Tensor:
    """Measure the distance to a thick line whose radius goes from `radius` to `last`."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    t = (((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy)).clamp(0, 1)
    thick = radius if last is None else radius + (last - radius) * t
    return length(x - start[0] - t * dx, y - start[1] - t * dy) - thick


def box(x: Tensor, y: Tensor, centre: Point, half: Point, corner: float = 0.0, angle: Value = 0.0) -> Tensor:
    """Measure the distance to a rectangle of half-sides `half` with rounded corners."""
    x, y = turn(x, y, centre, angle) if torch.is_tensor(angle) or angle else (x - centre[0], y - centre[1])
    qx, qy = x.abs() - half[0] + corner, y.abs() - half[1] + corner
    return length(qx.clamp(min=0), qy.clamp(min=0)) + torch.maximum(qx, qy).clamp(max=0) - corner


def polygon(x: Tensor, y: Tensor, points: list[Point], corner: float = 0.0) -> Tensor:
    """Measure the distance to a convex polygon (either winding), grown by `corner`."""
    edges = list(zip(points, points[1:] + points[:1], strict=True))
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in edges)
    side = torch.where(area > 0, 1.0, -1.0) if torch.is_tensor(area) else math.copysign(1.0, area)
    planes = []
    for (ax, ay), (bx, by) in edges:
        ex, ey = bx - ax, by - ay
        planes.append(((x - ax) * ey - (y - ay) * ex) * (side / (ex * ex + ey * ey) ** 0.5))
    return meet(*planes) - corner


def path(x: Tensor, y: Tensor, points: list[Point], radius: Value, last: Value | None = None) -> Tensor:
    """Measure the distance to a chain of thick lines whose radius goes from `radius` to `last`."""
    last, steps = radius if last is None else last, len(points) - 1
    radii = [radius + (last - radius) * k / steps for k in range(steps + 1)]
    return union(*[capsule(x, y, points[k], points[k + 1], radii[k], radii[k + 1]) for k in range(steps)])


def union(*distances: Tensor) -> Tensor:
    """Join shapes."""
    return reduce(torch.minimum, distances)


def meet(*distances: Tensor) -> Tensor:
    """Keep what all shapes share."""
    return reduce(torch.maximum, distances)


def blend(a: Tensor, b: Tensor, width: float = 0.1) -> Tensor:
    """Join two shapes with a soft seam."""
    h = (width - (a - b).abs()).clamp(min=0) / width
    return torch.minimum(a, b) - h * h * (width / 4)
