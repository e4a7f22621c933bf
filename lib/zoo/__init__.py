"""One way to every network (`model`), its pixel scale (`normalise`), and its named taps (`taps`)."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch

import torch
from torch import Tensor, nn

from .families import FAMILIES, describe
from .taps import taps

__all__ = ["card", "denormalise", "list_models", "mean_std", "model", "normalise", "taps"]


def model(
    name: str = "", *, mean: Sequence[float] = (), std: Sequence[float] = (), taps: dict | None = None, **how
) -> nn.Module:
    """Return a network in eval mode with frozen parameters.

    `name` is a world network ("world/resnet50"), a timm name with published weights ("resnet50.tv_in1k"), a
    hub id ("hf-hub:org/name"), a local folder of hub shape, or a checkpoint file together with `architecture`
    (a timm name) and `arguments` (a dict), or with `builder` ("models.py:load", called with the file's path).
    `mean`, `std` and `taps` ({"block1": "conv1", ...}) are for networks that don't tell them.
    """
    from .loading import load
    from .weights import check_finite

    unknown = set(how) - {"architecture", "arguments", "builder"}
    if unknown:
        raise TypeError(f"model() takes architecture, arguments, builder, mean, std, taps, not {min(unknown)}")
    network = load(str(name), **how)
    check_finite(network.state_dict(), name or how.get("builder"))
    if mean or std:
        describe(network, *pixel_scale(mean, std), size=None)
    if taps:
        network.named_taps = dict(taps)
    return network.eval().requires_grad_(False)


def pixel_scale(mean: Sequence[float], std: Sequence[float]) -> tuple[tuple, tuple]:
    """Check a mean and a standard deviation of three channels."""
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(f"mean and std have three values each, std above 0; found {mean!r} and {std!r}")
    return tuple(mean), tuple(std)


def list_models(pattern: str = "world/*") -> list[str]:
    """List networks that `model` knows by name: those of the world, and timm's published ones, by a pattern."""
    import timm

    names = [*(f"world/{name}" for name in FAMILIES), *timm.list_pretrained()]
    return [name for name in names if fnmatch(name, pattern)]


def card(name: str) -> dict:
    """Return the card of a world network: architecture, recipe, accuracy per split, taps, size."""
    from .weights import card

    return card(name.removeprefix("world/"))


def mean_std(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation (3, 1, 1) of the pixels that a network expects."""
    cfg = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None) or {}
    cfg = cfg if isinstance(cfg, dict) else vars(cfg)
    if cfg.get("mean") is None or cfg.get("std") is None:
        raise ValueError(
            f"{type(model).__name__} doesn't say which pixels it expects; "
            "set model.pretrained_cfg = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))"
        )
    return tuple(torch.tensor(cfg[key], dtype=torch.float32).reshape(-1, 1, 1) for key in ("mean", "std"))


def normalise(model: nn.Module, images: Tensor) -> Tensor:
    """Turn images (n, 3, h, w) in [0, 1] into the pixels that a network expects."""
    mean, std = mean_std(model)
    return (images - mean.to(images)) / std.to(images)


def denormalise(model: nn.Module, pixels: Tensor) -> Tensor:
    """Turn a network's pixels back into images in [0, 1], unclamped."""
    mean, std = mean_std(model)
    return pixels * std.to(pixels) + mean.to(pixels)
