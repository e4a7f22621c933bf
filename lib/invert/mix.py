"""Mixtures of two feature maps, by weight or by place, and what their pictures show of them.

See `fig-featinv-5` and `fig-featinv-6`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .control import Inverter
from .sample import reconstruct
from .steer import distance


@dataclass(frozen=True)
class Drawn:
    """Pictures of feature maps, and how near a network's features of them come to the maps."""

    pictures: Tensor  # (..., 3, s, s) in [0, 1]
    cosine: Tensor  # (...) mean over positions


def weighted(a: Tensor, b: Tensor, shares: Sequence[float]) -> Tensor:
    """Mix maps a and b (n, c, h, w): a times a share, b times the rest, for each share (shares, n, c, h, w)."""
    alike(a, b)
    share = torch.as_tensor(shares).to(a).view(-1, 1, 1, 1, 1)
    return share * a + (1 - share) * b


def composed(a: Tensor, b: Tensor, cells: Tensor) -> Tensor:
    """Put the cells (h, w) or (n, h, w) of maps a (n, c, h, w) into maps b."""
    alike(a, b)
    if cells.dtype != torch.bool or cells.shape[-2:] != a.shape[-2:] or cells.shape[:-2] not in ((), a.shape[:1]):
        raise ValueError(f"cells of maps {tuple(a.shape)} are true or false on a grid {tuple(a.shape[-2:])}, found "
                         f"{cells.dtype} {tuple(cells.shape)}")  # fmt: skip
    return torch.where(cells.unsqueeze(-3).to(a.device), a, b)


def alike(a: Tensor, b: Tensor) -> None:
    """Refuse maps that can't be mixed."""
    if a.shape != b.shape or a.ndim != 4:
        raise ValueError(f"two maps (n, c, h, w) of one shape can be mixed, found {tuple(a.shape)}, {tuple(b.shape)}")


def box(grid: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """Return the cells (h, w) of a rectangle: rows and columns from the first to before the second."""
    cells = torch.zeros(grid, dtype=torch.bool)
    cells[slice(*rows), slice(*columns)] = True
    if not cells.any():
        raise ValueError(f"rows {rows} and columns {columns} hold no cell of a grid {tuple(grid)}")
    return cells


def covered(masks: Tensor, grid: tuple[int, int], *, least: float = 0.5) -> Tensor:
    """Return the cells (n, h, w) that masks (n, s, s) cover at least so far."""
    return F.adaptive_avg_pool2d(masks[:, None].float(), grid)[:, 0] >= least


def draw(inverter: Inverter, model: nn.Module, maps: Tensor, *, seeds: int | Sequence[int] = 0, **options) -> Drawn:
    """Draw mixed maps (..., n, c, h, w), and compare a network's features of the pictures with them.

    With `seeds` one for all, or one for each of the n: the mixtures of one pair share their noise. Options are those
    of `reconstruct`.
    """
    if maps.ndim < 4:
        raise ValueError(f"mixed maps are (..., n, c, h, w), found {tuple(maps.shape)}")
    flat = maps.flatten(0, -4)
    if isinstance(seeds, Iterable):
        seeds = list(seeds) * (len(flat) // maps.shape[-4])
    pictures = reconstruct(inverter, flat, seeds=seeds, **options)
    cosine = F.cosine_similarity(inverter.features(model, pictures).to(flat), flat, dim=1).mean((1, 2))
    ahead = maps.shape[:-3]
    return Drawn(pictures.unflatten(0, ahead), cosine.unflatten(0, ahead).cpu())


def enlarged(cells: Tensor, size: int) -> Tensor:
    """Enlarge cells (..., h, w) to pixels (..., size, size), each cell a block of its own."""
    row, column = (torch.arange(size) * side // size for side in cells.shape[-2:])
    return cells[..., row[:, None], column]


def change_by_place(before: Tensor, after: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean change of colour of pictures (n, 3, s, s) beneath the cells (h, w) or (n, h, w), and elsewhere.

    Both are (n,).
    """
    if before.shape != after.shape or cells.shape[:-2] not in ((), before.shape[:1]) or cells.all() or not cells.any():
        raise ValueError(f"pictures of one shape change beneath some cells (h, w) or (n, h, w) and not others, found "
                         f"{tuple(before.shape)}, {tuple(after.shape)} and {tuple(cells.shape)} cells")  # fmt: skip
    change = distance(before, after)
    inside = enlarged(cells, change.shape[-1]).to(change).expand_as(change)
    within = (change * inside).sum((1, 2)) / inside.sum((1, 2))
    return within, (change * (1 - inside)).sum((1, 2)) / (1 - inside).sum((1, 2))


def edges(cells: Tensor, size: int) -> Tensor:
    """Return the outline of cells (h, w) on a picture as lines (m, 2 ends, x and y), for matplotlib's LineCollection.

    Ends are corners of pixels, with the first pixel from -0.5 to 0.5 as matplotlib draws it.
    """
    mask = F.pad(enlarged(cells, size).float(), (1, 1, 1, 1))
    y, x = (mask[1:] != mask[:-1]).nonzero().T  # an edge above pixel y
    level = torch.stack([torch.stack([x - 1, y], 1), torch.stack([x, y], 1)], 1)
    y, x = (mask[:, 1:] != mask[:, :-1]).nonzero().T
    upright = torch.stack([torch.stack([x, y - 1], 1), torch.stack([x, y], 1)], 1)
    return torch.cat([level, upright]).float() - 0.5


def outlined(images: Tensor, cells: Tensor, *, ink: Sequence[float] = (1.0, 0.9, 0.0)) -> Tensor:
    """Draw the outline of cells (h, w) or (n, h, w) into images (..., n, 3, s, s), one pixel wide, inside."""
    mask = enlarged(cells, images.shape[-1]).float()
    wide = F.pad(mask if mask.ndim == 3 else mask[None], (1, 1, 1, 1))[:, None]
    line = (mask == 1) & (-F.max_pool2d(-wide, 3, stride=1) < 1)[:, 0]
    return torch.where(line[:, None].to(images.device), torch.tensor(ink).to(images).view(3, 1, 1), images)
