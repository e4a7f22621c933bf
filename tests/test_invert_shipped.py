"""The inverters that ship: their size, and what the networks see in pictures drawn by them."""

import pytest
import torch

pytest.importorskip("accelerate")

import sightglass as sg
from sightglass.invert import judge, ready, sample
from sightglass.zoo import weights

MANY, LARGEST = 48, 25e6


@pytest.fixture(scope="module")
def ed():
    """Load the edition that they belong to."""
    return sg.load("world", device="cpu")


@pytest.fixture(scope="module")
def base(ed):
    """Read their base once."""
    return ready.base(ed)


def test_base_and_inverters_are_small(ed):
    names = [f"invert_{role}_{one.tap}{how}" for role, one in ed.inverters.items() for how in ("", "_pooled")]
    sizes = [(weights.FOLDER / f"{name}.safetensors").stat().st_size for name in ("base", *names)]
    assert len(sizes) == 7 and sum(sizes) < LARGEST


@pytest.mark.parametrize("role", ["resnet50", "convnext_base", "swinv2_base"])
def test_networks_see_the_same_in_what_is_drawn_of_maps_and_less_of_their_means(ed, base, role):
    images, found = ed.images("test", MANY).pixels, []
    for pooled in (False, True):
        inverter = ready.inverter(ed, role, pooled=pooled, on=base)
        own = judge.of(inverter, ed.model(role), images)
        found.append(judge.judged(own, sample.reconstruct(inverter, own.maps)))
    spatial, pooled = found
    assert spatial.match(5).float().mean() > 0.9
    closer = spatial.cosine - pooled.cosine
    assert closer.mean() > 4 * closer.std() / MANY**0.5  # of the same images, so their hardness doesn't count
    ceiling = judge.judged(own, judge.through_codec(base, images))
    means = [one.cosine.mean() for one in (judge.floor(own), pooled, spatial, ceiling)]
    assert torch.stack(means).diff().gt(0).all()
