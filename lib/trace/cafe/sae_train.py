"""Train the shipped sparse autoencoders: `python -m sightglass.trace.cafe.sae_train [NETWORK...]`.

One for each block of the world's vision transformer and for three blocks of its ResNet, eight latents a channel, from
PFVs of training images. Tensors and a card per network land in data/weights/world/.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from ...zoo import shipped
from ...zoo.taps import record
from . import sae_fit
from .sae import MADE_BY, Sae, from_tensors, joined, quality, tensors

# Wider blocks of the ResNet would need files of megabytes for eight latents a channel.
LAYERS: dict[str, list[str]] = {
    "vit_b_16": [f"blocks.{i}" for i in range(5)],
    "resnet50": ["layer1.1", "layer2.0", "layer2.2"],
}
RECIPE = {"kind": "matryoshka", "latents a channel": 8, "images": 2400, "positions": 65, "seed": 0}
UNSEEN = 240  # images of the test split that quality is measured on
BATCH = 120


def train(name: str) -> dict:
    """Train the autoencoders of one world network, write tensors and card, return the card."""
    from ... import world
    from ...zoo import model

    network, started = model(f"world/{name}"), time.process_time()
    # the file of all training images is there since the networks were trained; a part of it would be drawn anew
    seen = world.split("train", world.SPLITS["train"].size, maps=False)[: RECIPE["images"]]
    learnt = {layer: fit(h) for layer, h in vectors(network, LAYERS[name], seen.pixels()).items()}
    minutes = round((time.process_time() - started) / 60, 1)
    unseen = vectors(network, LAYERS[name], world.split("test", UNSEEN, maps=False).pixels())
    found = {layer: rounded(quality(sae, unseen[layer])) for layer, sae in learnt.items()}
    facts = {
        "family": "sparse autoencoders", "network": name, "layers": list(learnt), "recipe": RECIPE | sae_fit.RECIPE,
        "minutes": minutes, "quality": found, "latents": {layer: len(s.encoder) for layer, s in learnt.items()},
    }  # fmt: skip
    return shipped.save(f"sae_{name}", joined(learnt.items()), facts)


@torch.no_grad()
def vectors(network: nn.Module, layers: list[str], images: Tensor) -> dict[str, Tensor]:
    """Return PFVs of layers, {layer: (n, c)}: all tokens of an image, or as many positions drawn at random."""
    from ...zoo import normalise

    draws = torch.Generator().manual_seed(RECIPE["seed"])
    found: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    for part in images.split(BATCH):
        with record(network, layers) as kept:
            network(normalise(network, part))
        for layer, values in kept.items():
            places = torch.rand(values.shape[2], generator=draws).argsort()[: RECIPE["positions"]]
            found[layer].append(values[:, :, places].transpose(1, 2).flatten(0, 1))
    return {layer: torch.cat(parts) for layer, parts in found.items()}


def fit(h: Tensor) -> Sae:
    """Train one autoencoder on PFVs (n, c), and round it to what the file keeps."""
    width = RECIPE["latents a channel"] * h.shape[1]
    sae = sae_fit.train(h, width=width, kind=RECIPE["kind"], seed=RECIPE["seed"])
    half = {name: v.half().float() if v.is_floating_point() else v for name, v in tensors(sae).items()}
    return from_tensors(half, "training")


def rounded(numbers: dict[str, float]) -> dict[str, float]:
    """Round numbers for a card."""
    return {name: round(value, 4) for name, value in numbers.items()}


def main(arguments: list[str] | None = None) -> None:
    """Train the autoencoders of the named networks, or of all, and say how well they do."""
    shipped.command(MADE_BY, "network with autoencoders", LAYERS, train, "quality", arguments)


if __name__ == "__main__":
    main()
