"""MCD: concepts as subspaces of a layer's features, and what is in none of them as the last one.

Feature vectors of a class are sorted into groups, and the main directions of a group span a concept. Every feature
vector is the sum of its parts in the concepts and one part outside, in exactly one way. See `fig-featinv-4`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .groups import grouping

LARGE = 0.05  # variance along a direction that counts, as a share of the largest (Fukunaga and Olsen)
APART = 0.1  # sine of the angle below which a direction lies in another concept already


@dataclass(frozen=True)
class Subspaces:
    """Concepts of a layer of c channels, the largest group first."""

    bases: tuple[Tensor, ...]  # of each concept, (d, c) orthonormal
    label: Tensor  # (m,) the group of each vector, -1 for outliers
    projectors: Tensor  # (concepts + 1, c, c): a vector's part in each concept and outside; they sum to one

    @property
    def sizes(self) -> list[int]:
        """Return how many directions each concept has, and how many are left outside."""
        own = [len(basis) for basis in self.bases]
        return [*own, self.projectors.shape[1] - sum(own)]


def mcd(
    maps: Tensor, k: int = 3, *, method: str = "lasso", mean: bool = True, most: int = 1500, seed: int = 0
) -> Subspaces:
    """Find k concepts in feature maps (n, c, h, w) of a class, from up to `most` of their vectors.

    `method` is lasso, MCD's sparse subspace clustering, or k-means, which is faster. A concept is spanned by the
    directions in which its group varies and the one in which it lies; MCD's code leaves the latter out (mean=False).
    """
    vectors = units(maps, most, seed)
    found = spanned(vectors, grouping(vectors, method=method, most=k, seed=seed)(k), mean=mean)
    if 0 in found.sizes[:-1]:
        raise ValueError(f"{k} concepts are too many: number {found.sizes.index(0) + 1} lies within the larger ones")
    return found


def enough(
    maps: Tensor, weight: Tensor, *, goal: float = 0.5, most: int = 19, mean: bool = True, seed: int = 0
) -> Subspaces:
    """Find the smallest number of concepts, `most` at most, that hold a share of a class's weight vector (c,)."""
    vectors = units(maps, 1500, seed)
    groups = grouping(vectors, most=most, seed=seed)
    for k in range(1, most + 1):
        found = spanned(vectors, groups(k), mean=mean)
        if completeness(found, weight) >= goal:
            return found
    raise ValueError(f"{most} concepts hold {completeness(found, weight):.2f} of the class's weights, not {goal}; "
                     "ask for less, or for more concepts")  # fmt: skip


def units(maps: Tensor, most: int = 1500, seed: int = 0) -> Tensor:
    """Draw up to `most` vectors of maps (n, c, h, w) and scale them to length one, in double precision (m, c)."""
    if maps.ndim != 4 or not maps.isfinite().all():
        raise ValueError(f"concepts are found in finite feature maps (n, c, h, w), found {tuple(maps.shape)}")
    flat = maps.detach().permute(0, 2, 3, 1).flatten(0, 2).double().cpu()
    flat = flat[flat.norm(dim=1) > 0]
    order = torch.randperm(len(flat), generator=torch.Generator().manual_seed(seed))
    return F.normalize(flat[order[:most]], dim=1)


def spanned(vectors: Tensor, label: Tensor, *, mean: bool = True) -> Subspaces:
    """Turn groups of vectors (m, c) into subspaces; labels (m,) are 0 to k - 1, and -1 for outliers."""
    found: list[Tensor] = []
    for group in range(int(label.max()) + 1):
        found.append(apart(main_directions(vectors[label == group], mean=mean), found))
    bases = tuple(basis.float() for basis in found)
    return Subspaces(bases, label, projectors(found))


def main_directions(vectors: Tensor, *, mean: bool = True) -> Tensor:
    """Return the orthonormal directions (d, c) in which vectors (m, c) vary, by the rule of Fukunaga and Olsen."""
    centre = vectors.mean(0, keepdim=True)
    _, spread, directions = torch.linalg.svd(vectors - centre, full_matrices=False)
    kept = directions[spread.square() > LARGE * spread[0].square()]
    if mean:  # where it lies, unless it varies in that direction already
        kept = torch.cat([kept, apart(F.normalize(centre, dim=1), [kept])])
    return torch.linalg.qr(kept.T)[0].T


def apart(basis: Tensor, others: list[Tensor]) -> Tensor:
    """Leave out the directions of a basis (d, c) that lie in the span of others, so that a split is unique."""
    if not others:
        return basis
    rest = basis - basis @ (span := orthonormal(others)).T @ span
    left, sine, _ = torch.linalg.svd(rest, full_matrices=False)
    return left[:, sine > APART].T @ basis


def orthonormal(bases: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    """Return one orthonormal basis (d, c) of all that several span."""
    return torch.linalg.qr(torch.cat(list(bases)).T)[0].T


def projectors(bases: list[Tensor]) -> Tensor:
    """Return the matrices (concepts + 1, c, c) that split a vector into its parts; the last is what they leave."""
    stacked = torch.cat(bases)
    amounts = torch.linalg.pinv(stacked.T).split([len(basis) for basis in bases])
    own = torch.stack([basis.T @ amount for basis, amount in zip(bases, amounts, strict=True)])
    rest = torch.eye(stacked.shape[1]).to(own) - own.sum(0)
    return torch.cat([own, rest[None]]).float()


def split(maps: Tensor, found: Subspaces) -> Tensor:
    """Split maps (n, c, h, w) into parts (concepts + 1, n, c, h, w) that sum to them; the last is in no concept."""
    if maps.ndim != 4 or maps.shape[1] != found.projectors.shape[1]:
        raise ValueError(f"these concepts are of {found.projectors.shape[1]} channels, found maps {tuple(maps.shape)}")
    own = torch.einsum("kij,njhw->knihw", found.projectors[:-1].to(maps), maps)
    return torch.cat([own, (maps - own.sum(0))[None]])


def completeness(found: Subspaces, weight: Tensor) -> float:
    """Return which share of a class's weight vector (c,) lies in the concepts, 0 to 1 of its length."""
    weight = weight.detach().cpu().double()
    inside = orthonormal([basis.double() for basis in found.bases]) @ weight
    return float(inside.norm() / weight.norm())


def importance(found: Subspaces, weight: Tensor) -> Tensor:
    """Return the length of a class's weight vector (c,) in each concept and outside, (concepts + 1,), of a whole of 1.

    Concepts needn't be at right angles to each other, so these don't sum to one, nor do their squares.
    """
    unit = F.normalize(weight.detach().cpu().float(), dim=0)
    return (found.projectors @ unit).norm(dim=1)


def relevance(parts: Tensor, weight: Tensor) -> Tensor:
    """Return what each part (k, n, c, h, w) adds to a class's output at each position, (k, n, h, w)."""
    return torch.einsum("knchw,c->knhw", parts, weight.to(parts))


def activation(parts: Tensor) -> Tensor:
    """Return how much of each part (k, n, c, h, w) there is, of the longest vector of its image: (k, n, h, w)."""
    longest = parts.sum(0).norm(dim=1).amax((1, 2))
    return parts.norm(dim=2) / longest.clamp_min(1e-12)[:, None, None]


def agreement(a: Tensor, b: Tensor) -> float:
    """Return how alike labels (m,) and (m,) are, 1 if equal and 0 by chance, outliers aside (adjusted Rand index)."""
    from sklearn.metrics import adjusted_rand_score

    both = (a >= 0) & (b >= 0)
    return float(adjusted_rand_score(a[both].numpy(), b[both].numpy()))
