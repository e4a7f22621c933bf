"""Manipulation: maps as libraries make them, derivatives as differences find them, images that stay in their limits."""

import pytest
import timm
import torch
from torch import nn

from sightglass.trace import attackable, manipulate
from sightglass.trace.attackable import MAPS, Softened
from sightglass.trace.saliency.zplus import z_plus
from sightglass.trace.srd.backward import srd
from sightglass.zoo.families import describe


@pytest.fixture(scope="module")
def model():
    """A small VGG with batch statistics worth testing."""
    torch.manual_seed(0)
    cfg = [4, "M", 6, "M", 8, "M", 8, "M", 8, "M"]
    net = timm.models.vgg.VGG(cfg=cfg, norm_layer=nn.BatchNorm2d, mlp_ratio=1 / 64, num_classes=5, drop_rate=0.0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in ((module.weight, 0.5), (module.running_var, 0.5), (module.bias, -0.3)):
                values.data.copy_(low + torch.rand(values.shape))
    return describe(net, size=32).double().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def x():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double().clamp(-1.9, 1.9)


TARGET = torch.tensor([0, 3])


def values(name, model, x):
    return MAPS[name](model, x[:2].clone().requires_grad_(True), TARGET)


def test_maps_are_those_of_libraries(model, x):
    from captum.attr import GuidedBackprop, InputXGradient, Saliency

    leaf = x[:2].clone().requires_grad_(True)
    torch.testing.assert_close(values("Gradient", model, x)[0], Saliency(model).attribute(leaf, TARGET, abs=False))
    torch.testing.assert_close(values("GradInput", model, x)[0], InputXGradient(model).attribute(leaf, TARGET))
    torch.testing.assert_close(values("GuidedBackprop", model, x)[0], GuidedBackprop(model).attribute(leaf, TARGET))
    relevance = z_plus(model, x[:2], TARGET)
    torch.testing.assert_close(values("LRP z+", model, x)[0].sum(1), relevance, rtol=1e-3, atol=1e-5)
    ones = torch.ones(2, 1).double()
    torch.testing.assert_close(values("SRD", model, x)[0][:, 0], srd(model, x[:2], [0, 0], weights=ones).input)


def test_integrated_gradients_add_up(model, x):
    found = attackable.integrated_gradients(model, x[:2].clone().requires_grad_(True), TARGET, steps=200)[0]
    change = (model(x[:2]) - model(torch.zeros_like(x[:2]))).gather(1, TARGET[:, None])[:, 0]
    torch.testing.assert_close(found.sum((1, 2, 3)), change, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("name", MAPS)
def test_logits_come_along(model, x, name):
    torch.testing.assert_close(values(name, model, x)[1], model(x[:2]))


@pytest.mark.parametrize("name", MAPS)
def test_derivatives_are_those_of_the_map(model, x, name):
    """By finite differences in double precision; LRP and SRD without a softplus, too."""
    weight = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(2)).double()
    step = 1e-5 * torch.randn(x[:2].shape, generator=torch.Generator().manual_seed(3)).double()

    def total(pixels):
        return (MAPS[name](model, pixels, TARGET)[0] * weight).sum()

    def check():
        leaf = x[:2].clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(total(leaf), leaf)
        ends = [total((x[:2] + sign * step).requires_grad_(True)).item() for sign in (1, -1)]
        assert (slope * step).sum().item() == pytest.approx((ends[0] - ends[1]) / 2, rel=1e-2)

    with Softened(5.0):
        check()
    if name in attackable.SECOND_ORDER:
        check()


def test_a_relu_network_hides_its_gradients_from_an_attack(model, x):
    leaf = x[:2].clone().requires_grad_(True)
    slope = torch.autograd.grad(MAPS["Gradient"](model, leaf, TARGET)[0].sum(), leaf, allow_unused=True)[0]
    assert slope is None or slope.abs().max() == 0
    with Softened(5.0):
        slope = torch.autograd.grad(MAPS["Gradient"](model, leaf, TARGET)[0].sum(), leaf)[0]
    assert slope.abs().max() > 0


@pytest.mark.parametrize("name", MAPS)
def test_images_stay_in_their_limits_and_maps_come_nearer(model, x, name):
    state = {key: value.clone() for key, value in model.state_dict().items()}
    found = manipulate.manipulate(model, x[:2], x[2:], name, steps=8, rate=1e-2, output_weight=0.0)
    change = (found.x - x[:2]).abs()
    assert change.max() <= 8 / 255 / 0.25 + 1e-9 and change.max() > 0
    assert found.x.max() <= 2 and found.x.min() >= -2
    torch.testing.assert_close(found.moved, change.square().mean((1, 2, 3)))
    for maps in (found.before, found.after, found.goal):
        torch.testing.assert_close(maps.sum((1, 2)), torch.ones(2).double())
    if name in attackable.SECOND_ORDER:
        nearer = (found.after - found.goal).square().sum() < (found.before - found.goal).square().sum()
        assert nearer
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_each_image_stops_when_it_has_moved_enough(model, x):
    found = manipulate.manipulate(model, x[:2], x[2:], "SRD", steps=12, rate=1e-2, moved=3e-4)
    assert (found.steps < 12).all() and (found.moved >= 3e-4).all() and (found.moved < 3e-3).all()
    one = manipulate.manipulate(model, x[1:2], x[3:], "SRD", steps=12, rate=1e-2, moved=3e-4)
    torch.testing.assert_close(found.x[1:], one.x, rtol=1e-6, atol=1e-6)
    assert one.steps == found.steps[1:]


def test_the_output_term_holds_logits(model, x):
    how = dict(steps=10, rate=5e-3, moved=1.0)
    free = manipulate.manipulate(model, x[:2], x[2:], "SRD", output_weight=0.0, **how)
    held = manipulate.manipulate(model, x[:2], x[2:], "SRD", output_weight=1e14, **how)
    assert held.output.sum() < 0.5 * free.output.sum()
    torch.testing.assert_close(free.output, (model(free.x) - model(x[:2])).square().mean(1))


def test_the_softplus_grows_sharper():
    recipe = manipulate.RECIPE | {"steps": 50}
    sharp = [manipulate.sharpness(recipe, step) for step in range(50)]
    assert sharp[0] == 10 and sharp[-1] == pytest.approx(100) and sharp == sorted(sharp)
    assert len(set(sharp)) == manipulate.STAGES


def test_bad_input_is_said_in_a_sentence(model, x):
    with pytest.raises(KeyError, match="GradInput"):
        manipulate.manipulate(model, x[:1], x[1:2], "GradientInput")
    with pytest.raises(KeyError, match="unknown part of the recipe 'speed'"):
        manipulate.manipulate(model, x[:1], x[1:2], speed=3)
    with pytest.raises(ValueError, match=r"needs one to imitate, found \(1, 3, 32, 32\) and \(2, 3, 32, 32\)"):
        manipulate.manipulate(model, x[:1], x[1:3])
    with pytest.raises(ValueError, match="1 of 2 maps are zero everywhere"):
        manipulate.normalised(torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)]))
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(12, 4)).double().eval()
    with pytest.raises(ValueError, match="cuts gradients at ReLUs, and Sequential has none"):
        MAPS["GuidedBackprop"](smooth, torch.ones(1, 3, 2, 2).double().requires_grad_(True), torch.tensor([0]))
    model.train()
    with pytest.raises(ValueError, match="in eval mode"):
        manipulate.manipulate(model, x[:1], x[1:2])
    model.eval()
