"""What every visualization method shares: schedule, starts, shifts, smoothness, targets, and one loop of Adam.

Targets and seeds are one batch, seeds outermost. Each seed has its own generator, and its targets see the same
random numbers, so that an image doesn't depend on what else is in its batch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..zoo import normalise
from ..zoo.taps import record

Callback = Callable[[int, Tensor], None]


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Warm up over a twentieth of the steps, then follow half a cosine down to zero."""
    warm = max(1, round(steps / 20))
    if step < warm:
        return peak * (step + 1) / warm
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def starts(
    seeds: Sequence[int], targets: int, size: int, spread: float, centre: float = 0.0
) -> tuple[Tensor, list[torch.Generator]]:
    """Draw one noise image per seed, the same for each of its targets: (seeds * targets, 3, size, size).

    With `centre`, noise fades towards the border like a bell of this width (1 is half the image): where it is strongest
    the object grows, which a network without a sense of place wouldn't care about.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    noise = per_seed(generators, targets, (3, size, size)) * spread
    return noise * bell(size, centre) if centre else noise, generators


def bell(size: int, width: float) -> Tensor:
    """Return a Gaussian bell (size, size) that is 1 in the middle; its width is a share of half the size."""
    r = torch.linspace(-1, 1, size)
    return torch.exp(-(r[:, None].square() + r.square()) / (2 * width**2))


def per_seed(generators: Sequence[torch.Generator], targets: int, shape: Sequence[int], draw=torch.randn) -> Tensor:
    """Draw random numbers once per seed and repeat them for its targets: (seeds * targets, *shape)."""
    return torch.cat([draw(1, *shape, generator=g).expand(targets, *shape) for g in generators])


def shifted(x: Tensor, limit: int, generators: Sequence[torch.Generator]) -> Tensor:
    """Roll the images of each seed by its own random step of at most `limit` pixels."""
    moves = [torch.randint(-limit, limit + 1, (2,), generator=g).tolist() for g in generators]
    return torch.cat([part.roll(move, (2, 3)) for part, move in zip(x.chunk(len(moves)), moves, strict=True)])


def squared_variation(x: Tensor) -> Tensor:
    """Sum the squared differences to the right, below and on both diagonals, per image: (n, 4)."""
    steps = (x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :],
             x[..., 1:, 1:] - x[..., :-1, :-1], x[..., 1:, :-1] - x[..., :-1, 1:])  # fmt: skip
    return torch.stack([d.square().sum((1, 2, 3)) for d in steps], 1)


def total_variation(x: Tensor) -> Tensor:
    """Sum the norms of the differences to the right, below and on both diagonals, per image."""
    return (squared_variation(x) + 1e-8).sqrt().sum(1)


def pixel_norm(x: Tensor) -> Tensor:
    """Return the norm of each image's pixels."""
    return (x.square().sum((1, 2, 3)) + 1e-8).sqrt()


@dataclass(frozen=True)
class Job:
    """One batch of work: a row per seed and target, seeds outermost, each seed with its own random numbers."""

    model: nn.Module
    target: Tensor  # (rows,) channels or (rows, c) directions, on the network's device
    at: str
    generators: list[torch.Generator]
    side: int  # what the network eats
    size: int  # what the caller gets
    single: bool

    @property
    def targets(self) -> int:
        """Count the targets of one seed."""
        return len(self.target) // len(self.generators)

    def draw(self, *shape: int, by=torch.randn) -> Tensor:
        """Draw random numbers once per seed and repeat them for its targets: (rows, *shape)."""
        return per_seed(self.generators, self.targets, shape, by).to(self.target.device)

    def score(self, x: Tensor, views: int = 1) -> Tensor:
        """Return what is maximised for pixels (rows * views, 3, h, w), each row's mean over its views: (rows,)."""
        with record(self.model, self.at) as kept:
            self.model(x)
        return scores(kept[self.at], self.target.repeat_interleave(views, 0)).unflatten(0, (-1, views)).mean(1)

    def finished(self, images: Tensor) -> Tensor:
        """Shape images (rows, 3, s, s) as the caller asked: (k, 3, s, s), or (seeds, k, 3, s, s)."""
        images = images.clamp(0, 1)
        return images if self.single else images.unflatten(0, (len(self.generators), self.targets))


