"""How well a world network does on every split of the world."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .families import FAMILIES

SPLITS = ("val", "test", "pairs", "inverted", "sketch", "elsewhere", "noise", "corrupt")


@torch.no_grad()
def outputs(model: nn.Module, images: Tensor, *, batch: int = 120) -> Tensor:
    """Run a network over images (n, 3, h, w) in [0, 1] or bytes, in small batches."""
    from . import normalise

    def pixels(part: Tensor) -> Tensor:
        return part.float() / 255 if part.dtype == torch.uint8 else part

    return torch.cat([model(normalise(model, pixels(part))).float() for part in images.split(batch)])


def average_precision(score: Tensor, true: Tensor) -> Tensor:
    """Return the average precision of each column of scores (n, k) against truth (n, k)."""
    order = score.argsort(0, descending=True)
    hit = true.gather(0, order).float()
    rank = torch.arange(1, len(hit) + 1, device=hit.device)[:, None]
    return (hit.cumsum(0) / rank * hit).sum(0) / hit.sum(0)


def class_accuracy(out: Tensor, target: Tensor) -> float:
    """Return the share of rows of (n, classes) whose largest value is at the target."""
    return round((out.argmax(1) == target).float().mean().item(), 4)


def score(model: nn.Module, name: str, split: str, n: int | None = None) -> dict[str, float]:
    """Score one split: image-text networks choose among noun phrases, and add the mean average precision."""
    from .. import world

    scenes = world.split(split, n, maps=False)
    out, task = outputs(model, scenes.image), FAMILIES[name]["task"]
    if task != "phrases":
        return {"accuracy": class_accuracy(out, scenes.target(task))}
    fit = out @ model.phrases(world.CONCEPTS).T
    nouns = fit[:, [world.CONCEPTS.index(noun) for noun in world.NOUNS]]
    shown = scenes.concept.sum(0)
    seen = (shown > 3) & (shown < len(scenes) - 3)  # a concept shown twice has no average precision to speak of
    precision = average_precision(fit[:, seen], scenes.concept[:, seen]).mean().item()
    return {"accuracy": class_accuracy(nouns, scenes.label), "precision": round(precision, 4)}


def scores(model: nn.Module, name: str) -> dict[str, dict[str, float]]:
    """Score every split that a network wasn't trained on: {"accuracy": {split: share}, ...}."""
    found = {split: score(model, name, split) for split in SPLITS}
    return {kind: {split: row[kind] for split, row in found.items()} for kind in found["test"]}
