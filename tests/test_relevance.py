"""Relevance: shares that add up where theory says so, rules equal to libraries and to formulas written out."""

import copy
import gc
import warnings
from functools import partial

import pytest
import timm
import torch
from torch import nn

from sightglass.relevance import RELEVANCE, attention, dead, relevance_and_activations, zplus
from sightglass.zoo.taps import record


def ready(model, seed=0):
    """Give a network batch statistics and gains worth testing, in double precision."""
    draw = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in ((module.weight, 0.5), (module.running_var, 0.5), (module.bias, -0.3)):
                values.data.copy_(low + torch.rand(values.shape, generator=draw))
    return model.double().eval().requires_grad_(False)


def images(n=2, size=32, seed=1):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed)).double()


def build(name, **how):
    torch.manual_seed(0)
    builder = timm.models.vgg.VGG if name == "vgg" else partial(timm.create_model, name)
    return ready(builder(num_classes=5, **how))


RESNET = dict(layers=(2, 1, 1, 1), channels=(4, 8, 8, 16), stem_width=8)
SMALL = {
    "resnet50": RESNET,
    "resnet50d": {**RESNET, "stem_width": 4, "aa_layer": nn.AvgPool2d},  # a deep stem, smooth strides, pooled shortcuts
    "resnet18": dict(layers=(1, 1, 1, 1), channels=(4, 8, 8, 16)),
    "vgg": dict(cfg=[4, "M", 8, "M", 8, "M", 8, "M", 8, "M"], norm_layer=nn.BatchNorm2d, mlp_ratio=1 / 64),
    "densenet121": dict(growth_rate=4, block_config=(2, 2, 2, 2)),
}
SWIN = dict(img_size=32, embed_dim=8, num_heads=(1, 1, 2, 2), window_size=4)
ATTENTIVE = {
    "vit_tiny_patch16_224": dict(img_size=32, patch_size=8, embed_dim=16, depth=5, num_heads=2),
    "swin_tiny_patch4_window7_224": dict(SWIN, depths=(1, 1, 1, 1)),
    "swinv2_tiny_window8_256": dict(SWIN, depths=(1, 2, 1, 1)),  # the second block's windows are shifted and masked
    "convnext_tiny": dict(depths=(1, 1, 1, 1), dims=(8, 8, 16, 16), ls_init_value=None),
}  # fmt: skip
BLOCKS = ["block1", "block2", "block3", "block4", "block5", "penultimate"]


@pytest.fixture(scope="module")
def network():
    """A network without biases: scaling an activation scales the output, so shares add up to it exactly."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(), nn.Conv2d(6, 5, 3, bias=False), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(5 * 16, 4, bias=False)).double().eval()


def test_gradient_times_activation_adds_up_to_the_output_at_every_layer(network):
    x, target = images(3, 8), torch.tensor([0, 2, 3])
    shares = RELEVANCE["gradient x activation"](network, x, target, ["0", "1", "3"])
    output = network(x).gather(1, target[:, None]).squeeze(1)
    for tap, share in shares.items():
        assert share.shape[:2] == (3, 5 if tap == "3" else 6) and not share.requires_grad
        torch.testing.assert_close(share.sum((1, 2)), output)


def test_gradients_equal_the_library(network):
    from captum.attr import GuidedBackprop, LayerGradientXActivation

    x, target = images(2, 8), torch.tensor([1, 2])
    ours = RELEVANCE["gradient x activation"](network, x, target, ["1"])["1"]
    torch.testing.assert_close(ours, LayerGradientXActivation(network, network[1]).attribute(x, target).flatten(2))
    guided = RELEVANCE["guided backpropagation"](network, x, target, ["0:input"])["0:input"]
    theirs = GuidedBackprop(network).attribute(x.clone().requires_grad_(True), target).clamp(min=0).flatten(2)
    torch.testing.assert_close(guided, theirs)
    assert guided.max() > 0


def test_z_plus_equals_the_library_on_a_plain_chain():
    from zennit.attribution import Gradient
    from zennit.composites import LayerMapComposite
    from zennit.rules import Norm, Pass, ZPlus
    from zennit.types import Activation, AvgPool, Convolution, Linear

    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()]
    chain = nn.Sequential(*layers, nn.Linear(128, 7), nn.ReLU(), nn.Linear(7, 4)).double().eval()
    positive = ZPlus(zero_params="bias")
    rules = [(Convolution, positive), (Linear, positive), (AvgPool, Norm()), (Activation, Pass())]
    x, target = images(3, 18), torch.tensor([0, 2, 3])
    ours = RELEVANCE["LRP"](chain, x, target, ["0:input", "1", "3"])
    one_hot = nn.functional.one_hot(target, 4).double()
    for tap, start in (("0:input", 0), ("1", 2), ("3", 4)):  # signed pixels, then what ReLUs gave
        given, rest = chain[:start](x), chain[start:]
        with Gradient(model=rest, composite=LayerMapComposite(rules)) as attribute:
            _, theirs = attribute(given, one_hot * chain(x))
        torch.testing.assert_close(ours[tap], theirs.flatten(2), rtol=1e-3, atol=1e-5)


def through(conv, a, arriving):
    """Write z+ out for one convolution: a * w+' (R / (w+ a + e))."""
    weight = conv.weight.clamp(min=0)
    how = conv.stride, conv.padding, conv.dilation
    ratio = arriving / (nn.functional.conv2d(a, weight, None, *how) + 1e-5)
    return a * torch.nn.grad.conv2d_input(a.shape, weight, ratio, *how)


