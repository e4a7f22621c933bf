"""Dictionaries of a layer: unit vectors whose sparse sums make up its feature vectors.

Centres of clusters (bisecting k-means, plain k-means), learned atoms, or atoms that come from elsewhere, a sparse
autoencoder's decoder, say. All are coded by the same lasso, so that they can be compared.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..names import unknown
from . import lasso

OVERCOMPLETE = 8  # atoms for each channel, as in the paper
ROWS = 4096  # vectors that are compared with all atoms at once
BATCH = 256  # vectors between two changes of learned atoms
PRICE = 0.1  # of their codes, as a share of a typical vector's length


@dataclass(frozen=True)
class Dictionary:
    """Concepts of one layer."""

    atoms: Tensor  # (K, c) of length one
    centres: Tensor  # (K, c) as they were found: what exemplars are nearest to
    strength: float  # of the lasso that gives codes; 0 where it isn't set yet
    method: str

    def codes(self, activations: Tensor) -> Tensor:
        """Return sparse codes (n, positions, K) of activations (n, c, positions)."""
        if self.strength <= 0:
            raise ValueError("this dictionary has no strength yet; fitted(...) sets it to a number of nonzeros")
        return lasso.codes(activations.transpose(1, 2), self.atoms, self.strength)


def dictionary(
    vectors: Tensor, atoms: int | None = None, *, method: str = "bisecting k-means", nonzeros: float | None = None,
    seed: int = 0,
) -> Dictionary:  # fmt: skip
    """Find atoms, eight for each channel unless told, of feature vectors (m, c).

    With `nonzeros`, the lasso's strength is set so that codes of these vectors have so many on average.
    """
    if method not in EXTRACTORS:
        raise ValueError(unknown("method", method, EXTRACTORS))
    count = OVERCOMPLETE * vectors.shape[1] if atoms is None else atoms
    if not vectors.isfinite().all():
        raise ValueError("concepts need finite feature vectors; some are infinite or not a number")
    if not 1 <= count <= len(vectors):
        raise ValueError(f"{len(vectors)} feature vectors can't give {count} concepts: ask for 1 to {len(vectors)}")
    points = vectors.detach().float().cpu().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some clusters fewer, which `given` says in one sentence
        found = torch.from_numpy(np.asarray(EXTRACTORS[method](points, count, seed), dtype=np.float32))
    made = given(found.to(vectors), method=method)
    return made if nonzeros is None else fitted(made, vectors, nonzeros)


def given(atoms: Tensor, *, method: str = "given") -> Dictionary:
    """Make a dictionary of directions (K, c) of any length, none of them zero and no two the same."""
    length = atoms.norm(dim=1, keepdim=True)
    different = len(torch.unique(atoms, dim=0))
    if not length.isfinite().all() or (length == 0).any() or different < len(atoms):
        empty = int((length == 0).sum())
        raise ValueError(f"a dictionary needs {len(atoms)} different directions; {method} gave {different}, "
                         f"{empty} of them zero")  # fmt: skip
    return Dictionary(atoms / length, atoms, 0.0, method)


def fitted(dictionary: Dictionary, vectors: Tensor, nonzeros: float) -> Dictionary:
    """Set the strength so that codes of vectors (m, c) have so many nonzeros on average."""
    return replace(dictionary, strength=lasso.strength_for(vectors, dictionary.atoms, nonzeros))


def bisecting(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Split the cluster that spreads most until there are enough, and return the centres."""
    from sklearn.cluster import BisectingKMeans

    method = BisectingKMeans(count, random_state=seed, n_init=1, bisecting_strategy="biggest_inertia")
    return method.fit(points).cluster_centers_


def k_means(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Move all centres at once."""
    from sklearn.cluster import KMeans

    return KMeans(count, random_state=seed, n_init=1).fit(points).cluster_centers_


def learned(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Learn atoms together with sparse codes of the vectors, a batch at a time (Mairal et al., 2009)."""
    x = torch.from_numpy(points).double()
    draw, price = torch.Generator().manual_seed(seed), PRICE * float(x.norm(dim=1).mean())
    x = x[torch.randperm(len(x), generator=draw)]
    x = x[x.norm(dim=1) > 0]
    atoms = torch.nn.functional.normalize(torch.unique(x[:count], dim=0))
    among, towards = atoms.new_zeros(len(atoms), len(atoms)), torch.zeros_like(atoms)
    for part in x.split(BATCH):
        codes = lasso.codes(part, atoms, price)
        among += codes.T @ codes
        towards += codes.T @ part
        for k in (among.diagonal() > 1e-6 * price**2).nonzero()[:, 0].tolist():  # one at a time, the others held
            moved = atoms[k] + (towards[k] - among[k] @ atoms) / among[k, k]
            atoms[k] = moved / moved.norm().clamp(min=1e-12)
    return atoms.numpy()


EXTRACTORS: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "bisecting k-means": bisecting, "k-means": k_means, "dictionary learning": learned,
}  # fmt: skip


def relative_error(vectors: Tensor, codes: Tensor, dictionary: Dictionary) -> Tensor:
    """Return |x - u V| / |x| of vectors (..., c) and their codes (..., K); zero vectors are no part of it: (m,)."""
    length = vectors.norm(dim=-1)
    error = (vectors - codes @ dictionary.atoms).norm(dim=-1)
    return error[length > 0] / length[length > 0]


def sparsity(codes: Tensor) -> Tensor:
    """Return the share of coefficients that are zero in codes (..., K), the paper's l0 ratio: (...,)."""
    return (codes == 0).float().mean(-1)


def nearest(vectors: Tensor, dictionary: Dictionary, count: int = 10) -> Tensor:
    """Name the vectors (m, c) nearest to each concept's centre, the nearest first: (K, count)."""
    centres = dictionary.centres.to(vectors)
    return torch.cat([torch.cdist(some, vectors).topk(min(count, len(vectors)), largest=False).indices
                      for some in centres.split(ROWS)])  # fmt: skip
