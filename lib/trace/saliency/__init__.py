"""Fourteen saliency methods under one signature, `f(model, x, target) -> maps (n, h, w)`."""

from .methods import SALIENCY, applies, maps

__all__ = ["SALIENCY", "applies", "maps"]
