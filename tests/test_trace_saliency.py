"""Saliency maps: equal to the libraries and to formulas, on each kind of network that the book shows them on."""

import warnings

import pytest
import timm
import torch
from torch import nn

from sightglass import world, zoo
from sightglass.trace.saliency import cams, cams_by_changes, gradient_maps
from sightglass.trace.saliency.methods import FROM_SLOPES, SALIENCY, applies, maps
from sightglass.zoo.taps import record, replace, split

QUICK = {"IntegratedGradients": {"steps": 3}, "SmoothGrad": {"samples": 2}, "ScoreCAM": {"most": 8}}
ACTIVATIONS = [nn.ReLU, nn.ELU, nn.LeakyReLU, nn.SiLU, timm.layers.GELU, timm.layers.Tanh]


def small(layer=nn.ReLU, block=timm.models.resnet.BasicBlock, channels=(4, 4, 8, 8)):
    """Build a residual network of few channels, with batch statistics and gains worth testing."""
    torch.manual_seed(0)
    how = dict(
        block=block, layers=(1, 1, 1, 1), channels=channels, output_stride=16, aa_layer=nn.AvgPool2d, avg_down=True
    )
    model, draw = timm.models.resnet.ResNet(act_layer=layer, num_classes=5, **how), torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in ((module.weight, 0.5), (module.running_var, 0.5), (module.bias, -0.2)):
                values.data.copy_(low + torch.rand(values.shape, generator=draw))
    return model.eval().requires_grad_(False)


def images(n=2, size=32, seed=0):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=["resnet50", "vgg16"])
def shown(request):
    """Give a network of the world, two scenes of its pixel scale, and what it says of them."""
    model = zoo.model(f"world/{request.param}")
    x = zoo.normalise(model, world.split("test", 2).pixels())
    return model, x, model(x).argmax(1)


