"""One way to every network (`model`), its pixel scale (`normalise`), and its named taps (`taps`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .taps import taps


def mean_std(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation (3, 1, 1) of the pixels that a network expects."""
    cfg = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None)
    cfg = cfg if isinstance(cfg, dict) else vars(cfg) if cfg is not None else {}
    if cfg.get("mean") is None or cfg.get("std") is None:
        raise ValueError(
            f"{type(model).__name__} doesn't say which pixels it expects; "
            "set model.pretrained_cfg = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))"
        )
    mean, std = (torch.tensor(cfg[key], dtype=torch.float32).reshape(-1, 1, 1) for key in ("mean", "std"))
    return mean, std


def normalise(model: nn.Module, images: Tensor) -> Tensor:
    """Turn images (n, 3, h, w) in [0, 1] into the pixels that a network expects."""
    mean, std = mean_std(model)
    return (images - mean.to(images)) / std.to(images)


def denormalise(model: nn.Module, pixels: Tensor) -> Tensor:
    """Turn a network's pixels back into images in [0, 1], unclamped."""
    mean, std = mean_std(model)
    return pixels * std.to(pixels) + mean.to(pixels)
