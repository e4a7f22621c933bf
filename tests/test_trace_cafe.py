"""CAFE: rules of AttnLRP written out, attributions with known answers, insertion with known ends."""

from functools import partial

import pytest
import timm
import torch
import torch.nn.functional as F

from sightglass.relevance import attention
from sightglass.trace.cafe import attributions as cafe
from sightglass.trace.cafe import insert as insert_patches
from sightglass.trace.cafe import latents
from sightglass.trace.cafe.local_rules import LocalRules
from sightglass.trace.cafe.sae import Sae
from sightglass.zoo.taps import record

LAYER = "blocks.2"


def transformer(**how):
    torch.manual_seed(0)
    small = dict(img_size=32, patch_size=8, embed_dim=16, depth=4, num_heads=2, num_classes=5)
    model = timm.create_model("vit_tiny_patch16_224", **{**small, **how}).double().eval().requires_grad_(False)
    for value in model.parameters():
        value.add_(0.1 * torch.randn(value.shape, dtype=value.dtype))
    return model


@pytest.fixture(scope="module")
def model():
    """A small vision transformer, 4 by 4 patches of 8 pixels and a class token."""
    return transformer()


@pytest.fixture(scope="module")
def sae():
    """Forty random latents."""
    draw = torch.Generator().manual_seed(1)
    atoms = F.normalize(torch.randn(40, 16, generator=draw).double(), dim=1)
    zero = torch.zeros(16).double()
    bias, threshold = torch.full((40,), -0.05).double(), torch.full((1,), 0.1).double()
    return Sae(atoms, atoms, zero + 0.01, bias, zero, threshold, torch.tensor([10, 40]))


@pytest.fixture(scope="module")
def x():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(2)).double()


@pytest.fixture(scope="module")
def fired(model, sae, x):
    """The strongest latent of each image."""
    found = latents.peaks(model, sae, x, LAYER)
    return latents.fire(model, sae, x, found.patch.argmax(1), LAYER)


def slopes(function, *inputs, rules=True):
    leaves = [t.clone().requires_grad_(True) for t in inputs]
    if rules:
        with LocalRules():
            out = function(*leaves)
    else:
        out = function(*leaves)
    weight = torch.linspace(-1, 2, out.numel()).to(out).reshape(out.shape)
    return out.detach(), weight, torch.autograd.grad((out * weight).sum(), leaves)


def test_activation_functions_hand_relevance_through():
    x = torch.tensor([-2.0, -0.5, 0.0, 0.7, 3.0]).double()
    for function in (F.gelu, F.silu, torch.tanh, lambda t: F.elu(t, inplace=True), F.relu):
        out, weight, (slope,) = slopes(function, x)
        torch.testing.assert_close(x * slope, out * weight)
        assert slope.isfinite().all()
    assert slopes(F.gelu, x)[2][0][2].item() == pytest.approx(slopes(F.gelu, x, rules=False)[2][0][2].item(), abs=1e-3)


