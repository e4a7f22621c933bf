"""How well an iERF tells what a latent needs (section V-C): patches come back in its order, and the code with them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .latents import Fired, before_patches, grid, reading, tokens
from .sae import Sae


@torch.no_grad()
def insertion(
    model: nn.Module, sae: Sae, x: Tensor, fired: Fired, maps: Tensor, *, steps: int = 32, batch: int = 512
) -> Tensor:
    """Put patches onto a blank image, the highest of maps (n, down, across) first: code / whole code, (n, steps + 1).

    The latent is read at the token where it fired on the intact image. Blank is zero, the middle of normalised pixels.
    """
    patches = grid(model, x)
    if maps.shape != (len(x), *patches):
        raise ValueError(f"maps of {len(x)} images are {(len(x), *patches)}, found {tuple(maps.shape)}")
    if not maps.isfinite().all():
        raise ValueError("maps to insert by hold NaN or infinity")
    shown = canvases(maps, steps)  # (n, steps + 1, down, across)
    rows = torch.arange(len(x), device=x.device).repeat_interleave(steps + 1)
    found = []
    for part, mask in zip(rows.split(batch), shown.flatten(0, 1).split(batch), strict=True):
        pixels = x[part] * F.interpolate(mask[:, None].to(x), x.shape[2:], mode="nearest")
        found.append(reading(model, sae, pixels, fired[part]))
    curves = torch.cat(found).unflatten(0, (len(x), steps + 1))
    return curves / fired.value[:, None]


def canvases(maps: Tensor, steps: int) -> Tensor:
    """Return which patches are shown at each step, (n, steps + 1, down, across) bool: none first, all last."""
    ranks = maps.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1)  # (n, patches)
    counts = torch.linspace(0, ranks.shape[1], steps + 1, device=maps.device).round()
    return (ranks[:, None] < counts[:, None]).unflatten(2, maps.shape[1:])


def area(curves: Tensor) -> Tensor:
    """Return the area under curves (n, steps + 1) over an axis from 0 to 1, (n,)."""
    return (curves[:, 1:] + curves[:, :-1]).mean(1) / 2


def places(patches: tuple[int, int], like: Tensor) -> Tensor:
    """Return the centres of patches as shares of the image, (2, down, across): down, then across."""
    down, across = ((torch.arange(size).to(like) + 0.5) / size for size in patches)
    return torch.stack(torch.meshgrid(down, across, indexing="ij"))


def centre(maps: Tensor) -> Tensor:
    """Return the centre of what is positive in maps (n, down, across), as shares of the image, (n, 2)."""
    weight = maps.clamp_min(0)
    total = weight.sum((1, 2))
    empty = (total <= 0).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"map {empty[0]} has nothing above zero, so no centre ({len(empty)} of {len(maps)} maps)")
    return torch.einsum("nhw,khw->nk", weight, places(maps.shape[1:], maps)) / total[:, None]


def distance(model: nn.Module, x: Tensor, fired: Fired, maps: Tensor, *, count: int) -> Tensor:
    """Return how far the firing token lies from its iERF's centre, in shares of the image's side, (n,).

    `count` is the number of tokens; a class token has no place, so its distance is refused.
    """
    patches = grid(model, x)
    at = fired.token - before_patches(count, patches)
    if (at < 0).any():
        raise ValueError("the class token has no place in the image, so no distance; give latents fired on patches")
    spots = places(patches, maps).flatten(1).T[at]  # (n, 2)
    return (centre(maps) - spots).norm(dim=1)


def scatter(maps: Tensor) -> Tensor:
    """Return how widely what is positive in maps (n, down, across) is spread about its centre, in shares, (n,)."""
    weight = maps.clamp_min(0)
    away = places(maps.shape[1:], maps) - centre(maps)[:, :, None, None]  # (n, 2, down, across)
    return ((weight * away.square().sum(1)).sum((1, 2)) / weight.sum((1, 2))).sqrt()


def token_count(model: nn.Module, x: Tensor, layer: str) -> int:
    """Return how many tokens a layer has."""
    with torch.no_grad():
        return tokens(model, x[:1], layer).shape[1]
