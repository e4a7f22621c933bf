"""Linear explanations of a layer against scikit-learn's elastic net and a greedy search by least squares, unit by unit.

Both run in this process, on one thread and the same data, up to equal selections.
"""

import time

import numpy as np
import torch

from sightglass.explain.elastic import elastic_net, residual
from sightglass.explain.greedy import ranking, search
from sightglass.explain.matrix import Matrix
from sightglass.explain.moments import moments
from sightglass.explain.solve import RIDGE, explain
from sightglass.explain.splits import Splits, split

L1, WIDTH, LENGTH, GAIN = 0.05, 10, 10, 0.02


def scenes(n: int, concepts: int, units: int, seed: int = 0) -> tuple[Matrix, torch.Tensor]:
    """Draw concepts of sixty kinds of scene, with parents, as a calibrated network sees them, and units made of some.

    A unit adds one to eight concepts, forty weak ones that no short explanation can hold, and noise.
    """
    draw = torch.Generator().manual_seed(seed)
    kind, leaves = torch.randint(60, (n,), generator=draw), int(0.8 * concepts)
    often = (torch.rand(60, leaves, generator=draw) < 0.12) * torch.rand(60, leaves, generator=draw) / 2 + 0.005
    leaf = (torch.rand(n, leaves, generator=draw) < often[kind]).float()
    parent = torch.randint(concepts - leaves, (leaves,), generator=draw)
    above = torch.zeros(n, concepts - leaves).index_add_(1, parent, leaf).clamp(max=1)
    truth = torch.cat([leaf, above], 1)
    cos = 0.06 + 0.1 * truth + 0.02 * torch.randn(n, concepts, generator=draw)
    cos += 0.01 * torch.randn(concepts, generator=draw)
    weight = torch.zeros(concepts, units)
    for k in range(units):
        order = torch.randperm(concepts, generator=draw)
        strong = int(torch.randint(1, 9, (1,), generator=draw))
        weight[order[:strong], k] = torch.rand(strong, generator=draw) * 2.5 + 0.5
        weight[order[strong : strong + 40], k] = torch.rand(40, generator=draw) * 0.4 - 0.1
    noise = torch.randn(n, units, generator=draw) + 0.4 * torch.randn(60, units, generator=draw)[kind]
    matrix = Matrix(tuple(f"concept {j}" for j in range(concepts)), (60 * (cos - 0.12)).sigmoid())
    return matrix, (truth @ weight + noise).relu() / 4


def ranked(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Fit scikit-learn's elastic net; return its coefficients and the concepts in their order."""
    from sklearn.linear_model import ElasticNet

    w = ElasticNet(alpha=L1 / 0.99, l1_ratio=0.99, tol=1e-8, max_iter=10_000).fit(x, y).coef_
    slope = x.T @ (y - x @ w)
    return w, sorted(range(len(w)), key=lambda j: (np.sign(w[j]), w[j], slope[j]), reverse=True)


def searched(p: np.ndarray, y: np.ndarray, splits: Splits, order: list[int]) -> tuple[list[int], float]:
    """Search as the paper's algorithm says, with a least-squares fit for every candidate."""
    t, v = splits.train.numpy(), splits.val.numpy()
    p, y, p_val, y_val = p[t], y[t], p[v], y[v]
    chosen, out, best = [], set(), 0.0
    while len(chosen) < LENGTH:
        top, winner = best, None
        for j in [j for j in order if j not in chosen and j not in out][:WIDTH]:
            columns = [*chosen, j]
            weight = np.linalg.lstsq(np.column_stack([p[:, columns], np.ones(len(p))]), y, rcond=None)[0]
            rho = np.corrcoef(p_val[:, columns] @ weight[:-1], y_val)[0, 1]
            if chosen and rho - best < GAIN:
                out.add(j)
            elif rho > top:
                top, winner = rho, j
        if winner is None:
            break
        chosen, best = [*chosen, winner], top
    return chosen, best


def timed(matrix: Matrix, q: torch.Tensor, splits: Splits) -> tuple[float, torch.Tensor]:
    """Return the middle one of three times per unit, and the scores."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        found = explain(matrix, q, splits, l1=L1, l2=RIDGE, width=WIDTH, length=LENGTH, gain=GAIN)
        times.append((time.perf_counter() - started) / q.shape[1])
    return sorted(times)[1], found.score


def unit_by_unit(matrix: Matrix, q: torch.Tensor, splits: Splits, few: int) -> tuple[float, list]:
    """Return the time per unit of the usual way, and each unit's coefficients, selection and score."""
    p, y = matrix.values.double().numpy(), q.double().numpy()
    x, z = ((v - v[splits.train].mean(0)) / v[splits.train].std(0) for v in (p, y))
    x, z, found = np.asfortranarray(x[splits.train]), z[splits.train], []
    started = time.perf_counter()
    for k in range(few):
        w, order = ranked(x, z[:, k])
        found.append((w, *searched(p, y[:, k], splits, order)))
    return (time.perf_counter() - started) / few, found


def main(n: int = 10_000, concepts: int = 1000, units: int = 512, few: int = 16) -> None:
    """Print times per unit, their ratio, and how far coefficients, selections and correlations are apart."""
    torch.set_num_threads(1)
    matrix, q = scenes(n, concepts, units)
    splits = split(n)
    explain(Matrix(matrix.names[:50], matrix.values[:, :50]), q[:, :8], splits)  # what is loaded once isn't counted
    fast, score = timed(matrix, q, splits)
    slow, expected = unit_by_unit(matrix, q, splits, few)
    train, val, _ = moments(matrix.values, q, splits)
    W = elastic_net(train.G, train.C, L1, RIDGE)
    order = ranking(W, residual(train.G, train.C, W), WIDTH * LENGTH)
    mine = search(train, val, order, torch.arange(units), width=WIDTH, length=LENGTH, gain=GAIN).concept
    same = sum(chosen == [j for j in mine[k].tolist() if j >= 0] for k, (_, chosen, _) in enumerate(expected))
    gap = max(abs(w - W[:, k].numpy()).max() for k, (w, _, _) in enumerate(expected))
    apart = max(abs(rho - float(score[k])) for k, (_, _, rho) in enumerate(expected))
    print(f"linear explanations of {units} units by {concepts} concepts: {slow * 1e3:.0f} ms per unit with "
          f"scikit-learn and least squares, {fast * 1e3:.2f} ms here, {slow / fast:.0f} times faster")  # fmt: skip
    print(f"linear explanations: {same} of {few} selections equal in order, coefficients differ by {gap:.0e}, "
          f"validation correlations by {apart:.0e}")  # fmt: skip


if __name__ == "__main__":
    main()
