"""Sparse codes: what a vector is made of, 1/2 |x - u V|^2 + strength |u|_1, with atoms as rows of V.

The exact solution is followed while the strength falls from where nothing is used (homotopy). Between two events, an
atom that joins or one that leaves, it is linear. Many vectors go at once, each at its own pace.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ROOM = {"cpu": 2**20}  # correlations of vectors with atoms that are followed at once
ROOM_ELSEWHERE = 2**26
PLACES = 8  # for atoms in use, added when they are full
TRIED = 256  # vectors whose paths tell the strength
EXACT = 1e-5  # largest violation of optimality that passes, as a share of the strength
PARALLEL = 1e-9  # how much slower correlations may fall together before two atoms count as one
EVENTS = 20  # for each channel, at most


@dataclass(frozen=True)
class Path:
    """Where n vectors are on their paths; free places have sign 0."""

    strength: Tensor  # (n,)
    slack: Tensor  # (n, K) correlations of each atom with what is left of the vector
    atom: Tensor  # (n, places)
    amount: Tensor  # (n, places)
    sign: Tensor  # (n, places)
    gone: Tensor  # (n,) the atom that left last, or -1
    barred: Tensor  # (n,) the atom that a vector may never use, or -1

    def rows(self, some: Tensor) -> Path:
        """Return the paths of some vectors."""
        return Path(*(value[some] for value in vars(self).values()))

    def codes(self) -> Tensor:
        """Return the coefficients of all atoms (n, K)."""
        return torch.zeros_like(self.slack).scatter_add_(1, self.atom, self.amount)


def codes(x: Tensor, atoms: Tensor, strength: float, *, barred: Tensor | None = None) -> Tensor:
    """Return the sparse codes (..., K) of vectors x (..., c) in atoms (K, c), each optimal for its strength.

    `barred` (...) names one atom for each vector that its code may not use, or -1.
    """
    vectors, basis = check(x, atoms)
    barred = torch.full(x.shape[:-1], -1, device=x.device) if barred is None else barred.to(x.device)
    barred = barred.expand(x.shape[:-1]).reshape(-1)
    if not strength > 0:
        raise ValueError(f"the strength of a lasso is a positive number, not {strength}")
    found, gram = x.new_zeros(len(vectors), len(atoms)), basis @ basis.T
    for some in torch.arange(len(vectors), device=x.device).split(at_once(basis)):
        exact = follow(vectors[some], basis, gram, strength, barred[some])[0]
        worst = float(violation(vectors[some], basis, exact, strength, barred[some]).max())
        if worst > EXACT * strength:
            raise ArithmeticError(f"sparse codes at strength {strength:.3g} are {worst:.1e} from optimal; atoms that "
                                  "are nearly the same can do this")  # fmt: skip
        found[some] = exact.to(x.dtype)
    return found.reshape(*x.shape[:-1], len(atoms))


def check(x: Tensor, atoms: Tensor) -> tuple[Tensor, Tensor]:
    """Return vectors (n, c) and atoms (K, c) in double precision, if they fit and are finite."""
    if atoms.ndim != 2 or x.shape[-1] != atoms.shape[1]:
        raise ValueError(f"vectors (..., c) need atoms (K, c); found {tuple(x.shape)} and {tuple(atoms.shape)}")
    if not (x.isfinite().all() and atoms.isfinite().all()):
        raise ValueError("sparse codes need finite vectors and atoms; some are infinite or not a number")
    return x.detach().reshape(-1, x.shape[-1]).double(), atoms.detach().to(x.device).double()


def at_once(basis: Tensor) -> int:
    """Return how many vectors are followed together."""
    return max(1, ROOM.get(basis.device.type, ROOM_ELSEWHERE) // len(basis))


def follow(
    x: Tensor, basis: Tensor, gram: Tensor, goal: float, barred: Tensor | None = None
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Follow vectors x (n, c) down to a strength: their codes (n, K), and at which strengths how many atoms came."""
    found, left = x.new_zeros(len(x), len(basis)), torch.arange(len(x), device=x.device)
    path = begin(x, basis, barred)
    events = [(path.strength, path.sign.sum(1).abs())]
    for _ in range(EVENTS * basis.shape[1]):
        done = path.strength <= goal
        if done.all():
            found[left] = path.codes()
            return found, events
        if done.sum() > 0.2 * len(done):
            found[left[done]] = path.rows(done).codes()
            path, left = path.rows(~done), left[~done]
        path, change = advance(path, basis, gram, goal)
        events.append((path.strength, change))
    raise ArithmeticError(f"sparse codes need more than {EVENTS * basis.shape[1]} events to strength {goal:.3g}; "
                          "ask for a larger one")  # fmt: skip


def begin(x: Tensor, basis: Tensor, barred: Tensor | None = None) -> Path:
    """Start where the first atom of each vector is about to join."""
    slack, none = x @ basis.T, torch.full((len(x),), -1, device=x.device)
    barred = none if barred is None else barred
    strength, first = without(slack.abs(), barred, -1).max(1)
    atom, amount = first.new_zeros(len(x), PLACES), slack.new_zeros(len(x), PLACES)
    atom[:, 0], sign = first, amount.clone()
    sign[:, 0] = slack.gather(1, first[:, None])[:, 0].sign()
    return Path(strength, slack, atom, amount, sign, none, barred)


