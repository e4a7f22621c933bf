"""Metrics of saliency maps: equal to Quantus and to the formulas written out, for each image alone."""

import numpy as np
import pytest
import torch
from torch import nn

from sightglass.metrics.fidelity import drops, fidelity, pixel_sets
from sightglass.metrics.maps import is_constant, localisation, pointing, scaled, sparseness
from sightglass.metrics.stability import noises, stability
from sightglass.metrics.structure import pcc, ssim

N, SIDE = 4, 14


@pytest.fixture
def scene():
    """Give signed maps, masks, images of one channel and a small network."""
    torch.manual_seed(0)
    masks = torch.zeros(N, SIDE, SIDE, dtype=torch.bool)
    for i in range(N):
        masks[i, i : i + 5, 3:9] = True
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 144, 3)).eval()
    maps = torch.randn(N, SIDE, SIDE)
    maps[0, 2, 4], maps[1, 6, 9] = 9, 9  # inside, and one pixel beside
    return scaled(maps), masks, torch.randn(N, 1, SIDE, SIDE), model.requires_grad_(False)


def quantus(name, model, x, maps, masks=None, **how):
    """Return the scores of one of Quantus' metrics, image by image."""
    library = pytest.importorskip("quantus")
    call = dict(normalise=False, disable_warnings=True, display_progressbar=False, return_aggregate=False)
    given = dict(model=model, x_batch=x.numpy(), y_batch=np.arange(N) % 3, a_batch=maps[:, None].numpy())
    if masks is not None:
        given["s_batch"] = masks[:, None].numpy()
    explain = how.pop("explain", None)
    metric = getattr(library, name)(**call | how)
    return torch.tensor(np.array(metric(**given, explain_func=explain, batch_size=1, device="cpu"), dtype=float))


def test_masks_and_sparseness_equal_quantus(scene):
    maps, masks, x, model = scene
    wide = nn.functional.max_pool2d(masks[:, None].float(), 3, 1, 1)[:, 0] > 0  # 15/224 of 14 pixels is one
    hits = quantus("PointingGame", model, x, maps, wide, abs=False)
    assert torch.equal(pointing(maps, masks).double(), hits) and 0 < hits.sum() < N
    inside = quantus("AttributionLocalisation", model, x, maps, masks, abs=False, positive_attributions=True)
    torch.testing.assert_close(localisation(maps, masks).double(), inside, rtol=1e-5, atol=1e-6)
    gini = quantus("Sparseness", model, x, maps.abs(), abs=True)
    torch.testing.assert_close(sparseness(maps).double(), gini, rtol=1e-4, atol=1e-5)


def test_pointing_counts_the_tolerance_to_the_pixel():
    masks, maps = torch.zeros(1, 64, 64).bool(), torch.zeros(2, 1, 64, 64)
    masks[0, 20:30, 20:30] = True
    maps[0, 0, 33, 33], maps[1, 0, 34, 33] = 1, 1  # 15/224 of 64 is 4: the mask reaches to row 33
    assert pointing(maps, masks)[:, 0].tolist() == [1, 0]
    assert pointing(maps, masks, tolerance=0)[:, 0].tolist() == [0, 0]
    maps[1, 0, 25, 25] = 1  # a second maximum, inside
    assert pointing(maps, masks)[1, 0] == 1


def test_sparseness_is_the_gini_index():
    maps = torch.tensor([[[1.0, 1.0], [1.0, -1.0]], [[0.0, 0.0], [0.0, 5.0]], [[4.0, 1.0], [3.0, -2.0]]])
    flat = maps.flatten(1).abs()
    gini = (flat[:, :, None] - flat[:, None]).abs().sum((1, 2)) / (2 * 4 * flat.sum(1))
    torch.testing.assert_close(sparseness(maps), gini)
    assert sparseness(maps).tolist() == pytest.approx([0, 0.75, 0.25])


def test_scaled_maps_span_one_and_fit_the_image():
    maps = torch.randn(3, 2, 4, 4)
    wide = scaled(maps, (16, 16))
    assert wide.shape == (3, 2, 16, 16)
    torch.testing.assert_close(wide.abs().amax((-2, -1)), torch.ones(3, 2))
    torch.testing.assert_close(scaled(7 * maps), scaled(maps))
    assert scaled(torch.zeros(1, 4, 4)).abs().sum() == 0


def test_fidelity_of_a_linear_network_is_one_for_its_own_contributions(scene):
    _, _, x, _ = scene
    model = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 3)).eval().requires_grad_(False)
    target, sets = torch.arange(N) % 3, pixel_sets((SIDE, SIDE), count=20, share=0.1)
    maps = model[1].weight[target].view(N, SIDE, SIDE) * x[:, 0]
    fall = drops(model, x, target, sets)
    torch.testing.assert_close(
        fidelity(torch.stack([maps, -3 * maps]), fall, sets), torch.tensor([[1.0], [-1]]).expand(2, N)
    )
    assert torch.equal(sets.sum(1), torch.full((20,), 20)) and not torch.equal(sets[0], sets[1])


