"""Taps: what is recorded is what flows, a split computes only what lies between, networks stay as they were."""

import pytest
import torch
from torch import nn

from sightglass import zoo
from sightglass.zoo.families import FAMILIES, construct
from sightglass.zoo.taps import record, replace, split

CLASSIFIERS = [name for name, entry in FAMILIES.items() if entry["task"] != "phrases"]
STAGES = ["block1", "block2", "block3", "block4", "block5", "penultimate", "logits"]


def network(name, **changes):
    """Build a world network with random weights and statistics."""
    torch.manual_seed(0)
    model = construct(FAMILIES[name]["builder"], {**FAMILIES[name]["arguments"], **changes}, classes=5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # so that eval mode isn't the identity
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["resnet50", "densenet121", "convnext_base", "vit_b_16", "swinv2_base", "vgg16"])
def model(request):
    return network(request.param)


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def fingerprint(model):
    """Everything that a context manager might leave behind."""
    parts = [
        (name, len(m._forward_hooks), len(m._forward_pre_hooks), sorted(vars(m)), m.training)
        for name, m in model.named_modules()
    ]
    flags = [p.requires_grad for p in model.parameters()]
    return parts, flags, {k: v.clone() for k, v in model.state_dict().items()}


def unchanged(before, model):
    after = fingerprint(model)
    same = all(torch.equal(before[2][k], v) for k, v in after[2].items())
    return before[:2] == after[:2] and same


def by_hand(model, tap, images):
    """Keep a tap's native value with a plain hook."""
    path, kept = zoo.taps(model).get(tap, tap), []
    module = model.get_submodule(path.removesuffix(":input"))
    if path.endswith(":input"):
        handle = module.register_forward_pre_hook(lambda m, a: kept.append(a[0].clone()))
    else:
        handle = module.register_forward_hook(lambda m, a, out: kept.append(out.clone()))
    model(images)
    handle.remove()
    return kept[0]


def test_every_world_network_has_the_named_taps():
    for name in CLASSIFIERS:
        model = network(name)
        found = zoo.taps(model)
        assert list(found) == STAGES, name
        with record(model, STAGES) as acts:
            out = model(torch.zeros(2, 3, 64, 64))
        assert torch.equal(acts["logits"][..., 0], out)
        positions = [acts[tap].shape[2] for tap in STAGES]
        assert positions[5:] == [1, 1] and positions[4] > 1, name
        fall = name.startswith("vit") or positions[:5] == sorted(positions[:5], reverse=True)
        assert fall and (name.startswith("vit") or positions[0] > 8 * positions[4]), name


def test_record_equals_hooks_by_hand(model, images):
    plain, before = model(images), fingerprint(model)
    with record(model, STAGES) as acts:
        assert torch.equal(model(images), plain)
    assert unchanged(before, model) and torch.equal(model(images), plain)
    for tap in STAGES:
        own, got = by_hand(model, tap, images), acts[tap]
        assert got.ndim == 3 and len(got) == 3
        if own.ndim == 4 and own.shape[1] == got.shape[1]:
            assert torch.equal(own.flatten(2), got)
        else:  # channels come last in the network's own layout
            assert torch.equal(own.reshape(3, -1, got.shape[1]).transpose(1, 2), got)


def test_layouts_are_what_each_family_uses(images):
    block = "stages.1.blocks.0"
    shapes = {
        ("resnet50", "block2"): (64, 256), ("vit_b_16", "block1"): (96, 64), ("vit_b_16", "block3"): (96, 65),
        ("swinv2_base", "block1"): (20, 256), ("swinv2_base", "block3"): (40, 64),
        ("swinv2_base", "norm"): (160, 4), ("convnext_base", f"{block}.mlp"): (48, 64),
        ("convnext_base", f"{block}.conv_dw"): (48, 64), ("convnext_base", f"{block}.mlp.act"): (192, 64),
        ("convnext_base", f"{block}.norm"): (48, 64), ("convnext_base", block): (48, 64),
    }  # fmt: skip
    for (name, tap), shape in shapes.items():
        model = network(name)
        with record(model, tap) as acts:
            model(images)
        assert acts[tap].shape == (3, *shape), (name, tap)


def test_gradients_flow_through_what_is_recorded(model, images):
    x = images.clone().requires_grad_(True)
    with record(model, ["block3"]) as acts:
        logits = model(x)
    (to_image,) = torch.autograd.grad(acts["block3"].square().sum(), x, retain_graph=True)
    (from_logits,) = torch.autograd.grad(logits[:, 0].sum(), acts["block3"])
    assert to_image.abs().sum() > 0 and from_logits.shape == acts["block3"].shape
    assert from_logits.abs().sum() > 0


