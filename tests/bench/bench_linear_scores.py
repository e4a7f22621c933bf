"""Ablation scores against Adam through the classifier, one neuron at a time; Top Impact against running it again.

Both run in this process on the same data, with the same results. Activations, labels and classifiers are drawn at
sizes of the world and of the paper; the last line takes a layer of a world network.
"""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from sightglass import world, zoo
from sightglass.concepts import pooled
from sightglass.explain.ablation import Rows, ablation
from sightglass.explain.head import Head, head_of
from sightglass.explain.impact import head_impacts, layer_impacts
from sightglass.zoo.taps import replace

COPIES = 8  # units that answer nearly alike, as in networks
NOISE = 0.55  # of activations: few enough answers are wrong, few enough are sure


def seconds(work: Callable[[], object]) -> tuple[float, object]:
    """Time one call on its processor, whatever else runs there, and return what it gives."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def layer(n: int, units: int, classes: int, seed: int = 0) -> tuple[Head, Rows]:
    """Draw a layer: activations of so many kinds of images, the best linear classifier of them, and simulations."""
    draw = torch.Generator().manual_seed(seed)
    parts = units // COPIES
    special = torch.rand(classes, parts, generator=draw) < 15 / parts  # a class has some 15 features of its own
    kinds = 0.3 * torch.rand(parts, generator=draw) + special * torch.rand(classes, parts, generator=draw)
    labels = torch.randint(classes, (n,), generator=draw)
    features = kinds[labels] + NOISE * torch.randn(n, parts, generator=draw)
    real = (features.repeat(1, COPIES) + 0.1 * torch.randn(n, units, generator=draw)).relu()
    weight = ((kinds - kinds.mean(0)) / NOISE**2 / COPIES).repeat(1, COPIES)
    bias = -kinds.square().sum(1) / (2 * NOISE**2)
    simulated = 0.5 * real + 0.3 * torch.randn(n, units, generator=draw)
    return Head(weight, bias, 1.1), Rows(simulated, real, labels)


def part(rows: Rows, images: slice) -> Rows:
    """Take some images."""
    return Rows(rows.simulated[images], rows.real[images], rows.labels[images])


def published_score(head: Head, val: Rows, test: Rows, unit: int, steps: int = 100) -> float:
    """Score one neuron as published: the whole classifier runs, and is differentiated, at every step of Adam."""
    line = [torch.tensor(1.0, requires_grad=True), torch.tensor(0.0, requires_grad=True)]
    adam = torch.optim.Adam(line, lr=0.01)

    def losses(rows: Rows, value: torch.Tensor | None = None) -> torch.Tensor:
        q = rows.real
        if value is not None:
            q = torch.cat([q[:, :unit], value[:, None], q[:, unit + 1 :]], 1)
        return F.cross_entropy(head.logits(q), rows.labels, reduction="none")

    own = losses(val)
    for _ in range(steps):
        adam.zero_grad()
        (losses(val, line[0] * val.simulated[:, unit] + line[1]) - own).abs().sum().backward()
        adam.step()
    with torch.no_grad():
        values = (line[0] * test.simulated[:, unit] + line[1], val.real[:, unit].mean().expand(len(test.labels)))
        lost, most = ((losses(test, value) - losses(test)).abs().sum() for value in values)
    return float(1 - lost / most)


def ablation_scores(few: int = 5) -> None:
    """Print how much faster all scores of a layer come together."""
    head, rows = layer(3000, 512, 100)
    val, test = part(rows, slice(0, 1000)), part(rows, slice(1000, 3000))
    fast, found = min((seconds(lambda: ablation(head, val, test, start="paper")) for _ in range(2)), key=lambda f: f[0])
    picked = range(0, 512, 512 // few)
    slow, expected = seconds(lambda: torch.tensor([published_score(head, val, test, k) for k in picked]))
    ratio = slow / len(picked) / (fast / 512)
    gap = (found.score[list(picked)] - expected).abs().max()
    print(f"ablation scores, 512 neurons and 100 classes: {ratio:.0f} times faster than Adam through the classifier, "
          f"largest difference {gap:.0e} ({fast / 512 * 1e3:.2f} ms a neuron)")  # fmt: skip
    both, _ = seconds(lambda: ablation(head, val, test))
    print(f"ablation scores from the closed form's start, never worse than it: {both / 512 * 1e3:.2f} ms a neuron")


def impact_again(head: Head, rows: Rows, unit: int) -> tuple[torch.Tensor, float]:
    """Measure one neuron's impact on each image by running the classifier without it, and how long that takes."""
    logits = head.logits(rows.real)
    loss, right = F.cross_entropy(logits, rows.labels, reduction="none"), logits.argmax(1) == rows.labels
    kept = rows.real[:, unit].clone()
    rows.real[:, unit] = 0
    started = time.process_time()
    logits = head.logits(rows.real)
    new, answers = F.cross_entropy(logits, rows.labels, reduction="none"), logits.argmax(1) == rows.labels
    impact = ((right.float() - answers.float()) / right.sum() + (new - loss) / loss.sum()) / 2
    took = time.process_time() - started
    rows.real[:, unit] = kept
    return impact, took