def library(name, model, layers, x, target):
    """Return the maps of grad-cam."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with getattr(pytorch_grad_cam, name)(model=model, target_layers=layers) as method:
        found = method(x.clone().requires_grad_(True), [ClassifierOutputTarget(int(t)) for t in target])
    return torch.from_numpy(found)


def low_of(model, x):
    return model.get_submodule(zoo.taps(model).get(tap := cams.layers(model, x.shape[-2:])[0], tap))


def test_every_map_speaks_of_every_pixel_and_leaves_the_network_as_it_was(shown):
    model, x, target = shown
    before, modules = {k: v.clone() for k, v in model.state_dict().items()}, len(list(model.modules()))
    logits = model(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = maps(model, x, target, options=QUICK)
    assert list(found) == list(SALIENCY) and len(found) == 14
    for name, made in found.items():
        assert applies(name, model) == "" and made.shape == (2, 64, 64) and not made.requires_grad, name
        assert made.isfinite().all() and (made.amax((1, 2)) > made.amin((1, 2))).all(), name
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(model(x), logits) and len(list(model.modules())) == modules
    assert not any(p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._backward_hooks or "forward" in vars(m) for m in model.modules())


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=lambda layer: layer.__name__)
def test_maps_for_other_activations(layer):
    model, x, target = small(layer), images(), torch.tensor([0, 3])
    meant = [name for name in SALIENCY if not applies(name, model)]
    left_out = set() if layer is nn.ReLU else {"LRP z+", "GuidedBackprop"}
    assert set(SALIENCY) - set(meant) == left_out
    for name, made in maps(model, x, target, meant, options=QUICK).items():
        assert made.shape == (2, 32, 32) and made.isfinite().all(), name


def test_gradients_equal_their_formulas(shown):
    model, x, target = shown
    leaf = x.clone().requires_grad_(True)
    slope = torch.autograd.grad(model(leaf).gather(1, target[:, None]).sum(), leaf)[0]
    torch.testing.assert_close(SALIENCY["Saliency"](model, x, target), slope.abs().amax(1))
    torch.testing.assert_close(SALIENCY["GradInput"](model, x, target), (slope * x).sum(1))


def test_integrated_gradients_add_up_to_the_change_of_the_logit():
    model, x, target = small(nn.SiLU), images(), torch.tensor([1, 4])
    change = (model(x) - model(torch.zeros_like(x))).gather(1, target[:, None])[:, 0]
    shares = SALIENCY["IntegratedGradients"](model, x, target, steps=60).sum((1, 2))
    torch.testing.assert_close(shares, change, rtol=0.02, atol=1e-3)


def test_smoothgrad_averages_gradients_over_the_same_noise_for_all():
    model, x, target = small(), images(3), torch.tensor([1, 4, 0])
    made = SALIENCY["SmoothGrad"](model, x, target, samples=3, noise=0.1, seed=5)
    alone = SALIENCY["SmoothGrad"](model, x[2:], target[2:], samples=3, noise=0.1, seed=5)
    torch.testing.assert_close(made[2:], alone)
    draw, total = torch.Generator().manual_seed(5), 0
    for _ in range(3):
        noise = torch.randn(3, 32, 32, generator=draw)
        leaf = (x[2:] + 0.1 * (x[2].max() - x[2].min()) * noise).requires_grad_(True)
        total += torch.autograd.grad(model(leaf)[0, 0], leaf)[0]
    torch.testing.assert_close(alone, (total / 3).abs().amax(1))


def test_guided_backpropagation_cuts_at_every_relu():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)
    model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), nn.Linear(5 * 16, 4)).eval()
    x, target = images(2, 8), torch.tensor([2, 0])
    a = first(x)
    b = second(a.relu())
    back = (model[5].weight[target].view_as(b) * (b > 0)).clamp(min=0)
    back = (nn.functional.conv_transpose2d(back, second.weight) * (a > 0)).clamp(min=0)
    expected = nn.functional.conv_transpose2d(back, first.weight).abs().amax(1)
    torch.testing.assert_close(SALIENCY["GuidedBackprop"](model, x, target), expected.detach())


def test_z_plus_adds_up_to_the_logit(shown):
    model, x, target = shown
    logit = model(x).gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(SALIENCY["LRP z+"](model, x, target).sum((1, 2)), logit, rtol=0.01, atol=0)


def test_z_plus_adds_up_in_both_kinds_of_block_where_zennit_alone_does_not():
    from zennit.attribution import Gradient
    from zennit.composites import EpsilonPlus

    x, target = images(), torch.tensor([2, 2])
    for block in (timm.models.resnet.BasicBlock, timm.models.resnet.Bottleneck):
        # in few channels many a neuron has no positive contribution at all, and its relevance has nowhere to go
        model = small(block=block, channels=(32, 32, 32, 32))
        logit = model(x)[:, 2]
        made = SALIENCY["LRP z+"](model, x, target).sum((1, 2))
        torch.testing.assert_close(made, logit, rtol=0.02, atol=0)
    start = torch.zeros(2, 5).index_fill(1, torch.tensor([2]), 1) * logit[:, None]
    with Gradient(model, EpsilonPlus()) as attributor:
        plain = attributor(x, start)[1].sum((1, 2, 3))
    assert ((plain / logit - 1).abs() > 0.5).all()


@pytest.mark.parametrize("name", FROM_SLOPES)
def test_maps_from_slopes_equal_the_library(shown, name):
    model, x, target = shown
    taps, low, high = zoo.taps(model), *cams.layers(model, x.shape[-2:])
    at = high if name.endswith("high") else low
    theirs = {"GradCAM++": "GradCAMPlusPlus"}.get(name, name.partition("-")[0])
    expected = library(theirs, model, [model.get_submodule(taps.get(at, at))], x, target)
    torch.testing.assert_close(SALIENCY[name](model, x, target), expected, rtol=0, atol=2e-4)


def test_gradcam_is_xgradcam_behind_mean_pooling(shown):
    model, x, target = shown
    one, other = (SALIENCY[name](model, x, target) for name in ("GradCAM", "XGradCAM"))
    same = torch.allclose(one, other, atol=1e-4)
    assert same == (type(model).__name__ == "ResNet")  # a VGG's head has layers of its own


def test_fullgrad_equals_the_library(shown):
    model, x, target = shown
    expected = library("FullGrad", model, [], x, target)
    torch.testing.assert_close(SALIENCY["FullGrad"](model, x, target), expected, rtol=0, atol=1e-3)


def test_fullgrad_counts_all_that_makes_up_the_logit():
    model, x = small(), images()
    leaf = x.clone().requires_grad_(True)
    biases = {path: gradient_maps.bias(m) for path, m in gradient_maps.biased(model).items()}
    with gradient_maps.outputs(model, biases) as kept:
        logit = model(leaf)[:, 1]
    slopes = torch.autograd.grad(logit.sum(), [leaf, *kept.values()])
    parts = [(leaf * slopes[0]).sum((1, 2, 3))]
    parts += [(slope * biases[p][:, None, None]).sum((1, 2, 3)) for p, slope in zip(kept, slopes[1:], strict=True)]
    torch.testing.assert_close(sum(parts).detach() + model.fc.bias[1], logit.detach(), rtol=1e-4, atol=1e-4)


def test_scorecam_equals_the_library():
    model, x, target = small(), images(), torch.tensor([4, 0])
    expected = library("ScoreCAM", model, [model.layer4], x, target)
    torch.testing.assert_close(SALIENCY["ScoreCAM"](model, x, target), expected, rtol=0, atol=1e-3)
    few = SALIENCY["ScoreCAM"](model, x, target, most=2)
    assert not torch.allclose(few, expected, atol=1e-2)


def test_ablationcam_equals_the_library():
    model, x, target = small(), images(), torch.tensor([4, 0])
    expected = library("AblationCAM", model, [model.layer4], x, target)
    torch.testing.assert_close(SALIENCY["AblationCAM"](model, x, target), expected, rtol=0, atol=1e-3)


def test_ablation_in_closed_form_equals_running_the_rest(shown):
    model, x, target = shown
    at = cams.layers(model, x.shape[-2:])[0]
    with cams.grids(model, [at]) as kept, record(model, "penultimate") as pooled:
        logits = model(x)
    a = kept[at].detach()
    head = cams_by_changes.pooled_head(model, a, pooled["penultimate"], logits)
    assert (head is not None) == (type(model).__name__ == "ResNet")
    ran = cams_by_changes.without_each(model, x, target, a, at)
    k = int(a.mean((0, 2, 3)).argmax())
    with torch.no_grad(), split(model, at, "logits", like=x) as suffix:
        zeroed = a.flatten(2).index_fill(1, torch.tensor([k]), 0)
        torch.testing.assert_close(ran[:, k], suffix(zeroed)[:, :, 0].gather(1, target[:, None])[:, 0])
    if head is not None:
        lost = logits.gather(1, target[:, None]) - ran
        torch.testing.assert_close(head[target] * a.mean((2, 3)), lost, rtol=1e-3, atol=1e-4)


def test_ablation_where_a_shortcut_runs_around_the_layer():
    model, x, target, at = small(), images(), torch.tensor([4, 0]), "layer2.0.bn2"
    with cams.grids(model, [at]) as kept:
        model(x)
    a = kept[at].detach()
    with torch.no_grad():
        ran = cams_by_changes.without_each(model, x, target, a, at)
        with replace(model, at, a.flatten(2).index_fill(1, torch.tensor([1]), 0)):
            expected = model(x).gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(ran[:, 1], expected)


def test_images_beside_an_image_change_nothing():
    model, x, target = small(), images(3), torch.tensor([4, 0, 2])
    together = maps(model, x, target, options=QUICK)
    apart = maps(model, x, target, options=QUICK, batch=1)
    for name in SALIENCY:
        torch.testing.assert_close(together[name], apart[name], rtol=1e-3, atol=1e-4)


def test_answers_to_bad_input():
    model, x, target = small(), images(), torch.tensor([0, 1])
    with pytest.raises(KeyError, match="unknown saliency map 'GradCam': did you mean GradCAM"):
        applies("GradCam", model)
    with pytest.raises(ValueError, match="2 images need as many whole numbers as targets"):
        maps(model, x, target[:1])
    with pytest.raises(ValueError, match="eval mode"):
        SALIENCY["GradCAM"](small().train(), x, target)
    tokens = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2)
    assert "tokens" in applies("GradCAM", tokens) and "LayerNorm" in applies("FullGrad", tokens)
    assert "no ReLU" in applies("GuidedBackprop", tokens) and applies("Saliency", tokens) == ""
    with pytest.raises(ValueError, match="no grid of positions"):
        maps(tokens.eval(), x, target, ["GradCAM"])