def advance(path: Path, basis: Tensor, gram: Tensor, goal: float) -> tuple[Path, Tensor]:
    """Go to each vector's next event or to the goal; return also how many atoms came, -1, 0 or 1 for each (n,)."""
    path = with_room(path)
    speed = direction(path, gram)
    rate = F.embedding_bag(path.atom, basis, per_sample_weights=speed, mode="sum") @ basis.T
    join, joins = soonest(path, rate).min(1)
    turning = torch.where(path.amount * speed < 0, -path.amount / speed, torch.inf)
    leave, leaves = turning.min(1)
    stop = (path.strength - goal).clamp_min(0)
    length = torch.minimum(torch.minimum(join, leave), stop)
    slack = torch.addcmul(path.slack, rate, length[:, None], value=-1)
    amount, sign, atom = torch.addcmul(path.amount, speed, length[:, None]), path.sign.clone(), path.atom.clone()
    row = torch.arange(len(slack), device=slack.device)
    comes, goes = (join < stop) & (join < leave), (leave < stop) & (leave <= join)
    gone = torch.where(goes, atom[row, leaves], -1)
    amount[row[goes], leaves[goes]] = 0
    sign[row[goes], leaves[goes]] = 0
    place = (sign == 0).to(torch.int8).argmax(1)  # the first free one
    atom[row[comes], place[comes]] = joins[comes]
    sign[row[comes], place[comes]] = slack[row[comes], joins[comes]].sign()
    return Path(path.strength - length, slack, atom, amount, sign, gone, path.barred), comes.to(slack) - goes.to(slack)


def with_room(path: Path) -> Path:
    """Add places where some vector has none left."""
    if (path.sign == 0).any(1).all():
        return path
    more = {name: F.pad(getattr(path, name), (0, PLACES)) for name in ("atom", "amount", "sign")}
    return Path(**(vars(path) | more))


def direction(path: Path, gram: Tensor) -> Tensor:
    """Return how fast coefficients change (n, places) as the strength falls by one."""
    used = path.sign != 0
    among = gram[path.atom[:, :, None], path.atom[:, None]] * (used[:, :, None] & used[:, None])
    among.diagonal(dim1=1, dim2=2).add_(torch.where(used, 1e-13, 1.0))
    factor = torch.linalg.cholesky_ex(among)[0]
    return torch.cholesky_solve(path.sign[:, :, None], factor)[:, :, 0]


def soonest(path: Path, rate: Tensor) -> Tensor:
    """Return how far the strength falls until each atom would join (n, K), infinite for those in use."""
    first = torch.minimum(until(path.strength[:, None] - path.slack, 1 - rate),
                          until(path.strength[:, None] + path.slack, 1 + rate))  # fmt: skip
    # a free place stands for one in use, so that nothing else is ruled out
    busy = torch.where(path.sign != 0, path.atom, path.atom.gather(1, (path.sign != 0).int().argmax(1, keepdim=True)))
    first.scatter_(1, busy, torch.inf)
    return without(without(first, path.gone, torch.inf), path.barred, torch.inf)


def without(values: Tensor, atom: Tensor, instead: float) -> Tensor:
    """Put a value in the place of one atom of each row (n, K), of none where `atom` (n,) is -1."""
    some = atom >= 0
    values[some, atom[some]] = instead
    return values


def until(gap: Tensor, speed: Tensor) -> Tensor:
    """Return how long a gap takes to close; an atom like one in use keeps its distance and never joins."""
    return gap.clamp_min_(1e-300).div_(F.threshold_(speed, PARALLEL, 0))


def violation(x: Tensor, atoms: Tensor, found: Tensor, strength: float, barred: Tensor | None = None) -> Tensor:
    """Return how far codes (n, K) of vectors x (n, c) are from optimal, the worst violation of each (n,)."""
    slack = (x - found @ atoms) @ atoms.T
    at_zero = (slack.abs() - strength).clamp_min(0)
    at_zero = at_zero if barred is None else without(at_zero, barred, 0)
    return torch.where(found != 0, (slack - strength * found.sign()).abs(), at_zero).amax(1)


def strength_for(x: Tensor, atoms: Tensor, nonzeros: float) -> float:
    """Find the largest strength at which codes of vectors x (n, c) have so many nonzeros on average."""
    vectors, basis = check(x, atoms)
    vectors = vectors[:: -(-len(vectors) // TRIED)]
    if not 0 < nonzeros <= min(atoms.shape):
        raise ValueError(f"{len(atoms)} atoms of {atoms.shape[1]} channels give codes of 1 to {min(atoms.shape)} "
                         f"nonzeros, not {nonzeros}")  # fmt: skip
    gram, goal = basis @ basis.T, float((vectors @ basis.T).abs().max())
    for _ in range(24):
        goal /= 2
        events = follow(vectors, basis, gram, goal)[1]
        at, change = (torch.cat(column) for column in zip(*events, strict=True))
        at, change = at[at > goal], change[at > goal]  # below, only some vectors have been followed
        order = at.argsort(descending=True)
        enough = (change[order].cumsum(0) / len(vectors) >= nonzeros).nonzero()
        if len(enough):
            return float(at[order[enough[0, 0]]]) * (1 - 1e-9)
    raise ValueError(f"no strength gives codes with {nonzeros} nonzeros: the vectors are made of fewer atoms")
