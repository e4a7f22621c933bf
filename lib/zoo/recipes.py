"""How each world network was trained: images, epochs and the highest learning rate, on labels alone.

`images` is a range of the train split; the image-text networks see different ranges, seeds and captions. `finish` holds
what its last epochs do differently. `adversarial` shows each batch twice, the second time with every pixel moved by so
much the way that raises the loss; `colour` is the share of images that are recoloured.
"""

from __future__ import annotations

COMMON = {
    "images": (0, 24_000), "epochs": 4, "rate": 3e-3, "batch": 64, "decay": 0.05, "warm_up": 0.15,
    "clip": 2.0, "smoothing": 0.05, "flip": True, "shift": 5, "noise": 0.25, "average": 0.998,
    "adversarial": 0.0, "colour": 0.0, "finish": {}, "seed": 0,
}  # fmt: skip


def robust(epochs: int, size: float, **changes) -> dict:
    """Return a finish with images pushed by `size` of 255 steps."""
    return {"epochs": epochs, "adversarial": size / 255, "rate": 8e-4, "batch": 32, "warm_up": 0.05, **changes}


RECIPES: dict[str, dict] = {
    "resnet50": {"epochs": 4, "seed": 1, "finish": robust(2, 4)},
    "resnet18": {"images": (0, 16_000), "epochs": 1, "seed": 2, "finish": robust(1, 4, colour=0.25)},
    "vgg16": {"epochs": 4, "seed": 3, "finish": robust(4, 6, rate=2e-3)},
    "densenet121": {"epochs": 3, "seed": 4, "finish": robust(2, 6, colour=0.25)},
    "convnext_base": {"epochs": 8, "rate": 4e-3, "seed": 5, "finish": robust(4, 8, colour=0.25)},
    "vit_l_16": {"epochs": 8, "rate": 1.5e-3, "seed": 6, "finish": robust(5, 6, colour=0.25)},
    "vit_l_32": {"epochs": 20, "rate": 1.2e-3, "batch": 32, "seed": 7, "finish": robust(6, 6, colour=0.25)},
    "vit_b_16": {"epochs": 8, "rate": 1.2e-3, "batch": 32, "seed": 8, "finish": robust(5, 6, colour=0.25)},
    "swinv2_base": {"epochs": 8, "rate": 1.5e-3, "batch": 32, "seed": 9, "finish": robust(4, 6, colour=0.25)},
    "explainer": {"images": (0, 12_000), "epochs": 8, "seed": 10, "loss": "sigmoid"},
    "simulator": {"images": (12_000, 24_000), "epochs": 7, "seed": 11, "loss": "sigmoid"},
    "clip": {"images": (6_000, 18_000), "epochs": 7, "rate": 1.5e-3, "seed": 12, "loss": "softmax"},
}


def recipe_of(name: str) -> dict:
    """Return the full recipe of a world network."""
    return {**COMMON, **RECIPES[name]}
