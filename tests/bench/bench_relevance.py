"""LRP as VITAL's inner mode needs it at every step, against the form that the official code has.

That form copies the network and clamps the copy's weights at each call, runs each block again for the ratio of its
residual and each convolution again with weight gradients, one image at a time, after a pass of its own for the
activations. Both run in this process, on the same network, images and channel, and give the same relevance.
"""

import copy
import time
import warnings

import torch
import torch.nn.functional as F
from torch import nn

from sightglass import world, zoo
from sightglass.relevance import relevance_and_activations
from sightglass.zoo.taps import record

TAPS, AT = ("block2", "block3", "block4"), "block5"


def back(layer, x, arriving, epsilon=1e-5):
    """Send relevance back through one layer of positive weights, with the gradients of its weights."""
    x = x.detach().requires_grad_(True)
    out = layer(x)
    out.backward((arriving / (out + epsilon)).detach())
    return (x * x.grad).detach()


def layers_of(block):
    """Return a bottleneck's convolutions and poolings in order, each with the layers that follow it."""
    pooled = [block.aa] if isinstance(block.aa, nn.AvgPool2d) else []
    first, last = [block.conv1, block.bn1, block.act1], [block.conv3, block.bn3]
    return [first, [block.conv2, block.bn2, block.act2], *([pool] for pool in pooled), last]


def through_block(block, positive, x, arriving):
    """Send relevance back through a bottleneck; `positive` is its copy with clamped weights."""
    inputs, out = [], x
    for group in layers_of(block):
        inputs.append(out)
        for layer in group:
            out = layer(out)
    skip = x if block.downsample is None else block.downsample(x)
    share = out.abs() / (out.abs() + skip.abs() + 1e-12)
    main, rest = share * arriving, (1 - share) * arriving
    for group, given in zip(reversed(layers_of(positive)), reversed(inputs), strict=True):
        main = back(group[0], given, main)
    if block.downsample is None:
        return main + rest
    pool, conv = block.downsample[0], positive.downsample[1]
    return main + back(pool, x, back(conv, pool(x), rest))


def as_published(model, x, channel):
    """Return one image's activations and relevance, {tap: (1, c, positions)} each."""
    with record(model, TAPS) as kept:
        model(x)
    used = copy.deepcopy(model).requires_grad_(True)
    positive = copy.deepcopy(used)
    for module in positive.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data.clamp_(min=0)
    blocks = [(i, n) for i in (1, 2, 3, 4) for n in range(len(getattr(used, f"layer{i}")))]
    given, out = {}, used.maxpool(used.act1(used.bn1(used.conv1(x))))
    for i, n in blocks:
        given[i, n] = out
        out = getattr(used, f"layer{i}")[n](out)
    arriving, found = out.detach() * F.one_hot(torch.tensor([channel]), out.shape[1])[:, :, None, None], {}
    for i, n in reversed(blocks[3:]):  # down to the first stage's output
        block, clamped = (getattr(net, f"layer{i}")[n] for net in (used, positive))
        arriving = through_block(block, clamped, given[i, n], arriving).detach()
        found |= {f"block{i}": arriving.flatten(2)} if n == 0 else {}
    return kept, found


def seconds(call, times):
    """Return the shortest time of a call."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return min(taken)


def main(images: int = 24, times: int = 3) -> None:
    """Print times per image and step, their ratios and the largest difference."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", RuntimeWarning)
    model = zoo.model("world/resnet50")
    x = zoo.normalise(model, world.split("test", images).pixels()).requires_grad_(True)
    with record(model, AT) as kept, torch.no_grad():
        model(x)
    channel = int(kept[AT].sum((0, 2)).argmax())
    target = torch.full((images,), channel)
    relevance, _ = relevance_and_activations(model, x, target, TAPS, relevance="LRP", at=AT)
    _, slow = as_published(model, x[:1].detach(), channel)
    apart = max(float((relevance[tap][:1] - slow[tap]).abs().max() / slow[tap].max()) for tap in TAPS)

    def forward():
        with record(model, TAPS) as kept:
            model(x)
        return dict(kept)

    def step(relevance, kept):
        loss = sum((kept[tap] * relevance[tap]).square().sum() for tap in TAPS)
        torch.autograd.grad(loss, x)

    def look():
        return relevance_and_activations(model, x, target, TAPS, relevance="LRP", at=AT)

    fast, plain = seconds(look, times) / images, seconds(forward, times) / images
    shared, apart_too = seconds(lambda: step(*look()), times), seconds(lambda: step(look()[0], forward()), times)
    published = seconds(lambda: as_published(model, x[:1].detach(), channel), times)
    print(f"LRP, per image: published form {published * 1e3:.1f} ms, here {fast * 1e3:.2f} ms, activations included")
    print(f"LRP: {published / fast:.0f} times faster; {fast / plain:.1f} times a forward pass without it")
    print(f"LRP: a step with its gradient is {apart_too / shared:.2f} times faster than with a forward pass for each")
    print(f"LRP: largest difference from the published form {apart:.1e} of the largest relevance")


if __name__ == "__main__":
    main()
