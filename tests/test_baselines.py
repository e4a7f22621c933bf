"""Fourier, MACO, DeepInversion and Plug-In Inversion against closed forms and their definitions."""

import copy
import subprocess
import sys

import pytest
import timm
import torch
from torch import nn

from sightglass.visualize import BASELINES, METHODS, applies
from sightglass.visualize import deepinversion as deep
from sightglass.visualize import fourier as waves
from sightglass.visualize import plugin as plug
from sightglass.visualize.optimise import descend, prepare, scores, total_variation

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def described(model):
    model.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def network():
    """Give a small ResNet whose layers all do something: an untrained one's residuals are zero."""
    torch.manual_seed(0)
    model = timm.create_model("resnet18", channels=(8, 8, 16, 16), num_classes=4, zero_init_last=False)
    for layer in deep.batch_norms(model):
        layer.running_mean.normal_(0, 0.2)
        layer.running_var.uniform_(0.5, 1.5)
        nn.init.normal_(layer.bias, 0.2, 0.2)
    nn.init.normal_(model.fc.weight)
    return described(model)


@pytest.fixture(scope="module")
def transformer():
    torch.manual_seed(0)
    shape = dict(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=2, num_classes=4)
    return described(timm.create_model("vit_tiny_patch16_224", **shape))


@pytest.fixture(scope="module")
def references():
    return torch.rand(3, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", BASELINES)
def test_a_batch_of_targets_and_seeds_equals_one_at_a_time(network, references, name, device):
    model = copy.deepcopy(network).to(device)
    options = {"MACO": dict(magnitude=waves.mean_spectrum(references.flatten(0, 1))), "DeepInversion": dict(batch=1)}
    how = dict(steps=3, **options.get(name, {}))
    together = BASELINES[name](model, [0, 1, 2], references, seed=[5, 6], **how)
    assert together.shape == (2, 3, 3, 32, 32) and together.min() >= 0 and together.max() <= 1
    assert together.device.type == device
    for s, seed in enumerate((5, 6)):
        alone = BASELINES[name](model, [1], references[1:2], seed=seed, **how)
        torch.testing.assert_close(together[s, 1], alone[0], rtol=0, atol=5e-3)
    assert not torch.allclose(together[0], together[1], atol=0.02)


CALM = {  # nothing random while optimising, so that every step counts
    "Fourier": dict(crop=(1.0, 0.0), noise=0.0), "MACO": dict(crop=(1.0, 0.0), noise=0.0),
    "DeepInversion": dict(jitter=0.0), "Plug-In Inversion": dict(jitter=0.0, colour=0.0, stages=1),
}  # fmt: skip


@pytest.mark.parametrize("name", BASELINES)
def test_targets_rise_and_the_network_stays_bit_equal(network, references, name):
    before, losses = copy.deepcopy(network.state_dict()), []
    BASELINES[name](network, [0, 3], references[:2], steps=12, **CALM[name],
                    callback=lambda step, loss: losses.append(loss))  # fmt: skip
    assert len(losses) == 12 and losses[-1].sum() < losses[0].sum() - 5
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in before.items())
    hooks = [h for m in network.modules() for h in (m._forward_hooks, m._forward_pre_hooks)]
    assert not any(hooks) and not network.training and all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("name", BASELINES)
def test_the_same_seed_gives_the_same_picture_whatever_torchs_own_seed(network, references, name):
    torch.manual_seed(1)
    first = BASELINES[name](network, [2], references[:1], steps=2, seed=3)
    torch.manual_seed(2)
    assert torch.equal(first, BASELINES[name](network, [2], references[:1], steps=2, seed=3))


@pytest.mark.parametrize("name", ["Fourier", "MACO"])
def test_a_channel_is_its_unit_direction_at_any_tap(network, references, name):
    one_hot = torch.eye(16)[[3, 9]]
    channels = BASELINES[name](network, [3, 9], references[:2], steps=2, at="block5")
    torch.testing.assert_close(channels, BASELINES[name](network, one_hot, references[:2], steps=2, at="block5"))
    elsewhere = BASELINES[name](network, [3, 9], references[:2], steps=2, at="layer3.1.conv2")
    assert not torch.allclose(channels, elsewhere, atol=1e-3)