def through_bottleneck(block, a, arriving):
    """Write the rules of one timm bottleneck out, the residual shared by |F| / (|F| + |S|)."""
    one = block.bn1(block.conv1(a)).relu()
    two = block.bn2(block.conv2(one)).relu()
    main = block.bn3(block.conv3(two))
    skip = a if block.downsample is None else block.downsample(a)
    share = main.abs() / (main.abs() + skip.abs())
    back = through(block.conv1, a, through(block.conv2, one, through(block.conv3, two, share * arriving)))
    rest = (1 - share) * arriving
    return back + (rest if block.downsample is None else through(block.downsample[0], a, rest))


def test_lrp_of_a_resnet_is_the_published_rule_set_written_out():
    model, x = build("resnet50", **RESNET), images()
    inputs, handles = {}, []
    blocks = [(f"layer{i}", block) for i in (1, 2, 3, 4) for block in getattr(model, f"layer{i}")]
    for _, block in blocks:
        handles.append(block.register_forward_hook(lambda m, i, o, b=block: inputs.update({b: (i[0].clone(), o)})))
    model(x)
    [handle.remove() for handle in handles]
    last = inputs[blocks[-1][1]][1]
    target = last.sum((2, 3)).argmax(1)
    relevance = last * nn.functional.one_hot(target, last.shape[1])[:, :, None, None]
    expected = {}
    for name, block in reversed(blocks):
        expected.setdefault(name, relevance.flatten(2))
        relevance = through_bottleneck(block, inputs[block][0], relevance)
    stem = model.bn1(model.conv1(x)).relu()
    mean, back = torch.autograd.functional.vjp(lambda a: nn.functional.avg_pool2d(a, 2), stem, relevance)
    ratio = relevance / (mean + 1e-5)
    expected["conv1"] = (stem * nn.functional.interpolate(ratio, scale_factor=2) / 4).flatten(2)
    ours = RELEVANCE["LRP"](model, x, target, list(expected), at="block5")
    for tap in expected:
        assert ours[tap].sum() > 0
        torch.testing.assert_close(ours[tap], expected[tap], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_lrp_keeps_the_sum_and_the_sign_in_every_family(name):
    model, x, target = build(name, **SMALL[name]), images(size=64), torch.tensor([0, 4])
    found = RELEVANCE["LRP"](model, x, target, BLOCKS)
    output = model(x).gather(1, target[:, None])
    for tap in BLOCKS[1:]:
        assert (found[tap] * output.sign()[:, None] >= 0).all()
        torch.testing.assert_close(found[tap].sum((1, 2)), output[:, 0], rtol=0.02, atol=0)
    assert (found["block1"].abs().sum((1, 2)) <= 1.0001 * output[:, 0].abs()).all()  # max-pooling may lose


@pytest.mark.parametrize("name", ATTENTIVE)
def test_lrp_says_what_serves_other_networks_and_attnlrp_does(name):
    model, x, target = build(name, **ATTENTIVE[name]), images(), torch.tensor([0, 4])
    network = type(model).__name__
    with pytest.raises(ValueError, match=f"LRP has no rule for .*, which {network} uses; 'AttnLRP' serves"):
        RELEVANCE["LRP"](model, x, target, BLOCKS)
    found = RELEVANCE["AttnLRP"](model, x, target, BLOCKS)
    with record(model, BLOCKS) as kept:
        model(x)
    assert all(found[tap].shape == kept[tap].shape and found[tap].isfinite().all() for tap in BLOCKS)
    assert all(found[tap].abs().sum() > 0 for tap in BLOCKS)


def test_attnlrp_keeps_the_sum_in_a_convnext_without_biases(monkeypatch):
    monkeypatch.setattr(attention, "EPSILON", 1e-12)
    model, x, target = build("convnext_tiny", **ATTENTIVE["convnext_tiny"]), images(size=64), torch.tensor([0, 4])
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.zeros_(module.bias)
    output = model(x).gather(1, target[:, None])[:, 0]
    for share in RELEVANCE["AttnLRP"](model, x, target, BLOCKS).values():
        torch.testing.assert_close(share.sum((1, 2)), output, rtol=1e-4, atol=1e-6)


def test_attnlrp_without_stabiliser_is_gradient_times_activation_in_a_relu_network(monkeypatch):
    monkeypatch.setattr(attention, "EPSILON", 1e-12)
    model, x, target = build("resnet50d", **SMALL["resnet50d"]), images(), torch.tensor([1, 2])
    ours, theirs = (RELEVANCE[name](model, x, target, BLOCKS) for name in ("AttnLRP", "gradient x activation"))
    for tap in BLOCKS:
        torch.testing.assert_close(ours[tap], theirs[tap], rtol=1e-4, atol=1e-6)


def one_head():
    """An attention of one head, 4 tokens of 3 channels, and its queries, keys, values and weights."""
    torch.manual_seed(0)
    layer = nn.Sequential(timm.layers.Attention(3, num_heads=1)).double().eval().requires_grad_(False)
    x = torch.randn(1, 4, 3, dtype=torch.double)
    q, k, v = layer[0].qkv(x).reshape(4, 3, 3).unbind(1)
    return layer, x, q, k, v, (q @ k.T / 3**0.5)


@pytest.mark.parametrize("fused", [True, False])
def test_attention_follows_the_rules_written_out_token_by_token(monkeypatch, fused):
    monkeypatch.setattr(attention, "EPSILON", 1e-12)
    layer, x, q, k, v, scores = one_head()
    layer[0].fused_attn = fused
    weights, mixed = scores.softmax(-1), scores.softmax(-1) @ v
    found = RELEVANCE["AttnLRP"](layer, x, torch.tensor([1]), ["0.qkv"], at="0.proj:input")["0.qkv"]
    start = torch.zeros(4, 3).double()
    start[:, 1] = mixed[:, 1]
    on_weights, on_v = torch.zeros(4, 4).double(), torch.zeros(4, 3).double()
    for i in range(4):
        for j in range(4):
            for d in range(3):
                half = weights[i, j] * v[j, d] * start[i, d] / (2 * mixed[i, d])
                on_weights[i, j] += half
                on_v[j, d] += half
    on_scores = torch.stack([scores[i] * (on_weights[i] - weights[i] * on_weights[i].sum()) for i in range(4)])
    on_q, on_k = torch.zeros(4, 3).double(), torch.zeros(4, 3).double()
    for i in range(4):
        for j in range(4):
            half = q[i] * k[j] / 3**0.5 * on_scores[i, j] / (2 * scores[i, j])
            on_q[i] += half
            on_k[j] += half
    torch.testing.assert_close(found[0].T, torch.cat([on_q, on_k, on_v], 1), rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(on_v.sum(), start.sum() / 2)


def test_relevance_and_activations_come_from_one_pass_with_a_graph_to_the_image():
    model, x, target = build("resnet18", **SMALL["resnet18"]), images().requires_grad_(True), torch.tensor([1, 2])
    calls = []
    handle = model.register_forward_hook(lambda *_: calls.append(1))
    for name in RELEVANCE:
        calls.clear()
        relevance, kept = relevance_and_activations(model, x, target, ["block2", "block4"], relevance=name)
        assert len(calls) == 1 and not any(r.requires_grad for r in relevance.values())
        (ours,) = torch.autograd.grad(sum(a.square().sum() for a in kept.values()), x)
        with record(model, ["block2", "block4"]) as plain:
            model(x)
        (theirs,) = torch.autograd.grad(sum(a.square().sum() for a in plain.values()), x)
        assert all(torch.equal(kept[tap], plain[tap]) for tap in kept) and torch.equal(ours, theirs)
        alone = RELEVANCE[name](model, x, target, ["block2", "block4"])
        assert all(torch.equal(relevance[tap], alone[tap]) for tap in alone)
        with torch.no_grad():
            _, kept = relevance_and_activations(model, x, target, "block2", relevance=name)
        assert list(kept) == ["block2"] and not kept["block2"].requires_grad
    handle.remove()


@pytest.mark.parametrize("name", RELEVANCE)
def test_a_network_comes_out_as_it_went_in(name):
    model, x = build("resnet50", **RESNET).requires_grad_(True), images()
    before = copy.deepcopy(model.state_dict())
    RELEVANCE[name](model, x, torch.tensor([0, 1]), ["block1", "block5"])
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in before.items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())


def test_clamped_weights_are_kept_until_they_change_and_go_with_the_network():
    model, x, target = build("resnet18", **SMALL["resnet18"]), images(), torch.tensor([0, 1])
    gc.collect()
    before = len(zplus._PARTS)
    first = RELEVANCE["LRP"](model, x, target, ["block3"])["block3"]
    kept = {id(zplus.part(m.weight, "min")) for m in model.layer4.modules() if isinstance(m, nn.Conv2d)}
    assert kept == {id(zplus.part(m.weight, "min")) for m in model.layer4.modules() if isinstance(m, nn.Conv2d)}
    model.layer4[0].conv2.weight.neg_()
    changed = RELEVANCE["LRP"](model, x, target, ["block3"])["block3"]
    fresh = RELEVANCE["LRP"](copy.deepcopy(model), x, target, ["block3"])["block3"]
    assert torch.equal(changed, fresh) and not torch.allclose(changed, first)
    del model
    gc.collect()
    assert len(zplus._PARTS) <= before


def test_a_direction_is_a_weighted_channel_and_best_starts_at_the_nearest_position():
    model, x = build("resnet18", **SMALL["resnet18"]), images(size=64)
    one_hot = torch.eye(16).double()[[5, 9]]
    for name in RELEVANCE:
        for where in ("everywhere", "best"):
            how = dict(at="block5", where=where)
            channel = RELEVANCE[name](model, x, torch.tensor([5, 9]), ["block3"], **how)["block3"]
            torch.testing.assert_close(RELEVANCE[name](model, x, one_hot, ["block3"], **how)["block3"], channel)
    direction = torch.randn(2, 16, generator=torch.Generator().manual_seed(0)).double()
    with record(model, "block5") as kept:
        model(x)
    angles = torch.einsum("nc,ncp->np", direction, kept["block5"]) / (kept["block5"].norm(dim=1) + 1e-12)
    start = RELEVANCE["LRP"](model, x, direction, ["block5"], at="block5", where="best")["block5"]
    for i in range(2):
        assert torch.equal(start[i].abs().sum(0).nonzero()[:, 0], angles[i].argmax()[None])
        assert torch.equal(start[i][:, angles[i].argmax()], direction[i])
    everywhere = RELEVANCE["LRP"](model, x, direction, ["block5"], at="block5")["block5"]
    torch.testing.assert_close(everywhere, direction[:, :, None] * kept["block5"])


def test_a_dead_target_gives_zeros_and_is_said():
    model, x = build("resnet18", **SMALL["resnet18"]), images()
    last = model.layer4[-1]
    last.bn2.bias[3] = last.downsample[-1].bias[3] = -1000
    target = torch.tensor([3, 4])
    for name in RELEVANCE:
        with pytest.warns(RuntimeWarning, match="target at block5 is zero everywhere on 1 of 2 images"):
            found = RELEVANCE[name](model, x, target, ["block1", "block4"], at="block5")
        assert all((r[0] == 0).all() and r[1].abs().sum() > 0 and r.isfinite().all() for r in found.values())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alive = RELEVANCE["LRP"](model, x, target, ["block4"], at="block5", where="best")["block4"]
        either = RELEVANCE["LRP"](model, x, target, ["block4"], at="block5", where="either")["block4"]
        everywhere = RELEVANCE["LRP"](model, x[1:], target[1:], ["block4"], at="block5")["block4"]
    assert alive.isfinite().all() and alive[0].sum() > 0
    assert torch.equal(either[0], alive[0])
    torch.testing.assert_close(either[1:], everywhere)
    with record(model, "block5") as kept:
        model(x)
    assert dead(kept["block5"], target).tolist() == [True, False]


@pytest.mark.parametrize(("change", "error", "message"), [
    (dict(target=torch.tensor([0, 5])), ValueError, "logits has channels 0 to 4, not 5"),
    (dict(target=torch.tensor([-1, 0])), ValueError, "not -1"),
    (dict(target=torch.tensor([0])), ValueError, r"one channel per image, \(2,\), found \(1,\)"),
    (dict(target=torch.zeros(2, 4)), ValueError, r"directions at logits are \(2, 5\), found \(2, 4\)"),
    (dict(taps=["layer9"]), KeyError, "unknown tap of ResNet 'layer9': did you mean layer"),
    (dict(at="blok5"), KeyError, "unknown tap of ResNet 'blok5': did you mean block5"),
    (dict(taps=["logits"], at="block2"), ValueError, "block2 doesn't depend on logits"),
    (dict(where="here"), KeyError, "unknown where 'here': did you mean .*everywhere"),
    (dict(relevance="LPR"), KeyError, "unknown relevance 'LPR'.*did you mean LRP"),
])  # fmt: skip
def test_mistakes_are_answered_in_words(change, error, message):
    how = dict(target=torch.tensor([0, 1]), taps=["block3"]) | change
    with pytest.raises(error, match=message):
        relevance_and_activations(build("resnet18", **SMALL["resnet18"]), images(), **how)


def test_what_cannot_be_followed_is_said(network):
    class Overwriting(nn.Sequential):
        def forward(self, x):
            y = self[0](x)
            y.add_(1)
            return self[1](y.flatten(1))

    model = Overwriting(nn.Conv2d(3, 2, 8), nn.Linear(2, 4)).double().eval()
    x, target = images(1, 8), torch.tensor([0])
    with pytest.raises(ValueError, match="Overwriting overwrites an activation before flatten"):
        RELEVANCE["LRP"](model, x, target, ["0"])
    assert RELEVANCE["gradient x activation"](model, x, target, ["0"])["0"].isfinite().all()
    smooth = nn.Sequential(nn.Conv2d(3, 2, 8), nn.GELU(), nn.Flatten(), nn.Linear(2, 4)).double().eval()
    with pytest.raises(ValueError, match="Sequential has none; 'gradient x activation' serves any network"):
        RELEVANCE["guided backpropagation"](smooth, x, target, ["0"])
    with pytest.raises(ValueError, match="relevance needs Sequential in eval mode"):
        RELEVANCE["LRP"](smooth.train(), x, target, ["0"])


def test_names_and_page():
    import sightglass.relevance as module

    assert list(RELEVANCE) == ["gradient x activation", "LRP", "AttnLRP", "guided backpropagation"]
    assert "book/vital/3-3-relevance" in module.__doc__
