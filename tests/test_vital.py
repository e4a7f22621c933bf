"""VITAL, class mode: the fast form against the definition, one image at a time, and a network left as it was."""

import copy

import pytest
import timm
import torch

from sightglass.visualize import vital as module
from sightglass.visualize.optimise import bell
from sightglass.visualize.vital import (
    learning_rate,
    reference_quantiles,
    resample,
    settings,
    shifted,
    sort_matching,
    sorted_values,
    starts,
    tap_weights,
    total_variation,
    vital,
)  # fmt: skip


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = timm.create_model("resnet18", channels=(8, 8, 16, 16), num_classes=4)
    model.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def references():
    return torch.rand(3, 4, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def argsort_gather(x, references):
    """Write the loss as Algorithm 1 does: rank each value of x, gather the references' value of that rank."""
    ranks = x.argsort(-1).argsort(-1)
    targets = references.sort(-1).values.mean(0, keepdim=True).gather(-1, ranks)
    return (x - targets).square().mean((1, 2))


@pytest.mark.parametrize("ties", [False, True])
def test_sort_matching_is_the_argsort_gather_form_in_loss_and_gradient(ties):
    draw = torch.Generator().manual_seed(0)
    x, references = (torch.randn(n, 6, 40, generator=draw, dtype=torch.double) for n in (1, 5))
    if ties:
        x, references = x.relu(), references.relu()
    x.requires_grad_(True)
    fast = sort_matching(x, references.sort(-1).values.mean(0, keepdim=True))
    slow = argsort_gather(x, references)
    torch.testing.assert_close(fast, slow, rtol=1e-13, atol=0)
    ours, theirs = (torch.autograd.grad(loss.sum(), x)[0] for loss in (fast, slow))
    torch.testing.assert_close(ours.sum((0, 2)), theirs.sum((0, 2)), rtol=0, atol=1e-15)
    if not ties:  # among equal values each form may order them as it likes
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_sorting_is_torchs_sort_with_its_gradient():
    x = torch.randn(4, 7, 33, generator=torch.Generator().manual_seed(3)).requires_grad_(True)
    weight = torch.randn(4, 7, 33, generator=torch.Generator().manual_seed(4))
    for shape in (x, x[:, :, ::2], x.transpose(0, 1)):
        ours, theirs = sorted_values(shape), shape.sort(-1).values
        assert torch.equal(ours, theirs)
        w = weight.reshape(-1)[: ours.numel()].view_as(ours)
        slopes = [torch.autograd.grad((v * w).sum(), x, retain_graph=True)[0] for v in (ours, theirs)]
        assert torch.equal(*slopes)


def test_sort_matching_is_the_squared_wasserstein_distance():
    from scipy.stats import wasserstein_distance_nd

    x, y = torch.randn(2, 1, 1, 30, generator=torch.Generator().manual_seed(2)).double()
    points = [v.flatten()[:, None].numpy() for v in (x, y)]
    assert wasserstein_distance_nd(*points) <= float(sort_matching(x, y.sort(-1).values)) ** 0.5 + 1e-9
    shifted_by = sort_matching(y + 0.7, y.sort(-1).values)  # moving every value by .7 costs .49
    torch.testing.assert_close(shifted_by, torch.tensor([0.49], dtype=torch.double))


def test_quantiles_are_the_mean_of_sorted_activations(network, references):
    q = reference_quantiles(network, references, ["layer1"])["layer1"]
    kept = []
    handle = network.layer1.register_forward_hook(lambda m, i, o: kept.append(o.flatten(2)))
    network((references[1] - 0.5) / 0.25)
    handle.remove()
    torch.testing.assert_close(q[1], kept[0].sort(-1).values.mean(0))


def test_a_batch_of_targets_and_seeds_equals_one_at_a_time(network, references):
    together = vital(network, [0, 1, 2], references, steps=4, seed=[5, 6])
    assert together.shape == (2, 3, 3, 64, 64) and together.min() >= 0 and together.max() <= 1
    for s, seed in enumerate((5, 6)):
        alone = vital(network, [1], references[1:2], steps=4, seed=seed)
        torch.testing.assert_close(together[s, 1], alone[0], rtol=0, atol=2e-3)
    assert not torch.allclose(together[0], together[1], atol=0.05)


def test_the_loss_falls_and_the_network_stays_bit_equal(network, references):
    before, losses = copy.deepcopy(network.state_dict()), []
    vital(network, [0, 1, 2], references, steps=60, lr=0.1, tv=0, callback=lambda step, loss: losses.append(loss))
    assert (losses[-1] < 0.5 * losses[0]).all()
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in before.items())
    assert not any(m._forward_hooks for m in network.modules()) and not network.training
    assert all(p.grad is None for p in network.parameters())


