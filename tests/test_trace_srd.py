"""SRD: the backward pass against pairs, the recursion to the front, conservation and the centred logit."""

from functools import partial

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from sightglass.trace.srd.backward import ierf, mixture, relevance_of_layers, srd
from sightglass.trace.srd.encode import resolutions
from sightglass.trace.srd.forward import forward_ierf, sharing_ratios
from sightglass.zoo.taps import record

GEOMETRIES = [(3, 1, 1, 1, 1), (3, 2, 1, 1, 1), (5, 2, 0, 1, 1), (3, 1, 2, 2, 1), (3, 1, 1, 1, 2), (1, 2, 0, 1, 1)]
RESNET = dict(layers=(1, 1, 1, 1), channels=(4, 6, 8, 10), stem_width=8)
SMALL = {
    "resnet50": RESNET,
    "resnet50d": {**RESNET, "stem_width": 4, "aa_layer": nn.AvgPool2d, "avg_down": True},
    "resnet18": dict(layers=(1, 1, 1, 1), channels=(4, 6, 8, 10)),
    "vgg": dict(cfg=[4, "M", 6, "M", 8, "M", 8, "M", 8, "M"], norm_layer=nn.BatchNorm2d, mlp_ratio=1 / 64),
    "densenet121": dict(growth_rate=4, block_config=(2, 2, 2, 2)),
    "regnetx_002": dict(w0=8, wa=10.0, wm=2.0, depth=5, group_size=8),
    "convnext_tiny": dict(depths=(1, 1, 1, 1), dims=(8, 8, 12, 12), ls_init_value=None),
}  # fmt: skip


def build(name, **how):
    """Make a small network with batch statistics and biases that matter, in double precision."""
    torch.manual_seed(0)
    net = (timm.models.vgg.VGG if name == "vgg" else partial(timm.create_model, name))(num_classes=5, **how)
    draw = torch.Generator().manual_seed(0)
    for module in net.modules():
        for values, low in (("running_var", 0.5), ("running_mean", -0.5), ("bias", -0.3)):
            value = getattr(module, values, None)
            if isinstance(value, torch.Tensor):
                value.data.copy_(low + torch.rand(value.shape, generator=draw))
    return net.double().eval().requires_grad_(False)


def images(n=2, size=33, seed=1):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed)).double()


def looped(conv, x, bias):
    """Write the ratios of one convolution out, target by target and tap by tap."""
    (k, _), (s, _), (p, _), (d, _) = conv.kernel_size, conv.stride, conv.padding, conv.dilation
    z, (h, w) = conv(x)[0], x.shape[2:]
    per = x.shape[1] // conv.groups
    ratios = torch.zeros(z[0].numel(), h * w).double()
    for j in range(z[0].numel()):
        row, column = divmod(j, z.shape[2])
        whole = z[:, row, column]
        target = whole - conv.bias if bias == "centred" else whole
        spots = [(a, b, row * s - p + a * d, column * s - p + b * d) for a in range(k) for b in range(k)]
        spots = [(a, b, y, q) for a, b, y, q in spots if 0 <= y < h and 0 <= q < w]
        for a, b, y, q in spots:
            groups = x[0, :, y, q].reshape(conv.groups, per, 1)
            kernels = conv.weight[:, :, a, b].reshape(conv.groups, -1, per)
            part = (kernels @ groups).flatten() + (conv.bias / len(spots) if bias == "spread" else 0)
            ratios[j, y * w + q] = part @ target / (target @ target)
    return ratios


