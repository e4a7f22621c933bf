"""VITAL, inner mode: the fast form against the official one written out, dead starts, and what is refused."""

import copy
import warnings

import pytest
import timm
import torch

from sightglass.relevance import RELEVANCE
from sightglass.visualize import neurons
from sightglass.visualize.neurons import channel_weights, loss, set_goal, taps_before, vital_inner
from sightglass.visualize.optimise import prepare
from sightglass.visualize.presets import settings
from sightglass.visualize.transparency import masked, opacity, watched
from sightglass.zoo import normalise
from sightglass.zoo.taps import record

PLAIN = dict(tv=0.0, l2=0.0, weights="even", jitter=0.0)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = timm.create_model("resnet18", channels=(8, 8, 16, 16), num_classes=4)
    model.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def references():
    return torch.rand(2, 5, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def planned(network, target, references, preset="paper-code", relevance="LRP", **options):
    """Return a job, its goal and its settings, as `vital_inner` makes them."""
    how = settings(network, preset, PLAIN | options, presets=neurons.PRESETS, exceptions={})
    job = prepare(network, target, references, at="block5")
    return job, set_goal(job, references, relevance, how), how


def scaled(x, relevance):
    """Multiply activations with relevance scaled per image and channel."""
    low, high = relevance.amin(-1, keepdim=True), relevance.amax(-1, keepdim=True)
    return x * (relevance - low) / (high - low + 1e-6)


def as_published(network, channel, x, references, taps):
    """Write the inner loss as the official code does: per reference and channel, by two argsorts and a gather."""
    total = 0.0
    found = []
    for images in (x, normalise(network, references)):
        target = torch.full((len(images),), channel)
        with record(network, taps) as kept:
            network(images)
        found.append((dict(kept), RELEVANCE["LRP"](network, images, target, taps, at="block5")))
    for tap in taps:
        (own, own_relevance), (theirs, relevance) = ((kept[tap], r[tap]) for kept, r in found)
        largest = relevance.amax(-1)
        above = largest - largest.amin(1, keepdim=True)
        v = above / (above.amax(1, keepdim=True) + 1e-6)  # (n, c)
        z, ranked = scaled(own, own_relevance), scaled(theirs, relevance).sort(-1).values.mean(0, keepdim=True)
        matched = ranked.gather(-1, z.argsort(-1).argsort(-1))
        total = total + (v[:, :, None] * (z - matched).square().expand(len(v), -1, -1)).mean()
    return total


def test_loss_and_gradient_are_those_of_the_official_code(network, references):
    job, goal, how = planned(network, [3], references[:1])
    assert goal.taps == ["block1", "block2", "block3", "block4"]
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    slopes, values = [], []
    for form in (lambda x: loss(job, goal, how, None, x, 0).sum(),
                 lambda x: as_published(network, 3, x, references[0], goal.taps)):  # fmt: skip
        pixels = x.clone().requires_grad_(True)
        values.append(form(pixels))
        slopes.append(torch.autograd.grad(values[-1], pixels)[0])
    torch.testing.assert_close(values[0][()], values[1], rtol=1e-5, atol=0)
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-3, atol=float(slopes[1].abs().max()) * 1e-4)


def test_the_papers_text_weighs_nothing_and_scales_nothing(network, references):
    job, goal, how = planned(network, [3], references[:1], preset="paper-text")
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    expected = 0.0
    for images in references[:1]:
        found = []
        for pixels in (x, normalise(network, images)):
            with record(network, goal.taps) as kept:
                network(pixels)
            wanted = torch.full((len(pixels),), 3)
            r = RELEVANCE["LRP"](network, pixels, wanted, goal.taps, at="block5")
            found.append({tap: (kept[tap] * r[tap]).sort(-1).values.mean(0) for tap in goal.taps})
        expected = sum((found[0][tap] - found[1][tap]).square().mean() for tap in goal.taps)
    torch.testing.assert_close(loss(job, goal, how, None, x, 0)[0], expected, rtol=1e-4, atol=1e-10)