def top_impacts(head: Head, rows: Rows, what: str, few: int = 8) -> None:
    """Print how much faster the closed form is than running a classifier once for each neuron."""
    classes, units = head.weight.shape
    work = lambda: head_impacts(head, rows.real, rows.labels)  # noqa: E731
    fast, found = min((seconds(work) for _ in range(3)), key=lambda pair: pair[0])
    picked = list(range(0, units, units // few))
    runs = [impact_again(head, rows, k) for k in picked]
    gap = max(float((found[:, k] - run).abs().max()) for k, (run, _) in zip(picked, runs, strict=True))
    slow = sorted(took for _, took in runs)[len(runs) // 2]
    right = (head.logits(rows.real).argmax(1) == rows.labels).float().mean()
    print(f"Top Impact, {what}, {units} neurons, {classes} classes ({right:.0%} right): {slow / (fast / units):.0f} "
          f"times faster than running the classifier again ({fast / units * 1e6:.0f} against {slow * 1e6:.0f} us), "
          f"largest difference {gap / float(found.abs().mean()):.0e} of the mean impact")  # fmt: skip


def world_layer(model: nn.Module, scenes: world.Scenes) -> tuple[Head, Rows]:
    """Look at scenes through the last layer of a world network."""
    q = pooled(model, scenes.pixels())
    return head_of(model, q, scenes.label), Rows(q, q, scenes.label)


def earlier_layer(model: nn.Module, scenes: world.Scenes, few: int = 3) -> None:
    """Print what the kept prefix saves at an earlier layer of a world network."""
    images, units = scenes.pixels(), range(16)
    fast, _ = seconds(lambda: layer_impacts(model, images, scenes.label, "block4", units=units))
    started = time.process_time()
    with torch.no_grad():
        for k in range(few):
            with replace(model, "block4", lambda maps, k=k: maps.index_fill(1, torch.tensor([k]), 0.0)):
                model(zoo.normalise(model, images))
    ratio = (time.process_time() - started) / few / (fast / len(units))
    print(f"Top Impact before the last block: {ratio:.1f} times faster than the whole network")


def main() -> None:
    """Print all ratios."""
    torch.set_num_threads(1)
    ablation_scores()
    top_impacts(*layer(2000, 512, 100), "drawn")
    top_impacts(*layer(2000, 2048, 1000), "drawn at the paper's size")
    model, scenes = zoo.model("world/resnet50"), world.draw(world.plan(range(1440), 1), maps=False)
    top_impacts(*world_layer(model, scenes), "world/resnet50")
    earlier_layer(model, scenes[:64])


if __name__ == "__main__":
    main()
