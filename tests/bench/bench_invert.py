"""Inverters: drawing against the authors' way, and a training step against one that takes the base's gradients, too.

Both of a pair run in this process, on one thread. The authors draw one picture at a time, by 50 DDIM steps with a
guidance of 1.75. Their training needs no gradients of the base; a loop that leaves its weights unfrozen takes them.
"""

import time
from collections.abc import Callable

import torch

import sightglass as sg
from sightglass import world, zoo
from sightglass.invert import base as bases
from sightglass.invert import codec, control, flow, judge, prompts, ready
from sightglass.invert.encoder import features
from sightglass.invert.sample import reconstruct

MODEL, TAP = "resnet50", "block5"
THEIRS = dict(steps=50, solver="ddim", shift=1.0, guidance=1.75, against="prompt")
FEW, MANY, BATCH = 4, 64, 32


def timed(call: Callable, times: int = 1) -> tuple[float, torch.Tensor]:
    """Return the shortest of some runs in CPU seconds, and what the last one returned."""
    taken = []
    for _ in range(times):
        started = time.process_time()
        found = call()
        taken.append(time.process_time() - started)
    return min(taken), found


def drawing() -> None:
    """Print pictures per second and cosines of three ways to draw."""
    try:
        inverter = ready.inverter(sg.load("world", device="cpu"), MODEL)
    except FileNotFoundError as missing:
        return print(f"drawing: not measured, {missing}")
    model = zoo.model(f"world/{MODEL}")
    own = judge.of(inverter, model, world.split("test", MANY).pixels())

    def singly(n: int, **how) -> torch.Tensor:
        return torch.cat([reconstruct(inverter, own.maps[i : i + 1], **how) for i in range(n)])

    singly(1)  # what is loaded once isn't counted
    theirs, _ = timed(lambda: singly(FEW, **THEIRS))
    alone, _ = timed(lambda: singly(FEW))
    theirs, alone = theirs / FEW, alone / FEW
    steps, slow = timed(lambda: reconstruct(inverter, own.maps, **THEIRS))
    ours, fast = timed(lambda: reconstruct(inverter, own.maps))
    steps, ours = steps / MANY, ours / MANY
    agree = [judge.summary(judge.judged(own, pictures))["cosine"] for pictures in (slow, fast)]
    told = " and ".join(f"{mean:.3f} ± {error:.3f}" for mean, error in agree)
    print(f"drawing: {1 / theirs:.2f} pictures a second as the authors do, {1 / ours:.1f} here, {theirs / ours:.0f} "
          f"times as many, at cosines of {told}")  # fmt: skip
    print(f"drawing: {steps / ours:.1f} times faster by fewer steps alone, {alone / ours:.1f} times by batches "
          f"of {MANY} alone")  # fmt: skip


def training() -> None:
    """Print the time of a training step with the base frozen and unfrozen, and how far their gradients are apart."""
    model = zoo.model(f"world/{MODEL}")
    images = world.draw(world.split_plan("train", range(BATCH)), maps=False).pixels()
    base = bases.freeze(bases.build(codec.fit(images, channels=32), prompts.world_words()))
    maps = features(model, images, TAP)
    inverter = control.build(base, tuple(maps.shape[1:]), TAP)
    draws = torch.Generator().manual_seed(0)
    z = base.codec.pack(codec.pixels_in(images))
    noise, level = torch.randn(z.shape, generator=draws), flow.levels(BATCH, draws, shift=4.0)
    prompt, noisy = base.prompts(prompts.special(prompts.ANY, BATCH)), flow.mix(z, noise, level)

    def step(seen: Callable[[], torch.Tensor]) -> torch.Tensor:
        inverter.control.zero_grad()
        pace = bases.velocity(base, noisy, level, prompt, inverter.control(noisy, level, prompt, seen()))
        (pace - (noise - z)).square().mean().backward()
        return torch.cat([p.grad.flatten() for p in inverter.control.parameters() if p.grad is not None])

    step(lambda: maps)
    fast, found = timed(lambda: step(lambda: maps), 3)
    base.unet.requires_grad_(True)
    slow, expected = timed(lambda: step(lambda: features(model, images, TAP)), 3)
    apart = float((found - expected).norm() / expected.norm())
    print(f"training step of {BATCH} pictures: {slow * 1e3:.0f} ms with the base unfrozen and features computed each "
          f"time, {fast * 1e3:.0f} ms here, {slow / fast:.2f} times faster, gradients {apart:.0e} apart")  # fmt: skip


def main() -> None:
    """Print all comparisons."""
    torch.set_num_threads(1)
    drawing()
    training()


if __name__ == "__main__":
    main()
