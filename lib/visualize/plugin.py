"""Plug-In Inversion: a class image that grows from the middle, seen through many random colour shifts.

No smoothness term: the small beginnings, the shifts and the colours make the picture. Settings of "paper" are those of
the official implementation, with one number of copies per network as the VITAL paper's table names them.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..zoo import normalise
from .optimise import Callback, Job, descend, later, prepare, shifted
from .presets import settings

# `steps` counts all stages together; `jitter` is a share of the final width at every stage; `pad` is how much of each
# stage's growth is new noise around the picture (centring), the rest being its enlargement (zooming).
PRESETS = {
    "paper": dict(steps=7 * 401, lr=0.01, stages=7, jitter=32 / 224, copies=16, colour=1.0, pad=0.0),
    "world": dict(steps=210, lr=0.015, stages=7, jitter=6 / 64, copies=2, colour=0.3, pad=0.0),
}
EXCEPTIONS = {
    "paper": {
        "ResNet": dict(copies=21),
        "DenseNet": dict(copies=24),
        "VisionTransformer 16": dict(copies=2),
        "VisionTransformer 32": dict(copies=5),
    },
}


def missing(model: nn.Module, at: str = "logits") -> str:
    """Say in one sentence why Plug-In Inversion can't be applied, or nothing."""
    return "" if at == "logits" else f"Plug-In Inversion visualizes classes only: it has no form for {at!r}"


def widths(size: int, stages: int) -> list[int]:
    """Return the picture's width at each stage: two eighths of the final one, then an eighth more each time."""
    return [round(size * (i + 2) / (stages + 1)) for i in range(stages)]


def grown(x: Tensor, width: int, pad: int, job: Job) -> Tensor:
    """Enlarge a picture to width - pad, with new noise around it: (rows, 3, width, width)."""
    inner = F.interpolate(x, (width - pad,) * 2, mode="bilinear", align_corners=False)
    if not pad:
        return inner
    canvas, edge = job.draw(3, width, width, by=torch.rand), pad // 2
    canvas[..., edge : edge + width - pad, edge : edge + width - pad] = inner
    return canvas


def coloured(x: Tensor, copies: int, most: float, job: Job) -> Tensor:
    """Scale and move each channel of each copy at random: (rows * copies, 3, h, w)."""
    scale, move = ((job.draw(copies, 3, 1, 1, by=torch.rand) * 2 - 1) * most for _ in range(2))
    return (x[:, None] * scale.exp() + move).flatten(0, 1)


@torch.no_grad()
def takes(model: nn.Module, width: int, device: torch.device) -> bool:
    """Try whether a network takes pictures of a width; many transformers take one alone."""
    try:
        model(torch.zeros(1, 3, width, width, device=device))
    except (RuntimeError, AssertionError, ValueError):
        return False
    return True


def stage(job: Job, x: Tensor, how: dict, steps: int, callback: Callback | None) -> Tensor:
    """Raise the classes' probability of pictures (rows, 3, w, w) in [0, 1] at one width."""
    limit, copies = round(how["jitter"] * job.size), how["copies"]
    target = job.target.repeat_interleave(copies)
    fits = takes(job.model, x.shape[-1], x.device)

    def loss_of(pixels: Tensor, step: int) -> Tensor:
        seen = coloured(shifted(pixels, limit, job.generators), copies, how["colour"], job)
        if not fits:
            seen = F.interpolate(seen, (job.side, job.side), mode="bilinear", align_corners=False)
        logits = job.model(normalise(job.model, seen))
        return F.cross_entropy(logits, target, reduction="none").unflatten(0, (-1, copies)).mean(1)

    cosine = [how["lr"] * 0.5 * (1 + math.cos(math.pi * step / steps)) for step in range(steps)]
    bounds = torch.zeros((), device=x.device), torch.ones((), device=x.device)
    return descend(x, loss_of, steps=steps, rate=cosine.__getitem__, betas=(0.5, 0.99), bounds=bounds,
                   callback=callback)  # fmt: skip


def plug_in(
    model: nn.Module, target: Sequence[int] | Tensor, references: Tensor | None = None, *, size: int | None = None,
    steps: int | None = None, seed: int | Sequence[int] = 0, preset: str = "world", at: str = "logits",
    callback: Callback | None = None, **options,
) -> Tensor:  # fmt: skip
    """Invert classes from small to large under random colours; of the references only the size is used.

    Returns (k, 3, size, size) in [0, 1] for one seed, (seeds, k, 3, size, size) for several. The callback's steps
    run on through the stages. Options override the preset: steps, lr, stages, jitter, copies, colour, pad.
    """
    if why := missing(model, at):
        raise ValueError(why)
    job = prepare(model, target, references, size=size, seed=seed, at=at, classes_only=True)
    how = settings(model, preset, options | ({} if steps is None else {"steps": steps}), method="plug_in",
                   presets=PRESETS, exceptions=EXCEPTIONS)  # fmt: skip
    sides = widths(job.size, how["stages"])
    x = job.draw(3, job.size, job.size, by=torch.rand)
    ends = [round(how["steps"] * (i + 1) / len(sides)) for i in range(len(sides))]
    for width, first, last in zip(sides, [0, *ends], ends, strict=False):
        x = grown(x, width, round(how["pad"] * job.size / (how["stages"] + 1)), job)
        x = stage(job, x, how, last - first, later(callback, first)) if last > first else x
    return job.finished(x)
