"""Drawn feature vectors: shared as tensors, repetitions taken out, ways by name."""

import pytest
import torch

from sightglass.trace.drawn import drawn, one_of_each_image, taken
from sightglass.zoo import model, normalise
from sightglass.zoo.taps import record


def test_drawn_vectors_are_the_networks_and_none_comes_twice():
    network, images = model("world/resnet50"), torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = drawn(network, images, ["layer2.0", "layer3.0"], each=12)
    with record(network, ["layer3.0"]) as kept:
        network(normalise(network, images))
    sample = taken(found, "layer3.0")
    assert len(found["layer3.0 image"]) == 36 > len(sample.image)
    spots = list(zip(sample.image.tolist(), sample.position.tolist(), strict=True))
    assert len(set(spots)) == len(spots) and spots == sorted(spots)
    assert torch.allclose(sample.vectors, kept["layer3.0"][sample.image, :, sample.position], atol=1e-5)
    assert set(spots) == set(zip(*(found[f"layer3.0 {k}"].tolist() for k in ("image", "position")), strict=True))


def test_relevance_by_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="SRD"):
        drawn(model("world/resnet50"), torch.rand(1, 3, 64, 64), ["layer2.0"], relevance="Srd")


def test_the_nearest_vector_of_each_image_is_named_once():
    distance, image = torch.tensor([3.0, 1.0, 2.0, 0.5, 4.0]), torch.tensor([0, 1, 1, 2, 3])
    assert one_of_each_image(distance, image, 3).tolist() == [3, 1, 0]
