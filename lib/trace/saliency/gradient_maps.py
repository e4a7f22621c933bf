"""Saliency maps made of gradients at the pixels: f(model, x, target) -> (n, h, w), any number of images at once.

Gradients alone tell sensitivity: their map is the largest size among the three colours. Gradients times pixels tell
contributions, and so does integrating them: their map is the sum over colours, with its sign.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ...zoo.layout import attach, locate


def saliency(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Return the size of the gradient at each pixel (n, h, w)."""
    from captum.attr import Saliency

    return Saliency(model).attribute(fresh(x), target).detach().amax(1)


def guided_backpropagation(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Return the size of the gradient that stays positive through all ReLUs (n, h, w)."""
    from captum.attr import GuidedBackprop

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU")
        return GuidedBackprop(model).attribute(fresh(x), target).detach().abs().amax(1)


def gradient_times_input(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Return the gradient times the pixel, summed over colours (n, h, w)."""
    from captum.attr import InputXGradient

    return InputXGradient(model).attribute(fresh(x), target).detach().sum(1)


def integrated_gradients(model: nn.Module, x: Tensor, target: Tensor, *, steps: int = 50, batch: int = 64) -> Tensor:
    """Return gradients integrated from the mean colour, all zeros, to the image, times the pixel (n, h, w)."""
    from captum.attr import IntegratedGradients

    given = {"n_steps": steps, "internal_batch_size": max(batch, len(x))}
    return IntegratedGradients(model).attribute(fresh(x), target=target, **given).detach().sum(1).to(x.dtype)


def smoothgrad(
    model: nn.Module, x: Tensor, target: Tensor, *, samples: int = 20, noise: float = 0.15, seed: int = 0
) -> Tensor:
    """Return the size of the gradient averaged over noisy copies of the image (n, h, w).

    `noise` is its standard deviation as a share of each image's range of values. All images share the draws, so that a
    map doesn't depend on what else is in the batch, as it does with captum's own noise.
    """
    from captum.attr import Saliency

    draw = torch.Generator().manual_seed(seed)
    std = noise * (x.amax((1, 2, 3)) - x.amin((1, 2, 3)))[:, None, None, None]
    total = torch.zeros_like(x)
    for _ in range(samples):
        drawn = torch.randn(x.shape[1:], generator=draw).to(x)
        total += Saliency(model).attribute(fresh(x + std * drawn), target, abs=False).detach()
    return (total / samples).abs().amax(1)


def fullgrad(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Return what pixels and all biases contribute, each channel's map scaled to [0, 1] and summed (n, h, w).

    The same maps as grad-cam's, which resizes channel by channel and image by image: resizing is linear, so here a
    layer's channels are summed first.
    """
    x = fresh(x)
    biases = {path: bias(module) for path, module in biased(model).items()}
    with torch.enable_grad(), outputs(model, biases) as kept:
        logits = model(x)
    slopes = torch.autograd.grad(logits.gather(1, target[:, None]).sum(), [x, *kept.values()])
    total = spread_over_one((x * slopes[0]).abs().detach()).sum(1)
    for path, slope in zip(kept, slopes[1:], strict=True):
        layer = spread_over_one((slope * biases[path][:, None, None]).abs()).sum(1)
        total += resize(layer, x.shape[-2:])
    return spread_over_one(total)


def biased(model: nn.Module) -> dict[str, nn.Module]:
    """Return the convolutions and batch norms whose biases FullGrad counts, by their paths."""
    kinds = (nn.Conv2d, nn.BatchNorm2d)
    return {path: m for path, m in model.named_modules() if type(m) in kinds and m.bias is not None}


def bias(module: nn.Module) -> Tensor:
    """Return what a layer adds to each channel (c,): a batch norm's mean counts as well."""
    if isinstance(module, nn.Conv2d):
        return module.bias.detach()
    return (module.bias - module.running_mean * module.weight / (module.running_var + module.eps).sqrt()).detach()


@contextmanager
def outputs(model: nn.Module, paths: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Keep layers' outputs (n, c, h, w) of the forward pass inside the block, before anything overwrites them."""
    kept, handles = {}, []

    def keep(value: Tensor, spot) -> Tensor:
        kept[spot.path] = value
        return value.clone()

    try:
        for spot in locate(model, paths):
            handles.append(attach(spot, keep))
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def spread_over_one(maps: Tensor) -> Tensor:
    """Shift and stretch each map (..., h, w) to go from 0 to 1; a constant one becomes 0."""
    maps = maps - maps.amin((-2, -1), keepdim=True)
    return maps / (maps.amax((-2, -1), keepdim=True) + 1e-7)


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring maps (n, h, w) to another size, bilinearly."""
    return nn.functional.interpolate(maps[:, None], size=tuple(size), mode="bilinear", align_corners=False)[:, 0]


def fresh(x: Tensor) -> Tensor:
    """Return pixels as the start of a new graph."""
    return x.detach().clone().requires_grad_(True)