def prepare(
    model: nn.Module, target: Sequence[int] | Tensor, references: Tensor | None = None, *,
    size: int | None = None, seed: int | Sequence[int] = 0, at: str = "logits", classes_only: bool = False,
) -> Job:  # fmt: skip
    """Check what was asked for and gather it in one record; references (k, n, 3, h, w) tell the network's size."""
    if any(module.training for module in model.modules()):
        raise ValueError(f"{type(model).__name__} is in training mode; call model.eval() first")
    target = torch.as_tensor(target)
    if classes_only and target.is_floating_point():
        raise ValueError("this method visualizes classes only: targets are a list of classes, not float directions")
    if references is not None and (references.ndim != 5 or len(references) != len(target)):
        raise ValueError(f"references are (k, n, 3, h, w), one set for each of the {len(target)} targets; "
                         f"got {tuple(references.shape)}")  # fmt: skip
    side = references.shape[-1] if references is not None else native_size(model, size)
    device = next(model.parameters()).device
    check_target(model, target, at, side, device)
    seeds = [seed] if isinstance(seed, int) else list(seed)
    rows = target.to(device).repeat(len(seeds), *[1] * (target.ndim - 1))
    generators = [torch.Generator().manual_seed(s) for s in seeds]
    return Job(model, rows, at, generators, side, size or side, isinstance(seed, int))


def native_size(model: nn.Module, size: int | None) -> int:
    """Return the width a network is made for, or the one asked for where it doesn't tell."""
    cfg = getattr(model, "pretrained_cfg", None) or {}
    known = (cfg if isinstance(cfg, dict) else vars(cfg)).get("input_size")
    if not known and not size:
        raise ValueError(f"{type(model).__name__} doesn't tell its input size: give references or size")
    return known[-1] if known else size


@torch.no_grad()
def check_target(model: nn.Module, target: Tensor, at: str, side: int, device: torch.device) -> None:
    """Refuse targets that the tap `at` doesn't have; one grey picture tells how many channels it has."""
    grey = normalise(model, torch.full((1, 3, side, side), 0.5, device=device))
    with record(model, at) as kept:
        model(grey)
    width = kept[at].shape[1]
    if target.is_floating_point():
        if target.ndim != 2 or target.shape[1] != width:
            raise ValueError(f"directions at {at!r} are (k, {width}); got {tuple(target.shape)}")
    elif target.ndim != 1 or not len(target):
        raise ValueError(f"targets are a list of channels, or float directions (k, {width}); got {tuple(target.shape)}")
    elif target.min() < 0 or target.max() >= width:
        wrong = target[(target < 0) | (target >= width)][0]
        raise IndexError(f"target {int(wrong)} doesn't exist: {at!r} has channels 0 to {width - 1}")


def scores(activations: Tensor, target: Tensor) -> Tensor:
    """Average activations (n, c, positions) over positions, each image's own channel or along its direction: (n,)."""
    mean = activations.mean(-1)
    if target.is_floating_point():
        return (mean * target).sum(1)
    return mean.gather(1, target[:, None]).squeeze(1)


@torch.enable_grad()
def descend(
    x: Tensor, loss_of: Callable[[Tensor, int], Tensor], *, steps: int, rate: Callable[[int], float],
    betas: tuple[float, float] = (0.9, 0.999), bounds: tuple[Tensor, Tensor] | None = None,
    callback: Callback | None = None,
) -> Tensor:  # fmt: skip
    """Lower `loss_of(x, step)`, one value per row, with Adam; bounds are kept after every step."""
    x = x.detach().clone().requires_grad_(True)
    adam = torch.optim.Adam([x], betas=betas)
    for step in range(steps):
        adam.param_groups[0]["lr"] = rate(step)
        loss = loss_of(x, step)
        (x.grad,) = torch.autograd.grad(loss.sum(), x)
        adam.step()
        if bounds:
            with torch.no_grad():
                x.copy_(x.clamp(*bounds))
        if step % 20 == 0 or step == steps - 1:  # now and then, so that a GPU isn't waited for at every step
            check_finite(loss.detach(), step)
        if callback:
            callback(step, loss.detach())
    return x.detach()


def later(callback: Callback | None, first: int) -> Callback | None:
    """Count a callback's steps on from earlier stages."""
    return None if callback is None else lambda step, loss: callback(first + step, loss)


def check_finite(loss: Tensor, step: int) -> None:
    """Say which image's loss is no number any more."""
    if not torch.isfinite(loss).all():
        row = int(torch.isfinite(loss).logical_not().nonzero()[0])
        raise FloatingPointError(f"the loss of image {row} is {float(loss[row])} at step {step}: lower lr, or look for "
                                 "NaN in the weights and references")  # fmt: skip
