"""Elastic nets of all units at once, from second moments: 1/2 w'Gw - c'w + l1 |w| + l2/2 |w|^2 (paper, eq. 6).

Each unit has a working set of the concepts that matter most to it. Coordinate descent sweeps over all working sets
together, and a Newton step that stops at the first change of sign makes the end exact; what was left out is looked at
again until no unit violates its conditions of optimality.
"""

import torch
from torch import Tensor

SMALLEST = 32  # concepts in a working set, at least
ROOM = 2**25  # numbers in the moments of all working sets, at most


def elastic_net(G: Tensor, C: Tensor, l1: float, l2: float, *, tol: float = 1e-7, rounds: int = 100) -> Tensor:
    """Return the weights (M, K) for moments G (M, M) and C (M, K), no condition violated by more than tol."""
    W, live, size = torch.zeros_like(C), torch.arange(C.shape[1], device=C.device), SMALLEST
    for _ in range(rounds):
        own = W[:, live]
        R = residual(G, C[:, live], own)
        gap = violation(own, R, l1, l2)
        worst = gap.amax(0)
        still = worst > tol
        if not still.any():
            return W
        live, own, R, gap = live[still], own[:, still], R[:, still], gap[:, still]
        most = int((own != 0).sum(0).max())
        size = min(len(C), max(size, 2 * most))
        chosen = torch.where(own != 0, torch.inf, gap).topk(size, dim=0).indices  # (p, k)
        aim = (0.1 * worst[still]).clamp_min(0.3 * tol)  # no use in being exact before the set is right
        group = max(1, ROOM // size**2)
        for some in torch.arange(len(live), device=C.device).split(group):
            picked = chosen[:, some]
            w, r = own[:, some].gather(0, picked), R[:, some].gather(0, picked)
            found = on_sets(G, w, r, picked, (l1, l2), aim[some])
            W[:, live[some]] = torch.zeros_like(own[:, some]).scatter_(0, picked, found)
        size = int(1.5 * size)
    raise ArithmeticError(f"the elastic net is still {float(worst.max()):.1e} from optimal after {rounds} rounds; "
                          f"{tol:.1e} was asked for")  # fmt: skip


def residual(G: Tensor, C: Tensor, W: Tensor) -> Tensor:
    """Return C - GW (M, K)."""
    if not W.any():
        return C
    return C - torch.sparse.mm(W.T.to_sparse(), G).T


def violation(W: Tensor, R: Tensor, l1: float, l2: float) -> Tensor:
    """Return how far each weight is from its condition of optimality, given residual correlations R, of W's shape."""
    at_zero = (R.abs() - l1).clamp_min(0)
    return torch.where(W != 0, (R - l2 * W - l1 * W.sign()).abs(), at_zero)


def kkt(G: Tensor, C: Tensor, W: Tensor, l1: float, l2: float) -> Tensor:
    """Return each unit's largest violation of the conditions of optimality: (K,)."""
    return violation(W, C - G @ W, l1, l2).amax(0)


def on_sets(G: Tensor, w: Tensor, r: Tensor, picked: Tensor, penalty: tuple[float, float], aim: Tensor) -> Tensor:
    """Solve on working sets (p, k) from weights and residual correlations (p, k), each unit up to its aim (k,)."""
    A = G[picked[:, None], picked[None]]  # (p, p, k): units last, so that all of them step together
    c, out, left = r + (A * w).sum(1), w.clone(), torch.arange(w.shape[1], device=w.device)
    for _ in range(100):
        for turn in range(4):
            sweep(A, w, r, penalty, range(len(w)) if turn == 0 else (w != 0).any(1).nonzero()[:, 0].tolist())
        w, whole = newton(A, c, w, penalty)
        r = c - (A * w).sum(1)
        out[:, left] = w
        on = ~(whole & (violation(w, r, *penalty).amax(0) < aim))
        if not on.any():
            break
        if on.sum() < 0.8 * len(on):  # most units are done long before the last one is
            A, c, w, r, aim, left = A[..., on], c[:, on], w[:, on], r[:, on], aim[on], left[on]
    return out


def sweep(A: Tensor, w: Tensor, r: Tensor, penalty: tuple[float, float], places) -> None:
    """Minimise over one concept of each set after another, in place."""
    l1, l2 = penalty
    diagonal = A.diagonal().T  # (p, k)
    over = 1 / (diagonal + l2).clamp_min(1e-12)
    for j in places:
        z = torch.addcmul(r[j], diagonal[j], w[j])
        new = (z - z.clamp(-l1, l1)) * over[j]
        r.addcmul_(A[j], w[j] - new)
        w[j] = new


def newton(A: Tensor, c: Tensor, w: Tensor, penalty: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Go to the exact minimum on each support, or up to the first change of sign; tell who went all the way."""
    l1, l2 = penalty
    there = (w != 0).T  # (k, p)
    H = A.permute(2, 0, 1) * (there[:, :, None] & there[:, None])
    H.diagonal(dim1=1, dim2=2).add_(torch.where(there, l2 + 1e-12, 1.0))
    wanted = torch.where(w != 0, c - l1 * w.sign(), 0.0)
    factor, failed = torch.linalg.cholesky_ex(H)
    goal = torch.cholesky_solve(wanted.T[:, :, None], factor)[:, :, 0].T
    goal = torch.where((failed == 0) & goal.isfinite().all(0), goal, w)
    turning = torch.where(w * goal < 0, w / (w - goal), torch.inf)
    first = turning.amin(0)
    step = first.clamp(max=1)
    return torch.where(turning <= step, 0.0, torch.where(first > 1, goal, w + step * (goal - w))), first > 1