def test_channel_weights_are_the_mean_of_each_images_largest_relevance_from_0_to_1():
    relevance = torch.tensor([[[0.0, 1], [4, 2], [5, 1]], [[3, 0], [0, 0], [1, 2]]])  # largest: 1 4 5 and 3 0 2
    torch.testing.assert_close(channel_weights(relevance)[:, 0], torch.tensor([0.5, 0.375, 5 / 6]), rtol=1e-5, atol=0)


@pytest.mark.parametrize(("at", "found"), [
    ("block5", ["block1", "block2", "block3", "block4"]), ("layer4", ["block1", "block2", "block3", "block4"]),
    ("layer3.0.conv2", ["block1", "block2", "block3"]), ("fc", ["block1", "block2", "block3", "block4", "block5"]),
])  # fmt: skip
def test_the_blocks_before_a_tap_are_matched(network, references, at, found):
    assert taps_before(network, at, references[0, :1], "even") == found
    assert taps_before(network, at, references[0, :1], (0.1, 1, 1, 1)) == found[:4]


def test_a_batch_of_targets_and_seeds_equals_one_at_a_time(network, references):
    together = vital_inner(network, [3, 7], references, steps=3, seed=[5, 6], lr=0.1)
    assert together.shape == (2, 2, 3, 64, 64) and together.min() >= 0 and together.max() <= 1
    alone = vital_inner(network, [7], references[1:], steps=3, seed=6, lr=0.1)
    torch.testing.assert_close(together[1, 1], alone[0], rtol=0, atol=2e-3)
    assert not torch.allclose(together[0], together[1], atol=0.02)


@pytest.mark.parametrize("at", ["block5", "block3", "logits"])
def test_the_loss_falls_and_the_network_stays_bit_equal(network, references, at):
    before, losses = copy.deepcopy(network.state_dict()), []
    vital_inner(network, [1, 2], references, at=at, steps=12, lr=0.1, tv=0, jitter=0, start=0.05, centre=0.0,
                callback=lambda step, now: losses.append(now))  # fmt: skip
    assert (losses[-1] < 0.5 * losses[0]).all()
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in before.items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    assert all(p.grad is None for p in network.parameters())


