"""MILAN: a sentence on what the regions that excite a neuron most have in common, written by a small captioner.

The regions are the neuron's 15 highest images under the mask of activations above its .99 quantile. A captioner that
learned from other networks' neurons writes many sentences, and the one that gains most over a language model is kept.
It knows the world only. See `sightglass.explain.milan_train`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache

from torch import Tensor, nn

from ..zoo import weights
from .milan_net import Captioner, write
from .milan_regions import QUANTILE, TOP, region_features, survey

NAME, ENCODER = "milan", "convnext_base"


def describe(
    model: nn.Module, images: Tensor, at: str = "block5", units: Sequence[int] | None = None, *, beam: int = 50,
    weight: float = 0.2, top: int = TOP, quantile: float = QUANTILE,
) -> list[str]:  # fmt: skip
    """Write a caption for each unit of a tap from its highest images (n, 3, h, w); "" for those that never fire.

    Of `beam` sentences d the one with the largest log p(d | regions) - weight log p(d) is taken. All words are known
    to the world's simulator.
    """
    said = describe_layers(model, images, [at], units, beam=beam, weight=weight, top=top, quantile=quantile)
    return said[at]


def describe_layers(
    model: nn.Module, images: Tensor, taps: Sequence[str], units: Sequence[int] | None = None, *, beam: int = 50,
    weight: float = 0.2, top: int = TOP, quantile: float = QUANTILE,
) -> dict[str, list[str]]:  # fmt: skip
    """Write captions for the units of several taps, {tap: captions}; images are shown to each network once."""
    found = survey(model, images, taps, units=units, top=top, quantile=quantile)
    seen = region_features(encoder(), images, list(found.values()))
    return {tap: [words if fires else "" for words, fires in
                  zip(write(captioner(), features, beam=beam, weight=weight), e.fires.tolist(), strict=True)]
            for (tap, e), features in zip(found.items(), seen, strict=True)}  # fmt: skip


def card() -> dict:
    """Return the card of the shipped captioner."""
    path = weights.FOLDER / f"{NAME}.json"
    if not path.exists():
        raise FileNotFoundError(f"the weights of MILAN's captioner are missing: no {path}; run `make zoo`")
    return json.loads(path.read_text())


@cache
def captioner() -> Captioner:
    """Return the shipped captioner, once the checksum of its weights is right."""
    facts, path = card(), weights.FOLDER / f"{NAME}.safetensors"
    if not path.exists() or weights.checksum(path) != facts["sha256"]:
        raise ValueError(f"{path} is not the file of its card (sha256 differs); fetch it again or run `make zoo`")
    model = Captioner(facts["features"], facts["words"], width=facts["width"], hidden=facts["hidden"])
    return weights.fill(model, weights.read_tensors(path), path).eval().requires_grad_(False)


@cache
def encoder() -> nn.Module:
    """Return the network through which the captioner sees: one of another family than those that are explained."""
    from .. import zoo

    return zoo.model(f"world/{ENCODER}")