@pytest.mark.parametrize("bias", ["spread", "drop", "centred"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_ratios_of_a_convolution_are_the_definition(geometry, bias):
    k, s, p, d, g = geometry
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, k, s, p, d, groups=g).double().requires_grad_(False)
    x = torch.randn(1, 4, 7, 8).double()
    expected = looped(conv, x, bias)
    torch.testing.assert_close(sharing_ratios(conv, x, bias=bias), expected)
    net = nn.Sequential(conv, nn.ReLU()).eval()
    count = len(expected)
    torch.testing.assert_close(ierf(net, x, "1", torch.arange(count), bias=bias).flatten(1), expected)
    torch.testing.assert_close(forward_ierf(net, x, "1", bias=bias).flatten(1), expected)
    if bias == "drop":
        z = conv(x)[0].flatten(1)
        lost = (conv.bias[:, None] * z).sum(0) / z.square().sum(0)
        torch.testing.assert_close(expected.sum(1), 1 - lost)
    else:
        torch.testing.assert_close(expected.sum(1), torch.ones(count).double())


@pytest.mark.parametrize("act", [nn.ReLU, nn.SiLU, nn.Tanh, nn.ReLU6, nn.Hardtanh])
def test_a_chain_of_pairs_is_the_backward_pass(act):
    """Ratios of each layer, multiplied like matrices; a frozen pool and the next convolution are one affine map."""
    torch.manual_seed(0)
    one, two = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 6, 3, 2, padding=1)
    net = nn.Sequential(one, act(), nn.MaxPool2d(2), two, nn.BatchNorm2d(6), act()).double().eval()
    net[4].running_mean.normal_()
    x = images(1, 12)
    a = net[:2](x).detach()
    winners = F.max_pool2d(a, 2, return_indices=True)[1].flatten(2)
    pool = lambda t: t.flatten(2).gather(2, winners.expand(len(t), -1, -1)).unflatten(2, (6, 6))  # noqa: E731
    for bias in ("drop", "centred"):
        first = sharing_ratios(one, x, bias=bias)
        second = sharing_ratios(lambda t: net[4](two(pool(t))), a, bias=bias)
        found = ierf(net, x, "5", torch.arange(9), bias=bias)
        torch.testing.assert_close(found.flatten(1), second @ first)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("bias", ["spread", "drop", "centred"])
def test_backward_equals_the_recursion_to_the_front(name, bias):
    net, x = build(name, **SMALL[name]), images(1, 16)
    at = {"vgg": "block4", "convnext_tiny": "stages.0"}.get(name, "block2" if "resnet" in name else "block3")
    forward = forward_ierf(net, x, at, bias=bias)
    assert len(forward) > 1 and forward.abs().max() > 1e-6
    torch.testing.assert_close(ierf(net, x, at, torch.arange(len(forward)), bias=bias), forward, rtol=1e-9, atol=1e-12)
    if bias == "spread":
        torch.testing.assert_close(forward.sum((1, 2)), torch.ones(len(forward)).double())


@pytest.mark.parametrize("name", SMALL)
def test_relevance_is_conserved_at_every_tap_and_at_pixels(name):
    net, x, target = build(name, **SMALL[name]), images(2, 64), torch.tensor([1, 3])
    found = srd(net, x, target, weights="mean")
    total = found.low.sum((1, 2))
    assert total.abs().min() > 1e-9
    torch.testing.assert_close(found.input.sum((1, 2)) / total, torch.ones(2).double())
    layers = relevance_of_layers(net, x, target, weights="mean")
    with record(net, list(layers)) as kept:
        net(x)
    for tap, relevance in layers.items():
        assert relevance.shape == (2, kept[tap].shape[2])
        torch.testing.assert_close(relevance.sum(1) / total, torch.ones(2).double())
    assert found.frozen == (("layer_norm",) if name == "convnext_tiny" else ())


