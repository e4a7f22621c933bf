"""FeatInv-Viz: weaken one concept in a feature map, and see where the picture changes.

The same noise before and after, so that what differs is the concept's. See `alg-featinv-1` and `fig-featinv-4`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..metrics.maps import scaled
from ..metrics.overlap import beyond_chance, higher_inside
from .control import Inverter
from .sample import reconstruct

KEPT = 0.25  # of the concept
BELOW = 0.33  # of the largest change: unaffected
AREA = 0.005  # of the picture: what a mask needs to count


@dataclass(frozen=True)
class Steered:
    """What happens to pictures of n feature maps when each of k concepts is weakened, from several seeds."""

    change: Tensor  # (k, n, s, s) distance of colours, the median over seeds
    before: Tensor  # (seeds, n, 3, s, s) in [0, 1]
    after: Tensor  # (k, seeds, n, 3, s, s)


def steer(
    inverter: Inverter, maps: Tensor, parts: Tensor, *, kept: float = KEPT, seeds: Sequence[int] = range(5), **options
) -> Steered:
    """Draw maps (n, c, h, w) whole, and with only `kept` of each of their parts (k, n, c, h, w); compare.

    What is whole is drawn once for all parts, and a map that no part is in isn't drawn again. Options are those of
    `reconstruct`: steps, guidance, strength, progress...
    """
    return Steered(*drawn(inverter, maps, parts, kept=kept, seeds=seeds, **options))


def drawn(
    inverter: Inverter, maps: Tensor, parts: Tensor, *, kept: float = KEPT, seeds: Sequence[int] = range(5), **options
) -> tuple[Tensor, Tensor, Tensor]:
    """Do what `steer` does and return the fields of `Steered` as a tuple, for `sg.kept`."""
    if parts.ndim != 5 or parts.shape[1:] != maps.shape:
        raise ValueError(f"parts of maps {tuple(maps.shape)} are (k, *{tuple(maps.shape)}), found {tuple(parts.shape)}")
    seeds, (k, n) = list(seeds) if isinstance(seeds, Iterable) else [seeds], parts.shape[:2]
    if len(seeds) % 2 == 0:
        raise ValueError(f"the median over seeds needs an odd number of them, found {len(seeds)}")
    weaker = weakened(maps, parts, kept)
    differs = (weaker != maps).flatten(2).any(2)  # (k, n)
    every = torch.cat([maps, weaker[differs]])  # (m, c, h, w)
    pictures = reconstruct(
        inverter, every.repeat(len(seeds), 1, 1, 1), seeds=[s for s in seeds for _ in every], **options
    )
    pictures = pictures.unflatten(0, (len(seeds), -1))
    before = pictures[:, :n]
    after = before.expand(k, -1, -1, -1, -1, -1).clone()
    after.transpose(1, 2)[differs.to(after.device)] = pictures[:, n:].transpose(0, 1)
    return distance(before, after).median(1).values, before, after


def weakened(maps: Tensor, parts: Tensor, kept: float = KEPT) -> Tensor:
    """Leave only `kept` of each part (k, n, c, h, w) in maps (n, c, h, w): (k, n, c, h, w)."""
    return maps - (1 - kept) * parts


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the distance of colours of pictures (..., 3, s, s), pixel by pixel (..., s, s)."""
    return (a - b).square().sum(-3).sqrt()


def random_parts(maps: Tensor, parts: Tensor, sizes: Sequence[int], *, seed: int = 0) -> Tensor:
    """Return parts (k, n, c, h, w) in random subspaces, with the sizes of concepts and their energy in each image.

    Whatever is weakened makes features smaller, so a concept's change counts only beside this one. The directions are
    random sums of the maps' own vectors, which lie where features do.
    """
    if len(sizes) < len(parts):
        raise ValueError(f"each of {len(parts)} parts has a size, found {len(sizes)} sizes")
    vectors, draws = maps.transpose(0, 1).flatten(1).T, torch.Generator().manual_seed(seed)
    found = []
    for part, size in zip(parts, sizes, strict=False):
        amounts = torch.randn(size, len(vectors), generator=draws).to(vectors)
        basis = torch.linalg.qr((amounts @ vectors).T)[0]  # (c, size)
        own = torch.einsum("cd,ed,nehw->nchw", basis, basis, maps)
        energy = [value.flatten(1).norm(dim=1).clamp_min(1e-12) for value in (part, own)]
        found.append(own * (energy[0] / energy[1]).view(-1, 1, 1, 1))
    return torch.stack(found)


def affected(change: Tensor, below: float = BELOW) -> Tensor:
    """Tell where a change (..., s, s) is at least so large, of the largest one of its picture (..., s, s)."""
    return (scaled(change) >= below) & (change > 0)


def veiled(images: Tensor, change: Tensor, *, below: float = BELOW) -> Tensor:
    """Pale images (n, 3, s, s) where a change (..., n, s, s) leaves them unaffected: (..., n, 3, s, s)."""
    shown = affected(change, below)[..., None, :, :].to(images.device)
    return torch.where(shown, images, 0.8 + 0.2 * images.mean(1, keepdim=True))


def true_masks(scenes, *, least: int = 8) -> dict[str, Tensor]:
    """Return masks (n, s, s) of surroundings, object and its parts, those that `least` scenes or more show."""
    from ..world import PARTS

    main = scenes.instance == 1
    masks = {"surroundings": scenes.instance == 0, "object": main, "another object": scenes.instance == 2}
    masks |= {part: (scenes.part == i) & main for i, part in enumerate(PARTS, 1)}
    return {name: mask for name, mask in masks.items() if int(visible(mask).sum()) >= least}


def visible(masks: Tensor) -> Tensor:
    """Tell in which images a mask (n, s, s) covers enough to be seen and leaves something out, (n,)."""
    area = masks.float().mean((1, 2))
    return (area >= AREA) & (area < 1)


def named(maps: Tensor, masks: dict[str, Tensor]) -> list[tuple[str, float]]:
    """Name for each concept's maps (k, n, s, s) the mask that they lie on best, and how well.

    How well is the mean of the overlap above chance and of the AUC above chance (2 AUC - 1): 1 is perfect, 0 luck. The
    AUC alone would name a small part in the middle of what a map covers, the overlap alone never a small part. What is
    scored afterwards should be other images, so that a name isn't its own proof.
    """
    if not masks:
        raise ValueError("there is no mask to name concepts by: `true_masks` found none in enough scenes")
    scores = {}
    for name, mask in masks.items():
        rows = visible(mask)
        both = beyond_chance(maps[:, rows], mask[rows]) + 2 * higher_inside(maps[:, rows], mask[rows]) - 1
        scores[name] = both.mean(1) / 2
    best = torch.stack(list(scores.values())).max(0)
    return [(list(scores)[i], value) for i, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)]
