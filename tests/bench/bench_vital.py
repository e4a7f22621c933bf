"""Class-mode VITAL against the form that the official code has: one image at a time, references sorted at every step.

Both run in this process, on the same network and references, from the same start, and reach the same loss.
"""

import time

import torch

from sightglass import world, zoo
from sightglass.visualize.vital import learning_rate, reference_quantiles, shifted, starts, vital
from sightglass.zoo.taps import record

TAPS = ("block1", "block2", "block3", "block4", "block5")
PLAIN = dict(tv=0.0, l2=0.0, weights="even", start=0.3, centre=0.0, jitter=6 / 64)


def features(model, x):
    """Return all taps' activations."""
    with record(model, TAPS) as kept:
        model(x)
    return dict(kept)


def one_image_as_published(model, references, steps, seed=0):
    """Optimise one image with unfrozen weights, ranking by two argsorts, sorting all references again at every step."""
    model.requires_grad_(True)
    x, generators = starts([seed], 1, 64, PLAIN["start"])
    x = x.clone().requires_grad_(True)
    adam = torch.optim.Adam([x], lr=1.0, betas=(0.5, 0.9))
    with torch.no_grad():
        kept = features(model, zoo.normalise(model, references))
    for step in range(steps):
        adam.param_groups[0]["lr"] = learning_rate(step, steps, 1.0)
        found = features(model, shifted(x, 6, generators))
        loss = 0.0
        for tap in TAPS:
            ranks = found[tap].argsort(-1).argsort(-1)
            target = kept[tap].sort(-1).values.mean(0, keepdim=True)
            loss = loss + (found[tap] - target.gather(-1, ranks)).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            for channel in range(3):
                x[:, channel].clamp_(-2, 2)
    model.requires_grad_(False)
    return float(loss.detach())


def main(steps: int = 4, images: int = 24, usual: int = 150) -> None:
    """Print both times per image and step, their ratio and both losses."""
    torch.set_num_threads(1)
    model, references = zoo.model("world/resnet50"), world.references(list(world.NOUNS)[:images], 50)
    ticks, losses = [], []
    started = time.perf_counter()
    reference_quantiles(model, references, TAPS)
    targets = (time.perf_counter() - started) / usual  # made once for the usual number of steps
    vital(
        model, range(images), references, steps=12, callback=lambda t, loss: ticks.append(time.perf_counter()), **PLAIN
    )
    fast = ((ticks[-1] - ticks[0]) / 11 + targets) / images
    vital(model, range(1), references[:1], steps=steps, callback=lambda t, loss: losses.append(float(loss)), **PLAIN)
    started = time.perf_counter()
    slow_loss = one_image_as_published(model, references[0], steps)
    slow = (time.perf_counter() - started) / steps
    print(f"class mode, per image and step: published form {slow * 1e3:.0f} ms, here {fast * 1e3:.1f} ms")
    print(f"class mode: {slow / fast:.0f} times faster (targets made once for {usual} steps included)")
    print(f"class mode, loss after {steps} steps: published form {slow_loss:.5f}, here {losses[-1]:.5f}")


if __name__ == "__main__":
    main()