class Thinned(nn.Module):
    """A block whose shortcut keeps every second pixel and fills new channels with zeros, as in CIFAR ResNets."""

    def __init__(self):
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(4, 8, 3, 2, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        a = self.stem(x).relu()
        return self.head((self.conv(a) + F.pad(a[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))).relu().mean((2, 3)))


def test_a_shortcut_that_skips_pixels_conserves():
    torch.manual_seed(0)
    net, x = Thinned().double().eval(), images(2, 16)
    iers = ierf(net, x[:1], "conv", torch.arange(64))
    torch.testing.assert_close(iers.sum((1, 2)), torch.ones(64).double())


def test_networks_without_biases_conserve_where_biases_are_dropped():
    net, x = build("resnet50", **SMALL["resnet50"]), images(2)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.bias.zero_(), module.running_mean.zero_()
    drop, spread = (srd(net, x, [0, 1], bias=bias) for bias in ("drop", "spread"))
    torch.testing.assert_close(drop.input, spread.input)
    torch.testing.assert_close(drop.input.sum((1, 2)), drop.low.sum((1, 2)))


def test_one_backward_pass_centres_over_all_classes():
    net, x, target = build("vgg", **SMALL["vgg"]), images(2, 64), torch.tensor([4, 2])
    top = net.features(x).requires_grad_(True)
    logits, scores = net.forward_head(top), []
    for k in range(5):
        (slope,) = torch.autograd.grad(logits[:, k].sum(), top, retain_graph=True)
        scores.append((slope.mean((2, 3), keepdim=True) * top).sum(1).detach())
    scores = torch.stack(scores)
    own = scores[target, torch.arange(2)]
    for weights, expected in (("raw", own), ("mean", own - scores.mean(0)),
                              ("clamped", (own - scores.mean(0)).clamp(min=0))):  # fmt: skip
        found = srd(net, x, target, weights=weights)
        torch.testing.assert_close(found.low, expected)
    iers = ierf(net, x[:1], "features", torch.arange(4))
    torch.testing.assert_close(found.input[0], torch.einsum("p,phw->hw", found.low[0].flatten(), iers))


def test_many_iERFs_at_once_are_the_single_ones():
    net, x = build("resnet50", **SMALL["resnet50"]), images(3)
    positions, where = torch.tensor([3, 0, 8, 5, 3]), torch.tensor([1, 1, 0, 2, 1])
    together = ierf(net, x, "block3", positions, images=where)
    chunks = ierf(net, x, "block3", positions, images=where, chunk=1)
    torch.testing.assert_close(together, chunks)
    for one, position, image in zip(together, positions, where, strict=True):
        alone = ierf(net, x[image : image + 1], "block3", [int(position)])[0]
        torch.testing.assert_close(one, alone)
        assert one.flatten().topk(10).values.sum() > 0
    torch.testing.assert_close(ierf(net, x, "block3", [3, 4, 5])[1], ierf(net, x[1:2], "block3", [4])[0])


def test_a_concept_weighs_iERFs():
    net, x = build("resnet50", **SMALL["resnet50"]), images(1)
    count = relevance_of_layers(net, x, [0], ["block4"])["block4"].shape[1]
    weights = torch.randn(1, count, generator=torch.Generator().manual_seed(0)).double()
    expected = torch.einsum("np,phw->nhw", weights, ierf(net, x, "block4", torch.arange(count)))
    torch.testing.assert_close(mixture(net, x, "block4", weights), expected)


def test_images_of_a_batch_do_not_mix_and_networks_stay_as_they_were():
    net, x = build("densenet121", **SMALL["densenet121"]), images(3, 64)
    net.requires_grad_(True)
    before, hooks = {k: v.clone() for k, v in net.state_dict().items()}, [len(m._forward_hooks) for m in net.modules()]
    both, alone = srd(net, x, [0, 1, 2]), srd(net, x[1:2], [1])
    torch.testing.assert_close(both.input[1:2], alone.input)
    torch.testing.assert_close(both.high[1:2], alone.high)
    assert not both.input.requires_grad and all(p.requires_grad and p.grad is None for p in net.parameters())
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert hooks == [len(m._forward_hooks) for m in net.modules()]


def test_levels_do_not_change_each_other():
    net, x = build("resnet50", **SMALL["resnet50"]), images(2)
    few = srd(net, x, [0, 1], levels="block3")
    many = srd(net, x, [0, 1], levels=["block1", "bn1", "layer1.0.conv2", "layer1.0.bn2", "block3", "block5"])
    torch.testing.assert_close(few.input, many.input, rtol=0, atol=0)
    torch.testing.assert_close(few.high, many.maps["block3"], rtol=0, atol=0)
    torch.testing.assert_close(many.maps["block5"], many.low)
    for level in ("layer1.0.conv2", "layer1.0.bn2"):  # a constant that a norm adds counts where it is added
        torch.testing.assert_close(many.maps[level], many.maps["layer1.0.bn2"])


def test_an_all_zero_PFV_hands_on_what_made_it():
    conv, after = nn.Conv2d(3, 4, 3, padding=1).double(), nn.Conv2d(4, 4, 3, padding=1).double()
    conv.weight.data.zero_(), conv.bias.data.fill_(-1)
    net, x = nn.Sequential(conv, nn.ReLU(), after, nn.ReLU()).eval(), images(1, 6)
    found = ierf(net, x, "3", [14])
    assert found.isfinite().all()
    torch.testing.assert_close(found.sum(), torch.tensor(1.0).double())


@pytest.mark.parametrize("name", ["resnet50", "vgg"])
def test_resolutions_are_the_published_ones(name):
    found = srd(build(name, **SMALL[name]), images(1, 224), [0])
    assert found.low.shape == (1, 7, 7) and found.high.shape == (1, 28, 28) and found.input.shape == (1, 224, 224)


def test_the_recursion_needs_one_image():
    net = build("resnet18", **SMALL["resnet18"])
    with pytest.raises(ValueError, match="one image"):
        forward_ierf(net, images(2), "block3")
    assert resolutions(net) == ("block5", "block3")
