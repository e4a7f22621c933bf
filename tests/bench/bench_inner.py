"""Inner-mode VITAL against the form that the official code has, equal losses.

There each step copies the network and runs it again for the relevance, sends gradients back through all references
and all weights, twice, sorts the references again and spreads the error over them. Both run in this process.
"""

import copy
import time

import torch

from sightglass import world, zoo
from sightglass.concepts import top_patches
from sightglass.relevance import RELEVANCE
from sightglass.visualize.neurons import vital_inner
from sightglass.visualize.optimise import learning_rate, shifted
from sightglass.zoo.taps import record

TAPS = ("block1", "block2", "block3", "block4")
PLAIN = dict(tv=0.0, l2=0.0, weights="even", start=0.3, jitter=6 / 64, preset="paper-code")


def relevant(model, x, channel):
    """Return activation times relevance from 0 to 1, and relevance, from a pass for each and a network's copy."""
    with record(model, TAPS) as kept:
        model(x)
    target = torch.full((len(x),), channel)
    found = RELEVANCE["LRP"](copy.deepcopy(model), x, target, TAPS, at="block5")
    low, high = ({tap: f(r, -1, keepdim=True) for tap, r in found.items()} for f in (torch.amin, torch.amax))
    return {tap: kept[tap] * (r - low[tap]) / (high[tap] - low[tap] + 1e-6) for tap, r in found.items()}, found


def weights(relevance):
    """Weigh the channels of each reference by their largest relevance: (n, c, 1)."""
    largest = relevance.amax(-1)
    above = largest - largest.amin(1, keepdim=True)
    return (above / (above.amax(1, keepdim=True) + 1e-6))[:, :, None]


def one_image_as_published(model, channel, references, steps, seed=0):
    """Optimise one image; return its loss at the last step."""
    model.requires_grad_(True)
    generators = [torch.Generator().manual_seed(seed)]
    x = (torch.randn(1, 3, 64, 64, generator=generators[0]) * PLAIN["start"]).requires_grad_(True)
    adam = torch.optim.Adam([x], betas=(0.5, 0.9))
    real, relevance = relevant(model, zoo.normalise(model, references).requires_grad_(True), channel)
    counts = {tap: weights(relevance[tap]) for tap in TAPS}
    for step in range(steps):
        adam.param_groups[0]["lr"] = learning_rate(step, steps, 1.0)
        found, _ = relevant(model, shifted(x, 6, generators), channel)
        loss = 0.0
        for tap in TAPS:
            ranks = found[tap].argsort(-1).argsort(-1)
            wanted = real[tap].sort(-1).values.mean(0, keepdim=True).gather(-1, ranks)
            loss = loss + (counts[tap] * (found[tap] - wanted).expand(len(references), -1, -1).square()).mean()
        torch.autograd.grad(loss, x, retain_graph=True)  # for the transparency map
        adam.zero_grad()
        loss.backward(retain_graph=True)
        adam.step()
        with torch.no_grad():
            x.clamp_(-2, 2)
    model.requires_grad_(False).zero_grad()
    return float(loss.detach())


def main(steps: int = 4, channels: int = 12, usual: int = 150) -> None:
    """Print both times per image and step, their ratio and both losses."""
    torch.set_num_threads(1)
    model, images = zoo.model("world/resnet50"), world.split("train", 240, maps=False).pixels()
    found = top_patches(model, images, range(channels), k=50)
    ticks, losses = [], []
    started = time.perf_counter()
    vital_inner(model, range(channels), found.images, transparency=True, steps=12,
                callback=lambda t, loss: ticks.append(time.perf_counter()), **PLAIN)  # fmt: skip
    each = (ticks[-1] - ticks[0]) / 11
    fast = (each + (ticks[0] - started - each) / usual) / channels  # references are looked at once
    vital_inner(model, [0], found.images[:1], steps=steps, callback=lambda t, loss: losses.append(float(loss)), **PLAIN)
    started = time.perf_counter()
    slow_loss = one_image_as_published(model, 0, found.images[0], steps)
    slow = (time.perf_counter() - started) / steps
    print(f"inner mode, per image and step: published form {slow * 1e3:.0f} ms, here {fast * 1e3:.1f} ms")
    print(f"inner mode: {slow / fast:.0f} times faster (looking at the references once for {usual} steps included)")
    print(f"inner mode, loss after {steps} steps: published form {slow_loss:.5f}, here {losses[-1]:.5f}")


if __name__ == "__main__":
    main()