def test_scale_free_weights_undo_a_networks_scale():
    q = torch.randn(2, 5, 30).sort(-1).values
    small, large = tap_weights({"a": q}, "scale-free")["a"], tap_weights({"a": 10 * q}, "scale-free")["a"]
    torch.testing.assert_close(small, 100 * large)
    assert tap_weights({"a": q, "b": q}, (1, 100)) == {"a": 1, "b": 100}


def test_total_variation_of_a_ramp():
    ramp = torch.arange(8.0).expand(1, 3, 8, 8) * 0.5  # .5 to the right, 0 down, .5 on both diagonals
    expected = 0.5 * ((3 * 8 * 7) ** 0.5 + 2 * (3 * 7 * 7) ** 0.5)
    assert float(total_variation(ramp)) == pytest.approx(expected, rel=1e-4)


def test_schedule_start_jitter_and_resampling():
    rates = [learning_rate(t, 100, 1.0) for t in range(100)]
    assert (
        rates[4] == 1.0
        and rates[0] == pytest.approx(0.2)
        and rates[-1] < 1e-3
        and rates[52] == pytest.approx(0.51, abs=0.02)
    )
    x, generators = starts([3, 4], 2, 8, 0.3)
    assert torch.equal(x[0], x[1]) and not torch.equal(x[1], x[2])
    centred, _ = starts([3, 4], 2, 8, 0.3, centre=0.4)
    assert torch.allclose((centred / x)[0, 0], bell(8, 0.4), atol=1e-5) and bell(9, 0.4)[4, 4] == 1
    rolled = shifted(x, 2, generators)
    assert torch.equal(rolled.sum((2, 3)), x.sum((2, 3))) or torch.allclose(rolled.sum((2, 3)), x.sum((2, 3)))
    line = torch.linspace(0, 1, 100).expand(1, 1, 100)
    assert resample(line, 25).shape[-1] == 25 and abs(resample(line, 25).mean() - 0.5) < 1e-6


def test_paper_preset_knows_the_official_exceptions(network):
    assert settings(network, "paper", {})["weights"] == "even"
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=5, embed_dim=24, num_heads=2, patch_size=32)
    assert settings(vit, "paper", {})["weights"][-1] == 0.1 and settings(vit, "paper", {})["tv"] == 3e-4
    assert settings(vit, "world", {})["lr"] < settings(network, "world", {})["lr"]
    assert settings(network, "paper", {"tv": 0.5})["tv"] == 0.5


@pytest.mark.parametrize(("options", "error", "message"), [
    (dict(preset="fancy"), KeyError, "unknown preset 'fancy': Valid: paper, world"),
    (dict(stepz=3), TypeError, "unknown option of vital 'stepz': did you mean steps"),
    (dict(target=[0]), ValueError, "one set for each of the 1 targets"),
    (dict(target=[0, 99, 1]), IndexError, "class 99 doesn't exist: ResNet has classes 0 to"),
    (dict(relevance="gradient"), KeyError, "unknown relevance 'gradient'.*gradient x activation"),
    (dict(taps=["blockk1"]), KeyError, "block1"),
])  # fmt: skip
def test_mistakes_are_answered_in_words(network, references, options, error, message):
    target = options.pop("target", [0, 1, 2])
    with pytest.raises(error, match=message):
        vital(network, target, references, **options)


def test_references_of_another_size_are_refused_in_words():
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1, embed_dim=24, num_heads=2).eval()
    with pytest.raises(ValueError, match=r"VisionTransformer can't look at references of \(48, 48\) pixels"):
        vital(vit, [0], torch.rand(1, 2, 3, 48, 48), steps=1)


def test_a_loss_that_is_no_number_is_said(network, references):
    with pytest.raises(FloatingPointError, match="the loss of image 0 is"):
        vital(network, [0], torch.full_like(references[:1], float("nan")), steps=2)


def test_module_names_its_page():
    assert "3-2-distribution-matching" in module.__doc__