def test_a_channel_that_is_dead_at_the_start_is_found_again(network, references):
    model = copy.deepcopy(network)
    model.layer4[1].bn2.bias[5] = -100.0  # dead on every image: relevance can only start at the best position
    job, goal, how = planned(model, [5, 6], references)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)).requires_grad_(True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        slope = torch.autograd.grad(loss(job, goal, how, None, x, 0).sum(), x)[0]
    assert slope[0].abs().sum() > 0 and slope.isfinite().all()
    lone = RELEVANCE["LRP"](model, x[:1], torch.tensor([5]), goal.taps, at="block5", where="best")
    found, _ = neurons.look(model, x, torch.tensor([5, 6]), goal)
    torch.testing.assert_close(found["block3"][:1], lone["block3"], rtol=1e-4, atol=1e-7)
    with pytest.warns(RuntimeWarning, match="1 of 2 finished images leave their target at block5 at zero"):
        vital_inner(model, [5, 6], references, steps=1)


def test_guided_backpropagation_starts_as_lrp_where_its_target_is_dead(network, references):
    model = copy.deepcopy(network)
    model.layer4[1].bn2.bias[5] = -100.0  # no gradient passes
    job, goal, _ = planned(model, [5, 6], references, relevance="guided backpropagation")
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    found, _ = neurons.look(model, x, torch.tensor([5, 6]), goal)
    alone = RELEVANCE["LRP"](model, x[:1], torch.tensor([5]), goal.taps, at="block5", where="best")
    guided = RELEVANCE["guided backpropagation"](model, x[1:], torch.tensor([6]), goal.taps, at="block5")
    torch.testing.assert_close(found["block3"], torch.cat([alone["block3"], guided["block3"]]), rtol=1e-4, atol=1e-7)
    assert alone["block3"].sum() > 0


@pytest.mark.parametrize(("name", "how", "relevance"), [
    ("densenet121", dict(growth_rate=4, block_config=(2, 2, 2, 2)), "LRP"),
    ("convnext_tiny", dict(depths=(1, 1, 1, 1), dims=(8, 8, 16, 16)), "gradient x activation"),
    ("vit_tiny_patch16_224", dict(img_size=32, patch_size=8, embed_dim=16, depth=5, num_heads=2), "AttnLRP"),
])  # fmt: skip
def test_other_families_are_served_by_the_relevance_that_suits_them(name, how, relevance):
    model = timm.create_model(name, num_classes=4, **how).eval().requires_grad_(False)
    references = torch.rand(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    losses = []
    images = vital_inner(model, [1, 2], references, relevance=relevance, steps=2, lr=0.1, tv=0,
                         callback=lambda step, now: losses.append(now))  # fmt: skip
    assert images.isfinite().all() and not torch.equal(images[0], images[1])
    assert torch.stack(losses).isfinite().all() and losses[0].min() > 0


def test_a_direction_along_one_channel_is_that_channel(network, references):
    one_hot = torch.eye(16)[[3, 7]]
    channels = vital_inner(network, [3, 7], references, steps=2, where="best")
    directions = vital_inner(network, one_hot, references, steps=2)
    torch.testing.assert_close(channels, directions, rtol=0, atol=1e-5)


def test_an_image_may_be_larger_than_its_references(network, references):
    images, alpha = vital_inner(network, [3], references[:1], size=96, steps=2, transparency=True)
    assert images.shape == (1, 3, 96, 96) and alpha.shape == (1, 96, 96)
    assert alpha.min() >= 0 and alpha.max() == 1


def test_transparency_adds_up_the_size_of_gradients():
    weight = torch.linspace(-1, 1, 48).view(1, 3, 4, 4)
    x, total = torch.zeros(1, 3, 4, 4).requires_grad_(True), torch.zeros(1, 3, 4, 4)
    for sign in (1.0, -2.0):
        slope = torch.autograd.grad((watched(x, total) * weight * sign).sum(), x)[0]
        assert torch.equal(slope, weight * sign)
    torch.testing.assert_close(total, 3 * weight.abs())
    alpha = opacity(total)
    assert alpha.shape == (1, 4, 4) and alpha.max() == 1
    ratio = alpha / total.mean(1)
    assert torch.allclose(ratio[alpha < 1], ratio[alpha < 1][0])


def test_masked_shows_the_image_where_it_counts_and_the_ground_elsewhere():
    images, alpha = torch.full((2, 3, 4, 4), 0.25), torch.zeros(2, 4, 4)
    alpha[1] = 1
    alpha[0, 0, 0] = 0.5
    shown = masked(images, alpha, on=0.75)
    assert shown[1].eq(0.25).all() and shown[0, :, 1:].eq(0.75).all() and shown[0, :, 0, 0].eq(0.5).all()
    with pytest.raises(ValueError, match="an opacity for each pixel"):
        masked(images, alpha[:1])


@pytest.mark.parametrize(("options", "error", "message"), [
    (dict(at="block9"), KeyError, "block"),
    (dict(target=[3, 99]), IndexError, "target 99 doesn't exist: 'block5' has channels 0 to 15"),
    (dict(target=torch.rand(2, 9)), ValueError, r"directions at 'block5' are \(k, 16\)"),
    (dict(preset="paper"), KeyError, "paper-code"),
    (dict(stepz=3), TypeError, "option of vital_inner 'stepz': did you mean steps"),
    (dict(relevance="LPR"), KeyError, "did you mean LRP"),
    (dict(at="block1"), ValueError, "no block runs before 'block1'"),
    (dict(taps=["block1", "block2", "block3"], weights=(1, 1)), ValueError, "3 taps need a weight each, got 2"),
    (dict(target=[1]), ValueError, "one set for each of the 1 targets"),
])  # fmt: skip
def test_mistakes_are_answered_in_words(network, references, options, error, message):
    target = options.pop("target", [3, 7])
    with pytest.raises(error, match=message):
        vital_inner(network, target, references, **({"steps": 1} | options))


def test_a_loss_that_is_no_number_is_said(network, references):
    broken = references.clone()
    broken[1, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="the loss of image 1"):
        vital_inner(network, [3, 7], broken, steps=2)
