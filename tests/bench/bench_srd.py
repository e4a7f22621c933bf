"""SRD at pixel level against one plain gradient of the same network, and against the pairwise definition of sharing.

The definition multiplies the ratio matrices of a small network's layers, each made from one canvas for every position.
"""

import time

import timm
import torch
from torch import Tensor, nn

from sightglass.trace.srd.backward import mixture, srd
from sightglass.trace.srd.forward import sharing_ratios

REPEATS = 7


def timed(*functions) -> list[float]:
    """Return the least time of each function over interleaved repeats, after one that isn't counted."""
    times = [[] for _ in functions]
    for repeat in range(REPEATS + 1):
        for mine, function in zip(times, functions, strict=True):
            started = time.perf_counter()
            function()
            if repeat:
                mine.append(time.perf_counter() - started)
    return [min(mine) for mine in times]


def gradient(net: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Return the plain gradient of the target's logit."""
    x = x.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(net(x).gather(1, target[:, None]).sum(), x)
    return slope


def small_network() -> nn.Sequential:
    """Make a chain of five convolutions with batch norm and ReLU."""
    torch.manual_seed(0)
    widths, layers = (3, 8, 8, 12, 12, 16), []
    for i, (before, after) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        norm = nn.BatchNorm2d(after)
        norm.running_mean.normal_(0, 0.3), norm.bias.data.normal_(0, 0.3)
        layers += [nn.Conv2d(before, after, 3, 1 + i % 2, 1), norm, nn.ReLU()]
    return nn.Sequential(*layers).eval().requires_grad_(False)


def pairwise(net: nn.Sequential, x: Tensor, weights: Tensor) -> Tensor:
    """Return the same map as SRD (1, h, w), by the ratios of every pair of positions."""
    whole, v = None, x
    for i in range(0, len(net), 3):
        ratios = sharing_ratios(net[i : i + 2], v)
        whole = ratios if whole is None else ratios @ whole
        v = net[i : i + 3](v)
    return (weights @ whole).reshape(1, *x.shape[2:])


def against_gradient(name: str, n: int, size: int) -> None:
    """Print the cost of SRD in plain gradients."""
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=1000).eval().requires_grad_(False)
    x = torch.randn(n, 3, size, size)
    target = net(x).argmax(1)
    plain, *ours = timed(lambda: gradient(net, x, target), *(
        lambda bias=bias: srd(net, x, target, bias=bias) for bias in ("spread", "drop")))  # fmt: skip
    print(f"SRD of {name}, {n} images of {size} px: {ours[0] * 1e3:.0f} ms, {ours[0] / plain:.2f} of a plain gradient "
          f"({plain * 1e3:.0f} ms); with biases dropped {ours[1] / plain:.2f}")  # fmt: skip


def main() -> None:
    """Print the cost of SRD in plain gradients, and its gain over the definition with the largest difference."""
    torch.set_num_threads(1)
    for name, n, size in (("resnet50", 1, 224), ("resnet50", 8, 64), ("vgg16", 1, 224), ("densenet121", 1, 224)):
        against_gradient(name, n, size)
    net, x = small_network(), torch.randn(1, 3, 32, 32)
    at = str(len(net) - 1)
    weights = torch.rand(1, net(x)[0, 0].numel())
    ours, theirs = mixture(net, x, at, weights), pairwise(net, x, weights)
    fast, slow = timed(lambda: mixture(net, x, at, weights), lambda: pairwise(net, x, weights))
    print(f"SRD of a network of five convolutions: {slow * 1e3:.0f} ms by pairs, {fast * 1e3:.1f} ms backward, "
          f"{slow / fast:.0f} times faster; maps differ by {(ours - theirs).abs().max() / ours.abs().max():.0e} "
          "of their largest value")  # fmt: skip


if __name__ == "__main__":
    main()
