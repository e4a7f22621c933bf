"""DeepInversion: images of a class whose batch has the statistics that the BatchNorm layers remember.

Settings of "paper" are those of section A.1 of the VITAL paper over the official implementation; its "lambda = 1" is
read as the weight of the classification loss. A batch shares its statistics, so its images depend on each other.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..zoo import denormalise, normalise
from .optimise import Callback, Job, descend, later, learning_rate, pixel_norm, prepare, shifted, squared_variation
from .presets import settings

# `batch` images share their statistics; `down` > 1 works on a canvas made smaller by that factor first, and then
# for `finish` of the steps in full size; `first` is what the first layer's statistics count more than the others'.
PRESETS = {
    "paper": dict(steps=2000, lr=0.05, jitter=30 / 224, tv=1e-4, l2=1e-5, statistics=0.05, first=10.0, batch=64,
                  start=1.0, down=1, finish=0.5),
    "world": dict(steps=100, lr=0.1, jitter=6 / 64, tv=4e-3, l2=1e-5, statistics=0.01, first=10.0, batch=64,
                  start=0.1, down=1, finish=0.5),
}  # fmt: skip


def batch_norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    """List the layers that remember statistics of their input."""
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None]


def missing(model: nn.Module, at: str = "logits") -> str:
    """Say in one sentence why DeepInversion can't be applied, or nothing."""
    if at != "logits":
        return f"DeepInversion visualizes classes only: it has no form for {at!r}"
    return "" if batch_norms(model) else f"DeepInversion needs BatchNorm layers, and {type(model).__name__} has none"


def grouping(rows: int, per_seed: int, batch: int, device: torch.device) -> Tensor:
    """Return which row belongs to which batch, (batches, rows) of 0 and 1; a batch never mixes seeds."""
    starts = [s for first in range(0, rows, per_seed) for s in range(first, first + per_seed, batch)]
    place = torch.arange(rows, device=device)
    ends = [*starts[1:], rows]
    return torch.stack([((place >= s) & (place < e)).float() for s, e in zip(starts, ends, strict=True)])


def own_starts(job: Job, apart: bool) -> Tensor:
    """Draw the starts (rows, 3, s, s): one per seed, or another for every image, so that a batch isn't alike."""
    if not apart:
        return job.draw(3, job.size, job.size)
    shape = (job.targets, 3, job.size, job.size)
    return torch.cat([torch.randn(shape, generator=g) for g in job.generators]).to(job.target.device)


def moments(x: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of maps (rows, c, h, w) over each batch and space: (batches, c) each."""
    share = groups / groups.sum(1, keepdim=True)
    variance, mean = torch.var_mean(x, (2, 3), correction=0)
    together = share @ mean
    between = (mean - groups.T @ together).square()  # the law of total variance: no second pass over the maps
    return together, share @ (variance + between)


@contextmanager
def statistics_gaps(model: nn.Module, groups: Tensor) -> Iterator[list[Tensor]]:
    """Collect, in order of the layers' calls, how far each batch's statistics are from the remembered: (batches,)."""
    gaps: list[Tensor] = []

    def keep(layer: nn.Module, given: tuple[Tensor]) -> None:
        mean, variance = moments(given[0], groups)
        gaps.append((variance - layer.running_var).norm(dim=1) + (mean - layer.running_mean).norm(dim=1))

    with ExitStack() as stack:
        for layer in batch_norms(model):
            stack.callback(layer.register_forward_pre_hook(keep).remove)
        yield gaps


def batch_loss(job: Job, x: Tensor, groups: Tensor, how: dict) -> Tensor:
    """Add classification, statistics and smoothness of each batch: (batches,)."""
    share = groups / groups.sum(1, keepdim=True)
    with statistics_gaps(job.model, groups) as gaps:
        logits = job.model(x)
    loss = share @ F.cross_entropy(logits, job.target, reduction="none")
    loss = loss + how["statistics"] * (sum(gaps) + (how["first"] - 1) * gaps[0])
    variation = (groups @ squared_variation(x) + 1e-8).sqrt().sum(1)  # one norm over the whole batch
    return loss + how["tv"] * variation + how["l2"] * (share @ pixel_norm(x))


def stage(job: Job, x: Tensor, how: dict, down: int, steps: int, callback: Callback | None) -> Tensor:
    """Optimise the canvas (rows, 3, s, s), seen `down` times smaller; return each batch's image of lowest loss."""
    groups = grouping(len(x), job.targets, how["batch"], x.device)
    lowest, best = torch.full((len(groups),), torch.inf, device=x.device), x.clone()

    def loss_of(canvas: Tensor, step: int) -> Tensor:
        seen = F.avg_pool2d(canvas, down) if down > 1 else canvas
        seen = shifted(seen, round(how["jitter"] * seen.shape[-1]), job.generators)
        loss = batch_loss(job, seen, groups, how)
        better = loss.detach() < lowest
        lowest.copy_(torch.where(better, loss.detach(), lowest))
        best.copy_(torch.where((groups.T @ better.float())[:, None, None, None] > 0, canvas.detach(), best))
        return loss

    black, white = (normalise(job.model, torch.full((1, 3, 1, 1), v, device=x.device)) for v in (0.0, 1.0))
    descend(x, loss_of, steps=steps, rate=lambda step: learning_rate(step, steps, how["lr"]), betas=(0.5, 0.9),
            bounds=(black, white), callback=callback)  # fmt: skip
    return best


def deep_inversion(
    model: nn.Module, target: Sequence[int] | Tensor, references: Tensor | None = None, *, size: int | None = None,
    steps: int | None = None, seed: int | Sequence[int] = 0, preset: str = "world", at: str = "logits",
    callback: Callback | None = None, **options,
) -> Tensor:  # fmt: skip
    """Invert classes of a network with BatchNorm, `batch` of them at a time; of the references only the size is used.

    Returns (k, 3, size, size) in [0, 1] for one seed, (seeds, k, 3, size, size) for several. The callback's losses
    are per batch. Options override the preset: steps, lr, jitter, tv, l2, statistics, first, batch, start, down,
    finish.
    """
    if why := missing(model, at):
        raise ValueError(why)
    job = prepare(model, target, references, size=size, seed=seed, at=at, classes_only=True)
    how = settings(model, preset, options | ({} if steps is None else {"steps": steps}), method="deep_inversion",
                   presets=PRESETS, exceptions={})  # fmt: skip
    x = own_starts(job, how["batch"] > 1) * how["start"]
    x = stage(job, x, how, how["down"], how["steps"], callback)
    if how["down"] > 1:
        x = stage(job, x, how, 1, round(how["finish"] * how["steps"]), later(callback, how["steps"]))
    return job.finished(denormalise(model, x))
