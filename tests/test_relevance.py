"""Relevance: shares that add up where theory says so."""

import pytest
import torch
from torch import nn

from sightglass.relevance import RELEVANCE, gradient_times_activation


@pytest.fixture(scope="module")
def network():
    """A network without biases: scaling an activation scales the output, so shares add up to it exactly."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(), nn.Conv2d(6, 5, 3, bias=False), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(5 * 16, 4, bias=False)).double().eval()


def test_gradient_times_activation_adds_up_to_the_output_at_every_layer(network):
    x, target = torch.randn(3, 3, 8, 8).double(), torch.tensor([0, 2, 3])
    shares = gradient_times_activation(network, x, target, ["0", "1", "3"])
    output = network(x).gather(1, target[:, None]).squeeze(1)
    for tap, share in shares.items():
        assert share.shape[:2] == (3, 5 if tap == "3" else 6) and not share.requires_grad
        torch.testing.assert_close(share.sum((1, 2)), output)


def test_it_equals_the_library(network):
    from captum.attr import LayerGradientXActivation

    x, target = torch.randn(2, 3, 8, 8).double(), torch.tensor([1, 2])
    ours = gradient_times_activation(network, x, target, ["1"])["1"]
    torch.testing.assert_close(ours, LayerGradientXActivation(network, network[1]).attribute(x, target).flatten(2))


def test_it_works_without_gradients_around_it_and_leaves_none(network):
    with torch.no_grad():
        gradient_times_activation(network, torch.randn(1, 3, 8, 8).double(), torch.tensor([0]), ["3"])
    assert all(p.grad is None for p in network.parameters()) and set(RELEVANCE) == {"gradient x activation"}