@pytest.mark.parametrize("name", ["Fourier", "MACO", "Plug-In Inversion"])
def test_transformers_of_one_size_are_served(transformer, references, name):
    assert applies(name, transformer) == ""
    images = BASELINES[name](transformer, [0, 1, 2], references, steps=7)
    assert images.shape == (3, 3, 32, 32) and images.isfinite().all()


@pytest.mark.parametrize("name", BASELINES)
def test_odd_canvases_and_no_references(network, references, name):
    extra = dict(magnitude=waves.mean_spectrum(references[0])) if name == "MACO" else {}
    assert BASELINES[name](network, [1], size=33, steps=2, **extra).shape == (1, 3, 33, 33)


def test_scores_are_means_over_positions():
    activations = torch.arange(24.0).view(2, 3, 4)
    assert scores(activations, torch.tensor([0, 2])).tolist() == [1.5, 21.5]
    assert scores(activations, torch.tensor([[1.0, -1, 0], [0, 0, 2]])).tolist() == [-4, 43]


def test_descent_is_adam_within_its_bounds():
    bowl = descend(torch.zeros(2, 3), lambda x, step: (x - 2).square().sum(1), steps=200, rate=lambda step: 0.1,
                   bounds=(torch.tensor(-1.0), torch.tensor(1.5)))  # fmt: skip
    torch.testing.assert_close(bowl, torch.full((2, 3), 1.5))
    with torch.no_grad():  # a caller's no_grad doesn't stop it
        first = descend(torch.zeros(1, 1), lambda x, step: 7 * x.sum(1), steps=1, rate=lambda step: 0.25)
    torch.testing.assert_close(first, torch.full((1, 1), -0.25))  # Adam's first step is the rate, whatever the slope


@pytest.mark.parametrize("size", [32, 33])
def test_phases_leave_the_magnitude_alone(size):
    magnitude = waves.mean_spectrum(torch.rand(5, 3, size, size))
    phase = 20 * torch.randn(2, 3, size, size // 2 + 1)
    found = torch.fft.rfft2(waves.phase_image(phase, magnitude)).abs()
    alone = torch.zeros(size, size // 2 + 1, dtype=torch.bool)  # frequencies that are their own mirror image
    ends = [0] if size % 2 else [0, size // 2]
    alone[[[i] for i in ends], ends] = True
    torch.testing.assert_close(found[..., ~alone], magnitude.expand_as(found)[..., ~alone], rtol=1e-3, atol=1e-3)
    assert (found <= magnitude + 1e-3).all()


def test_macos_picture_has_the_references_magnitude_after_its_steps(network, references):
    magnitude = waves.mean_spectrum(references.flatten(0, 1))
    for steps in (1, 12):
        pixels = waves.maco(network, [0, 1, 2], references, steps=steps, lr=1.0).double()
        found = torch.fft.rfft2(waves.correlate(torch.logit(pixels), back=True)).abs()[:, :, 1:-1, 1:-1]
        ratio = found / magnitude[:, 1:-1, 1:-1]
        torch.testing.assert_close(ratio, ratio.mean((1, 2, 3), keepdim=True).expand_as(ratio), rtol=2e-3, atol=0)


def test_the_mean_spectrum_of_a_wave_is_one_line():
    across = torch.arange(16) * 2 * torch.pi * 3 / 16
    grey = waves.correlate(torch.stack([torch.cos(across), 0 * across, 0 * across])[None, :, None].expand(1, 3, 16, 16))
    found = waves.mean_spectrum(0.5 + grey)
    expected = torch.zeros(3, 16, 9)
    expected[0, 0, 3] = 16 * 16 / 2
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("size", [16, 24, 31, 64])
def test_a_spectrum_is_read_at_its_own_frequencies(size):
    def linear(s):  # bends only at zero, where both grids have a point
        return (torch.fft.fftfreq(s)[:, None].abs() + 2 * torch.fft.rfftfreq(s)).expand(3, -1, -1)

    inside = torch.fft.fftfreq(size) <= 0.5 - 1 / 16  # the grid of 16 ends there
    read = waves.resized_spectrum(linear(16), size)
    torch.testing.assert_close(read[:, inside], linear(size)[:, inside], rtol=0, atol=1e-5)
    assert torch.equal(waves.resized_spectrum(linear(16), 16), linear(16))


def test_amplitudes_fall_with_the_frequency():
    scale = waves.decay_scale(33, 1.5)
    torch.testing.assert_close(scale[0, 2] / scale[0, 4], torch.tensor(2**1.5))
    torch.testing.assert_close(scale[3, 4] / scale[0, 10], torch.tensor(2**1.5))  # 3, 4, 5 is right-angled
    assert scale[0, 0] == scale.max() and scale.shape == (33, 17)


def test_colours_taken_apart_and_mixed_again_are_the_same():
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(waves.correlate(waves.correlate(x), back=True), x, rtol=1e-4, atol=1e-4)
    grey = waves.correlate(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)).flatten()
    assert grey.std() < 0.03 * grey.mean()


def test_boxes_stay_inside_and_views_are_crops(network, references):
    draw = torch.Generator().manual_seed(0)
    boxes = [waves.box(50, (0.25, 0.1), draw) for _ in range(400)]
    assert all(top >= 0 and left >= 0 and max(top, left) + side <= 50 and side >= 2 for top, left, side in boxes)
    assert torch.tensor([side / 50 for *_, side in boxes]).mean() == pytest.approx(0.25, abs=0.02)
    job = prepare(network, [0, 1], references[:2], seed=[1, 2])
    x = torch.rand(4, 3, 32, 32)
    whole = waves.views(x, job, dict(crops=3, crop=(1.0, 0.0)))
    assert torch.equal(whole, x.repeat_interleave(3, 0))
    cut = waves.views(x, job, dict(crops=2, crop=(0.5, 0.0)))
    squares = x[2:].unfold(2, 16, 1).unfold(3, 16, 1).flatten(2, 3)  # every square of half the width of the second seed
    enlarged = [nn.functional.interpolate(s, 32, mode="bilinear", antialias=True) for s in squares.unbind(2)]
    for i in range(2):  # both targets of a seed are cut at the same place
        assert sum(torch.allclose(cut[4 + i], e[0]) and torch.allclose(cut[6 + i], e[1]) for e in enlarged) == 1


def test_fourier_finds_a_colour():
    layers = nn.Conv2d(3, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
    model = described(nn.Sequential(*layers))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0, -1], [-1, 0, 1]]).view(2, 3, 1, 1))
        model[3].weight.copy_(torch.eye(2))
    red, blue = waves.fourier(model, [0, 1], size=16, steps=60).mean((2, 3))
    assert red[0] > red[2] + 0.2 and blue[2] > blue[0] + 0.2


