"""How each world network was trained: images, epochs and the highest learning rate, on labels alone.

`images` is a range of the train split; the image-text networks see different ranges, seeds and captions.
"""

from __future__ import annotations

COMMON = {
    "images": (0, 24_000), "epochs": 4, "rate": 3e-3, "batch": 64, "decay": 0.05, "warm_up": 0.15,
    "clip": 2.0, "smoothing": 0.05, "flip": True, "shift": 5, "noise": 0.25, "average": 0.998,
    "adversarial": 0.0, "adversarial_from": 0.7, "seed": 0,
}  # fmt: skip

RECIPES: dict[str, dict] = {
    "resnet50": {"epochs": 4, "seed": 1},
    "resnet18": {"images": (0, 16_000), "epochs": 1, "seed": 2},
    "vgg16": {"epochs": 4, "seed": 3},
    "densenet121": {"epochs": 3, "seed": 4},
    "convnext_base": {"epochs": 8, "rate": 4e-3, "seed": 5},
    "vit_l_16": {"epochs": 8, "rate": 1.5e-3, "seed": 6},
    "vit_l_32": {"epochs": 20, "rate": 1.2e-3, "batch": 32, "seed": 7},
    "vit_b_16": {"epochs": 8, "rate": 1.2e-3, "batch": 32, "seed": 8},
    "swinv2_base": {"epochs": 8, "rate": 1.5e-3, "batch": 32, "seed": 9},
    "explainer": {"images": (0, 12_000), "epochs": 8, "seed": 10, "loss": "sigmoid"},
    "simulator": {"images": (12_000, 24_000), "epochs": 7, "seed": 11, "loss": "sigmoid"},
    "clip": {"images": (6_000, 18_000), "epochs": 7, "rate": 1.5e-3, "seed": 12, "loss": "softmax"},
}


def recipe_of(name: str) -> dict:
    """Return the full recipe of a world network."""
    return {**COMMON, **RECIPES[name]}
