"""The baselines as one batch against one image at a time, statistics of batches, and VITAL's time against MACO's.

All times are taken in this process, on the same network and references, and compared at equal pictures or losses.
"""

import time
from collections.abc import Callable

import torch

from sightglass import world, zoo
from sightglass.visualize import METHODS
from sightglass.visualize.deepinversion import batch_norms, grouping, statistics_gaps
from sightglass.visualize.fourier import maco, mean_spectrum
from sightglass.visualize.vital import vital


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def per_step(method: Callable, model, references, steps: int, **options) -> float:
    """Time a method's steps from the second on, per image, so that what is made once isn't counted."""
    ticks = []
    method(model, range(len(references)), references, steps=steps, **options,
           callback=lambda step, loss: ticks.append(time.perf_counter()))  # fmt: skip
    return (ticks[-1] - ticks[0]) / (len(ticks) - 1) / len(references)


def batched(model, references, steps: int = 8, few: int = 4) -> None:
    """Print what a batch saves per image, and how far its pictures are from those made alone."""
    alike = {"MACO": dict(magnitude=mean_spectrum(references[:, 0])), "DeepInversion": dict(batch=1)}
    for name, method in METHODS.items():
        options = alike.get(name, {})
        together = per_step(method, model, references, steps, **options)
        alone = sum(per_step(method, model, references[k : k + 1], steps, **options) for k in range(few)) / few
        first = method(model, [0], references[:1], steps=3, **options)
        gap = (method(model, [0, 1], references[:2], steps=3, **options)[0] - first[0]).abs().max()
        print(f"{name}: {len(references)} in one batch {alone / together:.1f} times faster per image, gap {gap:.0e}")


def statistics(model, images: torch.Tensor, batch: int = 1) -> None:
    """Print what one matrix of batches saves against a loop over them."""
    groups, plain = grouping(len(images), len(images), batch, images.device), []

    def loop(layer, given):
        parts = given[0].split(batch)
        far = [(p.var((0, 2, 3), correction=0) - layer.running_var).norm()
               + (p.mean((0, 2, 3)) - layer.running_mean).norm() for p in parts]  # fmt: skip
        plain.append(torch.stack(far))

    def looped():
        plain.clear()
        hooks = [layer.register_forward_pre_hook(loop) for layer in batch_norms(model)]
        model(images)
        for hook in hooks:
            hook.remove()

    def together():
        with statistics_gaps(model, groups) as gaps:
            model(images)
        return torch.stack(gaps)

    forward = min(seconds(lambda: model(images)) for _ in range(3))
    slow, fast = (min(seconds(work) for _ in range(3)) - forward for work in (looped, together))
    gap = ((together() - torch.stack(plain)).abs() / torch.stack(plain)).max()
    print(f"DeepInversion's statistics of {len(groups)} batches: {slow / fast:.1f} times faster, gap {gap:.0e}")


def against_maco(model, references, steps: int = 8) -> None:
    """Print VITAL's time per step and image as a multiple of MACO's."""
    ratios = []
    for _ in range(3):
        ratios.append(per_step(vital, model, references, steps) / per_step(maco, model, references, steps))
    print(f"VITAL takes {sorted(ratios)[1]:.2f} of MACO's time per image and step")


def main(images: int = 24) -> None:
    """Print all ratios."""
    torch.set_num_threads(1)
    model, references = zoo.model("world/resnet50"), world.references(list(world.NOUNS)[:images], 5)
    with torch.no_grad():
        statistics(model, zoo.normalise(model, references[:, 0]))
    against_maco(model, references)
    batched(model, references)


if __name__ == "__main__":
    main()
