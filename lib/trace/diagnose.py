"""Cases worth a diagnosis: images that a network takes for something else, and attacks that make it do so.

Both are found by search, none is made up. See `fig-ierf-12`; the routes of the two classes are in `trace.routes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..zoo import mean_std

AT_ONCE = 64  # images
SIZES = (1, 2, 4, 8)  # of a perturbation, in steps of 1/255 of a pixel's range
STEPS = 10  # of an attack for which one isn't enough


@dataclass(frozen=True, eq=False)
class Mistakes:
    """Images taken for another class, the surest first: their rows, both classes, both probabilities (m,)."""

    rows: Tensor
    true: Tensor
    taken: Tensor
    p_true: Tensor
    p_taken: Tensor

    def __len__(self) -> int:
        """Count them."""
        return len(self.rows)

    def between(self, true: int, taken: int) -> Mistakes:
        """Keep those of one class that were taken for another one."""
        kept = (self.true == true) & (self.taken == taken)
        return Mistakes(*(getattr(self, f.name)[kept] for f in fields(self)))


@dataclass(frozen=True, eq=False)
class Attack:
    """Images of `rows` after an attack, x (m, 3, h, w); perturbation sizes and steps (m,), 0 where none sufficed.

    `before` and `after` hold the probabilities of the class taken before and of the target, (m, 2).
    """

    rows: Tensor
    x: Tensor
    source: Tensor
    target: Tensor
    size: Tensor
    steps: Tensor
    before: Tensor
    after: Tensor

    @property
    def flipped(self) -> Tensor:
        """Tell which images are taken for the target now: (m,) bool."""
        return self.size > 0


@torch.no_grad()
def probabilities(model: nn.Module, x: Tensor) -> Tensor:
    """Return a network's probabilities for its inputs (n, 3, h, w): (n, classes)."""
    device = next(model.parameters()).device
    return torch.cat([model(chunk.to(device)).softmax(1).to(x.device) for chunk in x.split(AT_ONCE)])


def mistakes(model: nn.Module, x: Tensor, labels: Tensor) -> Mistakes:
    """Search inputs (n, 3, h, w) with labels (n,) for images that the network takes for another class."""
    if len(x) != len(labels) or not len(x):
        raise ValueError(f"a search needs images and a label for each; got {len(x)} images, {len(labels)} labels")
    found = probabilities(model, x)
    surest, taken = found.max(1)
    rows = (taken != labels).nonzero()[:, 0]
    rows = rows[surest[rows].argsort(descending=True, stable=True)]
    p_true = found[rows, labels[rows]]
    return Mistakes(rows, labels[rows], taken[rows], p_true, surest[rows])


def fgsm(
    model: nn.Module, x: Tensor, target: Tensor | int, *, sizes: Sequence[int] = SIZES, steps: int = STEPS
) -> Attack:
    """Push inputs (n, 3, h, w) to a target class by the sign of the gradient, as little as suffices.

    Sizes are tried from the smallest, each by one step and, where that fails, by `steps` small ones; pixels stay in
    [0, 1]. An image that no size flips keeps the last attempt.
    """
    sizes = sorted(sizes)
    if not sizes or sizes[0] <= 0 or steps < 1:
        raise ValueError(f"sizes are positive, in 1/255 of a pixel's range, and steps 1 or more; got {sizes}, {steps}")
    target = torch.as_tensor(target, device=x.device).expand(len(x)).clone()
    first = probabilities(model, x)
    if (wrong := (target < 0) | (target >= first.shape[1])).any():
        raise ValueError(f"the network has classes 0 to {first.shape[1] - 1}, not {int(target[wrong][0])}")
    if (same := first.argmax(1) == target).any():
        raise ValueError(f"image {int(same.nonzero()[0])} is taken for class {int(target[same][0])} before any attack")
    slope = uphill(model, x, target)  # where every attempt begins
    made, size, used = x.clone(), torch.zeros(len(x), dtype=torch.long), torch.zeros(len(x), dtype=torch.long)
    for wanted in sizes:
        for count in dict.fromkeys((1, steps)):
            left = (size == 0).nonzero()[:, 0]
            if not len(left):
                break
            made[left] = pushed(model, x[left], target[left], slope[left], wanted / 255, count)
            won = left[(probabilities(model, made[left]).argmax(1) == target[left]).cpu()]
            size[won], used[won] = wanted, count
    source = first.argmax(1)
    pair, rows = torch.stack([source, target], 1), torch.arange(len(x))
    return Attack(
        rows, made, source, target, size, used, first.gather(1, pair), probabilities(model, made).gather(1, pair)
    )


def pushed(model: nn.Module, x: Tensor, target: Tensor, slope: Tensor, size: float, count: int) -> Tensor:
    """Take `count` signed steps to a class, together no farther than `size` from the pixels of x (n, 3, h, w).

    `slope` is the gradient at x.
    """
    mean, std = (v.to(x) for v in mean_std(model))
    reach, low, high = size / std, -mean / std, (1 - mean) / std
    least, most = torch.maximum(x - reach, low), torch.minimum(x + reach, high)
    step = reach if count == 1 else 2.5 * reach / count
    made = (x + step * slope.sign()).clamp(least, most)
    for _ in range(count - 1):
        made = (made + step * uphill(model, made, target).sign()).clamp(least, most)
    return made


def uphill(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Return the gradient of the targets' log probabilities in the inputs (n, 3, h, w)."""
    device, found = next(model.parameters()).device, []
    for chunk, goal in zip(x.split(AT_ONCE), target.split(AT_ONCE), strict=True):
        moved = chunk.detach().to(device).requires_grad_()
        with torch.enable_grad():
            loss = F.cross_entropy(model(moved), goal.to(device), reduction="sum")
            found.append(-torch.autograd.grad(loss, moved)[0].to(x.device))
    return torch.cat(found)


def find_attack(
    model: nn.Module, x: Tensor, labels: Tensor, target: int | None = None, *,
    tries: int = 32, sizes: Sequence[int] = SIZES,
) -> Attack:  # fmt: skip
    """Search images that are recognised for those which the least attack turns into a target, the easiest first.

    The target is the class that comes second in each image, unless told. Those images are tried in which it is nearest
    to the class that is recognised. Only attacks that succeed are returned.
    """
    found = probabilities(model, x)
    rows = (found.argmax(1) == labels).nonzero()[:, 0]
    if target is not None:
        rows = rows[labels[rows] != target]
    if not len(rows):
        raise ValueError("no image is recognised and of another class than the target, so there is none to attack")
    second = found[rows].topk(2).indices[:, 1] if target is None else torch.full_like(rows, target)
    gap = found[rows, labels[rows]].log() - found[rows, second].log()
    near = gap.argsort(stable=True)[:tries]
    rows, second = rows[near], second[near]
    tried = fgsm(model, x[rows], second, sizes=sizes)
    won = tried.flipped.nonzero()[:, 0].tolist()
    order = sorted(won, key=lambda i: (int(tried.size[i]), -float(tried.after[i, 1])))
    if not order:
        raise ValueError(f"no attack of up to {max(sizes)}/255 succeeds on {len(rows)} images; try larger sizes")
    kept = Attack(*(getattr(tried, f.name)[order] for f in fields(tried)))
    return replace(kept, rows=rows[order])