def test_in_place_activations_dont_overwrite_what_is_kept(images):
    model = network("resnet18")
    # The module after bn1 is an in-place ReLU, and a plain hook without a copy would see its result.
    assert model.act1.inplace
    own = by_hand(model, "bn1", images)
    with record(model, ["bn1", "act1", "layer1.0.bn2"]) as acts:
        model(images)
    assert own.min() < 0 and torch.equal(acts["bn1"], own.flatten(2))
    assert torch.equal(acts["act1"], own.flatten(2).clamp(min=0))
    assert torch.equal(acts["layer1.0.bn2"], by_hand(model, "layer1.0.bn2", images).flatten(2))


def test_replace_by_its_own_value_changes_nothing_and_by_another_changes_the_output(model, images):
    plain, before = model(images), fingerprint(model)
    with record(model, STAGES) as acts:
        model(images)
    for tap in STAGES:
        with replace(model, tap, acts[tap]):
            assert torch.equal(model(images.flip(0)), plain) or tap == "block1"
        with replace(model, tap, lambda own: own):
            assert torch.equal(model(images), plain)
    with replace(model, "block4", acts["block4"][:1]):
        assert torch.allclose(model(images), plain[:1].expand(3, -1), atol=1e-5)
    with replace(model, "logits", lambda own: own * 0):
        assert model(images).abs().max() == 0
    assert unchanged(before, model)


@pytest.mark.parametrize("start, stop", [("block1", "block2"), ("block2", "logits"), ("block3", "block5"),
                                         ("block4", "penultimate"), ("penultimate", "logits")])  # fmt: skip
def test_split_equals_the_whole_network(model, images, start, stop):
    before = fingerprint(model)
    with record(model, [start, stop]) as acts:
        model(images)
    for like in (images[:1], images, torch.zeros_like(images[:1])):
        with split(model, start, stop, like=like) as suffix:
            assert unchanged(before, model)
            assert torch.allclose(suffix(acts[start]), acts[stop], atol=1e-5)
            if len(like) == 1:
                assert torch.allclose(suffix(acts[start][:2]), acts[stop][:2], atol=1e-5)
    assert unchanged(before, model)


def test_split_computes_only_what_lies_between(model, images):
    ran = []
    with split(model, "block3", "block4", like=images[:1]) as suffix:
        handles = [m.register_forward_pre_hook(lambda m, a, n=n: ran.append(n)) for n, m in model.named_modules()]
        with record(model, "block3") as acts:
            model(images)
        whole, _ = set(ran), ran.clear()
        suffix(acts["block3"])
    for handle in handles:
        handle.remove()
    convolutions = (nn.Conv2d, nn.Linear)
    worked = [n for n in ran if isinstance(model.get_submodule(n), convolutions)]
    everything = [n for n in whole if isinstance(model.get_submodule(n), convolutions)]
    assert 0 < len(worked) < 0.75 * len(everything)
    head = zoo.taps(model)["logits"]
    assert head in whole and head not in ran


@pytest.mark.parametrize("name, start", [("resnet50", "layer2.1.conv2"), ("resnet18", "layer1.0.act1"),
                                         ("densenet121", "features.denseblock2.denselayer3.conv1"),
                                         ("vit_b_16", "blocks.2.mlp.fc1"), ("convnext_base", "stages.2.blocks.1.mlp"),
                                         ("swinv2_base", "layers.1.blocks.1.attn.proj"), ("resnet18", "maxpool"),
                                         ("swinv2_base", "layers.2.blocks.0.attn.proj:input")])  # fmt: skip
def test_split_inside_a_block_keeps_what_runs_beside_it(name, start, images):
    model = network(name)
    with record(model, [start, "logits"]) as acts:
        model(images)
    with split(model, start, "logits", like=images) as suffix:
        assert torch.allclose(suffix(acts[start]), acts["logits"], atol=1e-5)
        changed = suffix(acts[start] * 0.5)
    with replace(model, start, lambda own: own * 0.5):
        assert torch.allclose(model(images), changed[..., 0], atol=1e-5)
    one = images[:1]
    with record(model, start) as acts:
        model(one)
    with split(model, start, "logits", like=one) as suffix, replace(model, start, lambda own: own * 0.5):
        twice = torch.cat([acts[start], acts[start]]) * 0.5
        assert torch.allclose(suffix(twice)[..., 0], model(one).expand(2, -1), atol=1e-5)


def test_gradients_flow_through_a_split(model, images):
    with record(model, "block3") as acts:
        x = images.clone().requires_grad_(True)
        logits = model(x)
    (expected,) = torch.autograd.grad(logits[:, 1].sum(), acts["block3"])
    z = acts["block3"].detach().clone().requires_grad_(True)
    with split(model, "block3", "logits", like=images[:1]) as suffix:
        (slope,) = torch.autograd.grad(suffix(z)[:, 1].sum(), z)
    assert torch.allclose(slope, expected, atol=1e-5)