def test_moments_of_a_batch_are_those_of_its_pixels():
    x = 3 + torch.randn(7, 5, 4, 6)
    groups = deep.grouping(7, 7, 3, x.device)
    mean, variance = deep.moments(x, groups)
    for g, rows in enumerate((slice(0, 3), slice(3, 6), slice(6, 7))):
        torch.testing.assert_close(mean[g], x[rows].mean((0, 2, 3)))
        torch.testing.assert_close(variance[g], x[rows].var((0, 2, 3), correction=0))


def test_a_batch_never_mixes_seeds():
    groups = deep.grouping(10, 5, 3, torch.device("cpu"))
    assert groups.sum(1).tolist() == [3, 2, 3, 2] and groups.sum(0).tolist() == [1] * 10
    assert (groups.sum(1) > 0).all() and groups[:2, 5:].sum() == 0


def test_gaps_are_the_distances_of_every_layers_input_statistics(network):
    x, rows = torch.randn(4, 3, 32, 32), slice(2, 4)
    with deep.statistics_gaps(network, deep.grouping(4, 4, 2, x.device)) as gaps:
        network(x)
    kept = []
    hooks = [m.register_forward_hook(lambda m, i, o: kept.append((m, i[0].clone()))) for m in deep.batch_norms(network)]
    network(x[rows])
    [h.remove() for h in hooks]
    assert len(gaps) == len(kept) == 21
    for gap, (layer, seen) in zip(gaps, kept, strict=True):
        mean, variance = seen.mean((0, 2, 3)), seen.var((0, 2, 3), correction=0)
        expected = (variance - layer.running_var).norm() + (mean - layer.running_mean).norm()
        torch.testing.assert_close(gap[1], expected, rtol=1e-4, atol=1e-4)


def test_the_gap_of_the_images_that_a_layer_learned_from_is_zero(references):
    layer = nn.BatchNorm2d(3, momentum=None).train()
    x = references.flatten(0, 1)
    layer(x)
    layer.running_var *= (x[:, 0].numel() - 1) / x[:, 0].numel()  # torch remembers the unbiased variance
    with deep.statistics_gaps(layer.eval(), torch.ones(1, 6)) as gaps:
        layer(x)
    assert float(gaps[0]) < 1e-5


