"""The differentiable SRD map: equal to the plain one, with the derivative that finite differences find."""

import pytest
import timm
import torch
from torch import nn

from sightglass.trace.srd.backward import srd
from sightglass.trace.srd.replay import srd_differentiable

SMALL = {
    "silu": ("resnet50", dict(layers=(1, 1, 1, 1), channels=(4, 6, 8, 10), stem_width=8, act_layer=nn.SiLU)),
    "relu": ("resnet18", dict(layers=(1, 1, 1, 1), channels=(4, 6, 8, 10))),
    "softplus": ("resnet18", dict(layers=(1, 1, 1, 1), channels=(4, 6, 8, 10), act_layer=nn.Softplus)),
    "convnext": ("convnext_tiny", dict(depths=(1, 1, 1, 1), dims=(8, 8, 12, 12), ls_init_value=None)),
    "densenet": ("densenet121", dict(growth_rate=4, block_config=(2, 2, 2, 2))),
}


def build(kind):
    torch.manual_seed(0)
    name, how = SMALL[kind]
    how = dict(how)
    act = how.pop("act_layer", None)
    net = timm.create_model(name, num_classes=5, **how)
    for module in [*net.modules()]:
        for child, part in [*module.named_children()]:
            if act is not None and isinstance(part, nn.ReLU):
                setattr(module, child, act())
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(), module.bias.data.normal_()
    return net.double().eval().requires_grad_(False)


def images(size=33):
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("bias", ["spread", "drop"])
@pytest.mark.parametrize("kind", SMALL)
def test_replayed_maps_are_the_maps(kind, bias):
    net, x, target = build(kind), images(64), torch.tensor([1, 2])
    for weights in ("clamped", "raw"):
        replayed, logits = srd_differentiable(net, x, target, weights=weights, bias=bias)
        torch.testing.assert_close(replayed, srd(net, x, target, weights=weights, bias=bias).input)
    torch.testing.assert_close(logits, net(x))
    ones = torch.ones(2, srd(net, x, target).low[0].numel()).double()
    alone, _ = srd_differentiable(net, x, bias=bias)
    torch.testing.assert_close(alone, srd(net, x, target, weights=ones, bias=bias).input)


@pytest.mark.parametrize("target", [None, [1, 2]])
@pytest.mark.parametrize("kind", SMALL)
def test_derivatives_of_the_map_are_finite_differences(kind, target):
    net, x = build(kind), images(64 if kind in ("densenet", "convnext") else 33).requires_grad_(True)
    draw = torch.Generator().manual_seed(2)
    weight = torch.randn(x.shape[2:], generator=draw).double()
    step = 1e-6 * torch.randn(x.shape, generator=draw).double()

    def score(t):
        return (srd_differentiable(net, t, target, weights="mean")[0].square() * weight).sum()

    (slope,) = torch.autograd.grad(score(x), x)
    difference = (score(x + step) - score(x - step)) / 2
    assert difference.abs() > 0
    torch.testing.assert_close((slope * step).sum(), difference.detach(), rtol=1e-4, atol=1e-12)


def test_logits_keep_their_own_derivative():
    net, x = build("silu"), images().requires_grad_(True)
    _, logits = srd_differentiable(net, x)
    (ours,), (plain,) = (torch.autograd.grad(out.square().sum(), x) for out in (logits, net(x)))
    torch.testing.assert_close(ours, plain)


def test_the_centred_convention_has_no_replay():
    with pytest.raises(ValueError, match="spread and drop"):
        srd_differentiable(build("relu"), images(), bias="centred")