def test_fidelity_equals_quantus_on_the_same_sets(scene, monkeypatch):
    maps, _, x, model = scene
    sets, target = pixel_sets((SIDE, SIDE), count=12, share=0.1), torch.arange(N) % 3
    ours = fidelity(maps, drops(model, x, target, sets, batch=5), sets)
    order = iter([one.nonzero()[:, 0].numpy() for _ in range(N) for one in sets])
    monkeypatch.setattr(np.random, "choice", lambda *_, **__: next(order))
    how = dict(subset_size=20, nr_runs=12, perturb_baseline=0.0, abs=False)
    theirs = quantus("FaithfulnessCorrelation", model, x, maps, **how)
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5)


def slopes(model, x, target):
    leaf = x.clone().requires_grad_(True)
    return torch.autograd.grad(model(leaf).gather(1, target[:, None]).sum(), leaf)[0].sum(1)


def test_stability_equals_quantus_on_the_same_noise(scene):
    library = pytest.importorskip("quantus")
    _, _, x, model = scene
    target, noise = torch.arange(N) % 3, noises(x.shape[1:], samples=5)
    ours = stability(lambda z: slopes(model, z, target), x, noise)
    order = iter([sample.flatten()[None].numpy() for _ in range(N) for sample in noise])

    def explain(model, inputs, targets, **_):
        maps = slopes(model, torch.as_tensor(inputs), torch.as_tensor(targets))
        return scaled(maps)[:, None].numpy()

    how = dict(nr_samples=5, norm_numerator=library.distance_euclidean, norm_denominator=library.distance_euclidean)
    perturb = dict(perturb_func=lambda arr, **_: arr + next(order), perturb_func_kwargs={})
    theirs = quantus(
        "LocalLipschitzEstimate", model, x, scaled(slopes(model, x, target)), explain=explain, **how, **perturb
    )
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5)


def test_scores_of_an_image_and_a_method_do_not_depend_on_others(scene):
    maps, masks, x, model = scene
    target, noise = torch.arange(N) % 3, noises(x.shape[1:], samples=3)
    sets = pixel_sets((SIDE, SIDE), count=9, share=0.1)
    several = torch.stack([maps, maps**2])

    def both(z):
        made = slopes(model, z, target[: len(z)])
        return torch.stack([made, made.abs()])

    fall = drops(model, x, target, sets)
    for score in (lambda m, i: pointing(m, masks[i]), lambda m, i: localisation(m, masks[i]),
                  lambda m, i: sparseness(m), lambda m, i: fidelity(m, fall[i], sets)):  # fmt: skip
        torch.testing.assert_close(score(several, slice(None))[1, :1], score(maps[:1] ** 2, slice(1)))
    torch.testing.assert_close(drops(model, x[:1], target[:1], sets, batch=2), fall[:1])
    together = stability(both, x, noise)
    assert together.shape == (2, N)
    torch.testing.assert_close(together[:, :1], stability(both, x[:1], noise))
    torch.testing.assert_close(together, stability(both, x, noise, maps=both(x)))


def test_structure_equals_formulas(scene):
    skimage = pytest.importorskip("skimage.metrics")
    maps, _, x, _ = scene
    other = scaled(maps + 0.5 * x[:, 0])
    expected = [np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in zip(maps, other, strict=True)]
    assert pcc(maps, other).tolist() == pytest.approx(expected, abs=1e-6)
    for reach in (1.0, 2.0):
        theirs = [skimage.structural_similarity(a.double().numpy(), b.double().numpy(), data_range=reach)
                  for a, b in zip(maps, other, strict=True)]  # fmt: skip
        assert ssim(maps, 3 * other, reach=reach).tolist() == pytest.approx(theirs, abs=1e-6)
    torch.testing.assert_close(ssim(maps, maps), torch.ones(N).double())


def test_answers_to_bad_input(scene):
    maps, masks, x, model = scene
    flat, empty, broken = maps.clone(), masks.clone(), maps.clone()
    flat[2], empty[1], broken[0, 0, 0] = 0.5, False, float("nan")
    sets = pixel_sets((SIDE, SIDE), count=3, share=0.1)
    fall = drops(model, x, torch.zeros(N, dtype=torch.long), sets)
    assert is_constant(flat).tolist() == [False, False, True, False]
    for score in (lambda m, **k: pointing(m, masks, **k), lambda m, **k: localisation(m, masks, **k),
                  sparseness, lambda m, **k: fidelity(m, fall, sets, **k)):  # fmt: skip
        with pytest.raises(ValueError, match="map 2 is constant"):
            score(flat)
        assert score(flat, constant=0.25)[2] == 0.25 and score(flat, constant=0.25).isfinite().all()
        with pytest.raises(ValueError, match="NaN"):
            score(broken)
    with pytest.raises(ValueError, match="the mask of image 1 is empty"):
        pointing(maps, empty)
    with pytest.raises(ValueError, match="`scaled` brings maps to the size"):
        localisation(maps[:, ::2, ::2], masks)
    with pytest.raises(ValueError, match="tell nothing"):
        pixel_sets((8, 8), share=1e-4)
    with pytest.raises(ValueError, match="noise is"):
        stability(lambda z: z[:, 0], x, noises((3, 8, 8)))
    with pytest.raises(ValueError, match="pair 2 holds a constant map"):
        pcc(maps, flat)