def test_the_loss_of_a_batch_is_the_published_sum(network):
    job = prepare(network, [0, 1], size=32)
    x, how = torch.randn(2, 3, 32, 32), dict(statistics=0.05, first=10.0, tv=0.3, l2=0.7)
    groups = deep.grouping(2, 2, 64, x.device)
    with deep.statistics_gaps(network, groups) as gaps:
        classes = nn.functional.cross_entropy(network(x), torch.tensor([0, 1]))
    steps = [x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :], x[..., 1:, 1:] - x[..., :-1, :-1],
             x[..., 1:, :-1] - x[..., :-1, 1:]]  # fmt: skip
    expected = classes + 0.05 * (10 * gaps[0] + sum(gaps[1:])) + 0.3 * sum(d.norm() for d in steps)
    expected = expected + 0.7 * x.flatten(1).norm(dim=1).mean()
    torch.testing.assert_close(deep.batch_loss(job, x, groups, how), expected)
    alone = sum(d[0].norm() for d in steps)
    torch.testing.assert_close(total_variation(x)[0], alone)


def test_the_kept_image_is_the_one_of_lowest_loss(network):
    losses, how = [], dict(lr=3.0, jitter=0.0, batch=2, statistics=0.05, first=10.0, tv=1e-4, l2=1e-5)
    job = prepare(network, [0, 1, 2], size=32)  # batches of two and one
    best = deep.stage(job, torch.randn(3, 3, 32, 32), how, 1, 12, lambda step, loss: losses.append(loss))
    groups = deep.grouping(3, 3, 2, best.device)
    with torch.no_grad():
        again = deep.batch_loss(job, best, groups, how)
    torch.testing.assert_close(again, torch.stack(losses).amin(0), rtol=1e-4, atol=1e-4)
    assert (again < losses[-1]).any() or (again < losses[0]).all()


def test_two_resolutions(network):
    widths, steps = [], []
    handle = network.conv1.register_forward_hook(lambda m, i, o: widths.append(i[0].shape[-1]))
    deep.deep_inversion(network, [0, 1], size=32, steps=4, down=2, finish=0.5,
                        callback=lambda step, loss: steps.append(step))  # fmt: skip
    handle.remove()
    assert widths[1:] == [16] * 4 + [32] * 2 and steps == list(range(6))  # the first look only counts the classes


def test_images_of_a_batch_depend_on_each_other_and_single_ones_do_not(network):
    pair, single = (deep.deep_inversion(network, [0, 1], size=32, steps=8, batch=b) for b in (2, 1))
    alone = deep.deep_inversion(network, [0], size=32, steps=8, batch=1)
    torch.testing.assert_close(single[:1], alone, rtol=0, atol=1e-3)
    assert not torch.allclose(pair[0], single[0], atol=1e-2) and not torch.equal(pair[0], pair[1])


def test_stages_grow_by_eighths():
    assert plug.widths(224, 7) == [56, 84, 112, 140, 168, 196, 224]


def test_pictures_zoom_or_are_centred_in_noise(network):
    job, x = prepare(network, [0, 1], size=32), torch.rand(2, 3, 8, 8)
    assert torch.equal(plug.grown(x, 8, 0, job), x)
    centred = plug.grown(x, 12, 4, job)
    assert torch.equal(centred[..., 2:10, 2:10], x) and torch.equal(centred[0, :, :2], centred[1, :, :2])


def test_colours_are_scaled_and_moved_per_channel_and_copy(network):
    job, x = prepare(network, [0, 1], size=32), torch.rand(2, 3, 8, 8)
    seen = plug.coloured(x, 4, 1.0, job).view(2, 4, 3, 64)
    scale = seen.std(-1) / x.flatten(2).std(-1)[:, None]
    move = (seen - scale[..., None] * x.flatten(2)[:, None]).mean(-1)
    rebuilt = scale[..., None] * x.flatten(2)[:, None] + move[..., None]
    torch.testing.assert_close(seen, rebuilt)
    assert scale.log().abs().max() <= 1 and move.abs().max() <= 1 and scale.unique().numel() >= 12
    torch.testing.assert_close(scale[0], scale[1])  # the targets of a seed see the same colours