def test_networks_come_out_unchanged_when_the_body_raises(model, images):
    plain, before = model(images), fingerprint(model)
    for context in (record(model, STAGES), replace(model, "block2", lambda own: own / 0),
                    split(model, "block2", "logits", like=images[:1])):  # fmt: skip
        with pytest.raises(ZeroDivisionError), context:
            raise ZeroDivisionError
        assert unchanged(before, model)

    def broken(own):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), replace(model, "block2", broken):
        model(images)
    with split(model, "block2", "logits", like=images[:1]) as suffix, replace(model, "block4", broken):
        with pytest.raises(ZeroDivisionError):
            suffix(torch.zeros_like(by_record(model, "block2", images)))
    assert unchanged(before, model) and torch.equal(model(images), plain)


def by_record(model, tap, images):
    with record(model, tap) as acts, replace(model, "block4", lambda own: own):
        try:
            model(images)
        except ZeroDivisionError:
            pass
    return acts[tap]


class Pair(nn.Module):
    """Gives a tuple, takes a list, adds in place, and calls one activation twice."""

    def __init__(self):
        super().__init__()
        self.first, self.act, self.second = TwoWays(), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1)
        self.skip, self.head = nn.Identity(), nn.Linear(4, 2)

    def forward(self, x):
        a, b = self.first(x)
        a = self.act(a)
        kept = self.skip(a)
        c = self.second(a)
        c += kept
        c += b
        return self.head((self.act(c) + kept).mean((2, 3)))


class TwoWays(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.left(x), self.right(x)


@pytest.mark.parametrize(
    "start", ["first", "first.left", "first.right", "second", "skip", "second:input", "head:input"]
)
def test_tuples_shared_modules_and_in_place_sums(start, images):
    torch.manual_seed(2)
    model = Pair().eval().requires_grad_(False)
    with record(model, [start, "head"]) as acts:
        plain = model(images)
    assert torch.equal(acts["head"][..., 0], plain)
    for like, n in ((images, 3), (images[:1], 1)):
        with split(model, start, "head", like=like) as suffix:
            assert torch.allclose(suffix(acts[start][:n])[..., 0], plain[:n], atol=1e-6)
            assert torch.allclose(suffix(acts[start][:n])[..., 0], plain[:n], atol=1e-6)  # memory wasn't overwritten


def test_errors_say_what_is_valid(images):
    model = network("resnet18")
    with pytest.raises(KeyError, match="did you mean block2 or"), record(model, "blok2"):
        pass
    with pytest.raises(KeyError, match="layer1.0.conv1"), record(model, "layer1.0.conv9"):
        pass
    with pytest.raises(ValueError, match="comes before"), split(model, "block3", "block1", like=images[:1]):
        pass
    with pytest.raises(ValueError, match=r"logits: expected \(3, 5, 1\), found \(3, 7, 1\)"):
        with replace(model, "logits", torch.zeros(3, 7, 1)):
            model(images)
    with split(model, "block2", "logits", like=images[:1]) as suffix:
        with pytest.raises(ValueError, match="block2: expected"):
            suffix(torch.zeros(1, 2, 3))
    with split(model, "block2", "logits", like=images[:2]) as suffix:
        with pytest.raises(ValueError, match="`like` has 2 images"):
            suffix(torch.zeros(3, 16, 256))
    with pytest.raises(ValueError, match="called 2 times"):
        with split(Pair().eval(), "act", "head", like=images[:1]):
            pass
    with (
        pytest.raises(ValueError, match="eval mode"),
        split(model.train(), "block2", "logits", like=images[:1]),
    ):
        pass


def test_a_network_that_nobody_described_gets_taps_too():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.pool, self.fc = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(self.pool(self.stem(x)).flatten(1))

    model = Plain()
    assert zoo.taps(model) == {"block1": "stem", "penultimate": "fc:input", "logits": "fc"}
    model.named_taps = {"block1": "pool"}
    assert zoo.taps(model) == {"block1": "pool"}


def test_published_architectures_have_five_blocks_where_the_paper_taps_them():
    import timm
    import torchvision

    deep = timm.create_model("vit_large_patch16_224", embed_dim=16, num_heads=1)
    assert list(zoo.taps(deep).values())[1:5] == ["blocks.2", "blocks.9", "blocks.20", "blocks.23"]
    with torch.device("meta"):  # shapes only, nothing is allocated
        paper = {"convnext_base": "stages.3.downsample.1", "resnet50": "layer3"}
        for name, block4 in paper.items():
            assert zoo.taps(timm.create_model(name))["block4"] == block4
        others = [timm.create_model(name) for name in ("vgg11_bn", "mixer_s16_224", "mobilenetv3_small_100")]
        builders = [getattr(torchvision.models, name) for name in ("convnext_tiny", "vit_b_16", "swin_t", "vgg11")]
        for model in [*others, *(build() for build in builders)]:
            found, modules = zoo.taps(model), dict(model.named_modules())
            assert list(found) == STAGES and all(path.partition(":")[0] in modules for path in found.values())