def test_a_layer_norm_keeps_its_deviation():
    x, gain = torch.randn(3, 6, generator=torch.Generator().manual_seed(0)).double(), torch.arange(6).double()
    _, weight, (slope,) = slopes(lambda t: F.layer_norm(t, (6,), gain, gain + 1, 1e-5), x)
    fixed = (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    _, _, (expected,) = slopes(lambda t: (t - t.mean(1, keepdim=True)) / fixed * gain, x, rules=False)
    torch.testing.assert_close(slope, expected)


def test_attention_shares_quarter_quarter_half_also_where_it_is_written_out():
    parts = torch.randn(3, 1, 2, 5, 4, generator=torch.Generator().manual_seed(0)).double().unbind(0)
    *_, plain = slopes(F.scaled_dot_product_attention, *parts, rules=False)
    *_, fused = slopes(F.scaled_dot_product_attention, *parts)
    *_, written = slopes(lambda q, k, v: (q * 0.5 @ k.transpose(-2, -1)).softmax(-1) @ v, *parts)
    for share, own, one, other in zip((0.25, 0.25, 0.5), plain, fused, written, strict=True):
        torch.testing.assert_close(one, share * own)
        torch.testing.assert_close(other, one)


def test_values_stay_and_what_has_no_rule_is_named(model, x):
    with LocalRules("X"):
        assert torch.equal(model(x.clone().requires_grad_(True)), model(x))
        with pytest.raises(ValueError, match="AttnLRP has no rule for sin, which X uses"):
            torch.sin(x.clone().requires_grad_(True))


def steady_norm(step, arriving):
    """Share relevance out by contributions to a layer norm whose deviation is a constant."""
    x, gain, eps = step.inputs[0].detach(), step.argument(2, "weight"), step.argument(4, "eps")
    slope = arriving[0] / step.outputs[0].detach() * gain / (x.var(-1, unbiased=False, keepdim=True) + eps).sqrt()
    return [x * (slope - slope.mean(-1, keepdim=True))]


def test_local_rules_equal_the_rules_function_by_function(model, sae, x, fired, monkeypatch):
    """Those of `relevance` without their stabiliser, but for layer norms, through which it hands channels unmixed."""
    monkeypatch.setattr(attention, "EPSILON", 1e-12)
    monkeypatch.setitem(attention.RULES, "layer_norm", steady_norm)
    for signed in (True, False):
        ours = cafe.attnlrp(model, sae, x, fired, signed=signed)
        theirs = cafe.attnlrp_by_rules(model, sae, x, fired, signed=signed)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
    assert ours.shape == (3, 4, 4) and ours.std() > 0


def test_one_image_is_not_changed_by_the_others(model, sae, x, fired):
    for method in (cafe.attnlrp, partial(cafe.integrated_gradients, steps=4), cafe.gradients, cafe.activation):
        together, alone = method(model, sae, x, fired), method(model, sae, x[1:2], fired[1:2])
        torch.testing.assert_close(together[1:2], alone)


def test_a_token_that_saw_only_its_patch_is_explained_by_it(model, sae, x):
    """Before the first block tokens haven't met, so all relevance lies where the latent fires."""
    found = latents.peaks(model, sae, x, "pos_drop")
    here = latents.fire(model, sae, x, found.patch.argmax(1), "pos_drop")
    fewer = {"KernelSHAP": {"samples": 60}, "integrated gradients": {"steps": 4}}
    for name in set(cafe.METHODS) - {"activation"}:
        maps = cafe.METHODS[name](model, sae, x[:1], here[:1], **fewer.get(name, {})).abs().flatten(1)
        share = maps[0, here.token[0] - 1] / maps.sum()
        assert share > 0.99, name


def test_a_forward_pass_ends_at_its_layer(model, x):
    ran, handles = [], []
    for i, block in enumerate(model.blocks):
        handles.append(block.register_forward_hook(lambda m, given, out, i=i: ran.append(i)))
    h = latents.tokens(model, x, LAYER)
    assert ran == [0, 1, 2]
    with record(model, LAYER) as kept:
        model(x)
    torch.testing.assert_close(h, kept[LAYER].transpose(1, 2))
    [handle.remove() for handle in handles]


def test_a_latent_is_read_where_it_fires_most(model, sae, x, fired):
    codes = sae.encode(latents.tokens(model, x, LAYER))
    for i in range(3):
        own = codes[i, :, fired.latent[i]]
        assert fired.token[i] == 1 + own[1:].argmax() and fired.value[i] == own[1:].max() > 0
    torch.testing.assert_close(latents.reading(model, sae, x, fired), fired.value)
    found = latents.peaks(model, sae, x, LAYER, batch=2)
    assert torch.equal(found.patch, codes[:, 1:].amax(1)) and torch.equal(found.whole, codes[:, 0])
    k = int(found.whole[0].argmax())
    whole = latents.fire(model, sae, x[:1], k, LAYER, where="class")
    assert whole.token.tolist() == [0] and whole.value[0] == codes[0, 0, k]


def test_integrated_gradients_add_up_to_the_code(model, sae, x, fired):
    maps = cafe.integrated_gradients(model, sae, x[:2], fired[:2], steps=100)
    change = fired.value[:2] - latents.reading(model, sae, torch.zeros_like(x[:2]), fired[:2])
    torch.testing.assert_close(maps.sum((1, 2)), change, rtol=2e-2, atol=2e-3)


def test_kernel_shap_adds_up_and_has_draws_of_its_own(model, sae, x, fired):
    state = torch.random.get_rng_state()
    one, two = (cafe.kernel_shap(model, sae, x[:1], fired[:1], samples=120, seed=s) for s in (0, 0))
    assert torch.equal(torch.random.get_rng_state(), state) and torch.equal(one, two)
    change = fired.value[:1] - latents.reading(model, sae, torch.zeros_like(x[:1]), fired[:1])
    torch.testing.assert_close(one.sum((1, 2)), change.to(one), rtol=0.1, atol=0.02)


def test_gradients_are_those_of_the_code(model, sae, x, fired):
    leaf = x.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(latents.reading(model, sae, leaf, fired).sum(), leaf)
    maps = cafe.gradients(model, sae, x, fired)
    torch.testing.assert_close(maps[1, 2, 3], slope[1, :, 16:24, 24:32].abs().sum())


def test_insertion_starts_blank_and_ends_whole(model, sae, x, fired):
    maps = cafe.attnlrp(model, sae, x, fired)
    curves = insert_patches.insertion(model, sae, x, fired, maps, steps=8, batch=5)
    assert curves.shape == (3, 9)
    torch.testing.assert_close(curves[:, -1], torch.ones(3).double())
    blank = latents.reading(model, sae, torch.zeros_like(x), fired) / fired.value
    torch.testing.assert_close(curves[:, 0], blank)
    half = insert_patches.canvases(maps, 8)[:, 4]
    shown = x * F.interpolate(half[:, None].double(), (32, 32))
    torch.testing.assert_close(curves[:, 4], latents.reading(model, sae, shown, fired) / fired.value)


def test_canvases_show_the_highest_first():
    maps = torch.tensor([[[0.1, 0.9], [-1.0, 0.5]]])
    shown = insert_patches.canvases(maps, 4)[0].int().tolist()
    assert shown == [[[0, 0], [0, 0]], [[0, 1], [0, 0]], [[0, 1], [0, 1]], [[1, 1], [0, 1]], [[1, 1], [1, 1]]]
    assert insert_patches.area(torch.tensor([[0.0, 0.5, 1.0], [1.0, 1.0, 1.0]])).tolist() == [0.5, 1.0]


def test_distances_and_spreads_in_shares_of_the_image(model, x, fired):
    maps = torch.zeros(3, 4, 4).double()
    maps[:, 0, 0], maps[:, 0, 1] = 1.0, 1.0
    maps[:, 3, 3] = -5.0  # what speaks against a latent isn't part of its field
    torch.testing.assert_close(insert_patches.centre(maps)[0], torch.tensor([0.125, 0.25]).double())
    at = latents.Fired(LAYER, fired.latent, torch.tensor([1, 2, 13]), fired.value)
    far = insert_patches.distance(model, x, at, maps, count=17)
    torch.testing.assert_close(far, torch.tensor([0.125, 0.125, (0.125**2 + 0.75**2) ** 0.5]).double())
    torch.testing.assert_close(insert_patches.scatter(maps), torch.full((3,), 0.125).double())
    whole = latents.Fired(LAYER, fired.latent, torch.zeros(3).long(), fired.value)
    with pytest.raises(ValueError, match="the class token has no place"):
        insert_patches.distance(model, x, whole, maps, count=17)
    with pytest.raises(ValueError, match="map 0 has nothing above zero"):
        insert_patches.centre(-maps.abs())


def test_bad_input_is_said_in_a_sentence(model, sae, x, fired):
    silent = Sae(*(value if i != 3 else value - 100 for i, value in enumerate(vars(sae).values())))
    with pytest.raises(ValueError, match=r"latent 7 of blocks.2 never fires at a patch token of image 0 \(and 2 more"):
        cafe.cafe(model, silent, x, 7, LAYER)
    with pytest.raises(ValueError, match="has latents 0 to 39, not 40"):
        cafe.cafe(model, sae, x, 40, LAYER)
    with pytest.raises(ValueError, match="one for each of 3 images"):
        cafe.cafe(model, sae, x, torch.tensor([1, 2]), LAYER)
    with pytest.raises(KeyError, match="KernelSHAP"):
        cafe.cafe(model, sae, x, 0, LAYER, method="KernelShap")
    with pytest.raises(KeyError, match="class"):
        latents.fire(model, sae, x, 0, LAYER, where="clas")
    with pytest.raises(ValueError, match=r"maps of 3 images are \(3, 4, 4\)"):
        insert_patches.insertion(model, sae, x, fired, torch.zeros(3, 2, 2))
    with pytest.raises(ValueError, match="NaN"):
        insert_patches.insertion(model, sae, x, fired, torch.zeros(3, 4, 4) / 0)
    resnet = timm.create_model("resnet18", channels=(4, 8, 8, 16), layers=(1, 1, 1, 1)).double().eval()
    with pytest.raises(ValueError, match="ResNet has none, and `ierf` of SRD serves its PFVs"):
        latents.grid(resnet, x)
    headless = transformer(class_token=False, global_pool="avg")
    with pytest.raises(ValueError, match="has no class token"):
        latents.fire(headless, sae, x, 0, LAYER, where="class")