def test_small_stages_are_enlarged_only_where_a_network_needs_it(network, transformer):
    cpu = torch.device("cpu")
    assert plug.takes(network, 16, cpu) and plug.takes(transformer, 32, cpu) and not plug.takes(transformer, 16, cpu)
    steps = []
    plug.plug_in(transformer, [0], size=32, steps=10, callback=lambda step, loss: steps.append(step))
    assert steps == list(range(10))


def test_methods_by_name(network, transformer):
    assert list(METHODS) == ["VITAL", "Fourier", "MACO", "DeepInversion", "Plug-In Inversion"]
    assert all(applies(name, network) == "" for name in METHODS)
    why = "DeepInversion needs BatchNorm layers, and VisionTransformer has none"
    assert applies("DeepInversion", transformer) == why and applies("MACO", network, "block5") == ""
    assert "classes only" in applies("Plug-In Inversion", network, "block5")
    with pytest.raises(KeyError, match="unknown method 'Maco': did you mean MACO"):
        applies("Maco", network)


def test_the_package_is_light_until_a_method_is_asked_for():
    code = "import sys, sightglass.visualize as v; first = 'torch' in sys.modules; v.METHODS; print(first)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"False\n"
    with pytest.raises(AttributeError, match="no attribute 'METHODZ'"):
        sys.modules["sightglass.visualize"].METHODZ  # noqa: B018


def test_published_settings(network):
    from sightglass.visualize.presets import settings

    how = settings(network, "paper", {}, method="plug_in", presets=plug.PRESETS, exceptions=plug.EXCEPTIONS)
    assert how["copies"] == 21 and how["steps"] == 2807 and how["lr"] == 0.01
    published = deep.PRESETS["paper"]
    assert published | dict(lr=0.05, tv=1e-4, l2=1e-5, batch=64, steps=2000, first=10) == published
    assert waves.MACO["paper"] | dict(lr=1.0, noise=0.1, crop=(0.25, 0.1)) == waves.MACO["paper"]


@pytest.mark.parametrize(("name", "options", "error", "message"), [
    ("Fourier", dict(target=[0, 9, 2]), IndexError, "target 9 doesn't exist: 'logits' has channels 0 to 3"),
    ("Fourier", dict(target=torch.eye(5)[:3]), ValueError, r"directions at 'logits' are \(k, 4\); got \(3, 5\)"),
    ("MACO", dict(at="blok5"), KeyError, "block5"),
    ("MACO", dict(target=[0]), ValueError, "one set for each of the 1 targets"),
    ("MACO", dict(references=None, size=32), ValueError, "maco needs references"),
    ("MACO", dict(references=None), ValueError, "doesn't tell its input size: give references or size"),
    ("MACO", dict(magnitude=torch.ones(3, 8, 8)), ValueError, r"a magnitude is \(3, s, s // 2 \+ 1\)"),
    ("DeepInversion", dict(at="block5"), ValueError, "DeepInversion visualizes classes only"),
    ("DeepInversion", dict(target=torch.eye(4)[:3]), ValueError, "classes only: targets are a list of classes"),
    ("Plug-In Inversion", dict(at="block5"), ValueError, "Plug-In Inversion visualizes classes only"),
    ("Plug-In Inversion", dict(preset="fancy"), KeyError, "unknown preset 'fancy': Valid: paper, world"),
    ("DeepInversion", dict(stepz=3), TypeError, "unknown option of deep_inversion 'stepz': did you mean steps"),
    ("Fourier", dict(lr=float("nan"), steps=3), FloatingPointError, "the loss of image 0 is nan at step 2: lower lr"),
])  # fmt: skip
def test_mistakes_are_answered_in_words(network, references, name, options, error, message):
    given = dict(references=references) | options
    with pytest.raises(error, match=message):
        BASELINES[name](network, given.pop("target", [0, 1, 2]), given.pop("references"), **given)


def test_a_network_without_batchnorm_or_in_training_is_refused(network, transformer, references):
    with pytest.raises(ValueError, match="needs BatchNorm layers, and VisionTransformer has none"):
        deep.deep_inversion(transformer, [0], size=32)
    with pytest.raises(ValueError, match="ResNet is in training mode"):
        waves.fourier(copy.deepcopy(network).train(), [0], size=32)
