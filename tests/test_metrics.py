"""The metrics against scipy, scikit-learn, closed forms and files on disk; networks stay as they were."""

import copy
import io

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

from sightglass import metrics, world, zoo
from sightglass.metrics import accuracy, auc, bootstrap, eight_bits, features, floor, frechet, mad, tsne, zero_shot


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = timm.create_model("resnet18", channels=(8, 8, 16, 16), num_classes=4)
    model.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images():
    return torch.rand(10, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def by_matrix_root(a, b):
    """Write the distance as the definition has it, with scipy's root of a matrix."""
    from scipy.linalg import sqrtm

    first, second = (np.cov(x.numpy(), rowvar=False) for x in (a, b))
    root = np.real(sqrtm(first @ second))
    return float(((a.mean(0) - b.mean(0)) ** 2).sum()) + np.trace(first + second - 2 * root)


@pytest.mark.parametrize("sizes", [(40, 70), (40, 12), (300, 500)])
def test_frechet_is_the_definition_whatever_the_sizes(sizes):
    mix = draws(12, 12, seed=3)
    a, b = draws(sizes[0], 12, seed=1) @ mix, draws(sizes[1], 12, seed=2) * 2 + 1
    assert frechet(a, b) == pytest.approx(by_matrix_root(a, b), rel=1e-7)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-12)


def test_frechet_of_fewer_images_than_features_equals_that_in_their_own_space():
    thin = draws(20, 6, seed=4), draws(30, 6, seed=5) + 1
    turn = torch.linalg.qr(draws(200, 6, seed=6)).Q  # 6 dimensions laid into 200: lengths and angles stay
    wide = [x @ turn.T for x in thin]
    assert frechet(*wide) == pytest.approx(frechet(*thin), rel=1e-10)
    assert frechet(wide[0], wide[0] + 3 * turn[:, 0]) == pytest.approx(9, rel=1e-10)
    assert frechet(wide[0], wide[0]) == pytest.approx(0, abs=1e-9)


def test_floor_sinks_with_n_and_is_repeated_by_its_seed():
    real = draws(400, 10)
    values = [floor(real, n) for n in (10, 50, 200)]
    assert values[0] > 2 * values[1] > 4 * values[2] > 0
    assert floor(real, 50) == values[1] != floor(real, 50, seed=1)


def test_features_are_averaged_activations_and_leave_the_network_alone(network, images):
    before, kept = copy.deepcopy(network.state_dict()), []
    handle = network.layer3.register_forward_hook(lambda m, i, o: kept.append(o.mean((2, 3))))
    network((images - 0.5) / 0.25)
    handle.remove()
    torch.testing.assert_close(features(network, images, at="layer3", batch=3), kept[0])
    deep = features(network, images, batch=4)
    torch.testing.assert_close(deep @ network.fc.weight.T + network.fc.bias, network((images - 0.5) / 0.25))
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in before.items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_accuracy_counts_the_networks_own_answers(network, images):
    answers = network((images - 0.5) / 0.25).argmax(1)
    assert accuracy(network, images, answers, batch=3) == 1
    wrong = torch.where(torch.arange(10) < 3, (answers + 1) % 4, answers)
    assert accuracy(network, images, wrong) == pytest.approx(0.7)


def test_eight_bits_is_what_a_png_gives_back(images, network):
    file = io.BytesIO()
    shown = images[0] * 1.2 - 0.1  # some pixels lie outside
    Image.fromarray((shown.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()).save(file, "PNG")
    back = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)
    assert torch.equal(eight_bits(shown), back / 255) and torch.equal(eight_bits(back), back / 255)
    torch.testing.assert_close(features(network, back[None]), features(network, eight_bits(shown)[None]))


class Judge(nn.Module):
    """A judge that sees an image's mean colour, and in a phrase the colours that it names."""

    pretrained_cfg = {"mean": (0.0,) * 3, "std": (1.0,) * 3}

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return nn.functional.normalize(x.mean((2, 3)), dim=-1)

    def phrases(self, texts):
        named = torch.tensor([[float(c in text) for c in ("red", "green", "blue")] for text in texts])
        return nn.functional.normalize(named + 0.01, dim=-1)


COLOURS = ["red", "green", "blue", "red green", "red blue", "green blue"]


def test_zero_shot_counts_first_and_first_five_choices():
    paint = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])[:, :, None, None].expand(-1, -1, 8, 8)
    ask = dict(templates=["a {} thing", lambda name: f"{name}!"], batch=3)
    assert zero_shot(Judge(), paint, COLOURS, [0, 1, 2, 3], **ask) == (1, 1)
    # second choices count among five; the least likely of six does not
    assert zero_shot(Judge(), paint, COLOURS, [3, 3, 4, 2], **ask) == (0, 0.75)


def test_phrases_are_averaged_as_unit_vectors():
    forms = ["{}", "{} blue"]
    (vector,) = metrics.class_vectors(Judge(), ["red"], forms)
    each = Judge().phrases(["red", "red blue"])
    torch.testing.assert_close(vector, nn.functional.normalize(each.mean(0), dim=-1))
    assert float(vector.norm()) == pytest.approx(1)


def test_the_worlds_judge_names_the_worlds_images():
    judge, scenes = zoo.model("world/clip"), world.split("test", 48, maps=False)
    assert len(metrics.default_templates(judge)) == 2 + len(world.BACKGROUNDS)
    first, five = zero_shot(judge, scenes.image, world.NOUNS, scenes.label)
    assert first > 0.5 and five >= first
    assert len(metrics.default_templates(Judge())) == 80  # open_clip's, for any other judge


def test_auc_is_scikit_learns_with_ties():
    from sklearn.metrics import roc_auc_score

    control, synthetic = draws(6, 50).round(decimals=0), (draws(6, 3, seed=1) + 0.5).round(decimals=0)
    truth = np.repeat([0, 1], [50, 3])
    theirs = [roc_auc_score(truth, np.r_[c, s]) for c, s in zip(control, synthetic, strict=True)]
    np.testing.assert_allclose(auc(control, synthetic), theirs, rtol=1e-6)
    assert auc([1, 2, 3], [3]) == pytest.approx(2.5 / 3)


def test_mad_counts_unbiased_deviations_and_is_zero_without_spread():
    assert mad([1, 2, 3], [4, 6]) == pytest.approx(3)  # the unbiased deviation of 1, 2, 3 is 1
    assert torch.equal(mad([[2, 2, 2], [0, 0, 2]], [[5], [0]]) == 0, torch.tensor([True, False]))


def test_uncertainty_agrees_with_the_textbook():
    assert metrics.standard_error(0.5, 100) == 0.05
    rows = draws(200).numpy()
    low, high = bootstrap(rows)
    wide = 1.96 * rows.std() / 200**0.5
    assert (rows.mean() - low, high - rows.mean()) == pytest.approx((wide, wide), rel=0.1)
    people = np.repeat(rows[:, None], 20, 1)  # twenty equal answers of each person are worth one
    assert bootstrap(people) == pytest.approx((low, high))
    assert bootstrap(rows) == (low, high) != bootstrap(rows, seed=1)
    assert np.isnan(bootstrap(np.empty(0))).all()


def test_wilsons_interval_is_scipys():
    from scipy.stats import binomtest

    for hits, n in ((0, 5), (3, 8), (40, 40)):
        theirs = binomtest(hits, n).proportion_ci(method="wilson")
        assert metrics.wilson(hits / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_tsne_keeps_apart_what_is_apart_and_repeats_itself():
    a, b = draws(20, 5).float(), draws(12, 5).float() + 40
    first, second = tsne(a, b, perplexity=5)
    assert first.shape == (20, 2) and second.shape == (12, 2)
    nearest = torch.cdist(second, torch.cat([first, second])).topk(2, largest=False).indices[:, 1]
    assert (nearest >= 20).all()
    assert torch.equal(first, tsne(a, b, perplexity=5)[0])


@pytest.mark.parametrize(("call", "words"), [
    (lambda: frechet(draws(5, 3), draws(5, 4)), r"got \(5, 3\) and \(5, 4\)"),
    (lambda: frechet(draws(1, 3), draws(5, 3)), "at least two images"),
    (lambda: frechet(draws(5, 3) / 0, draws(5, 3)), "NaN or infinite"),
    (lambda: floor(draws(9, 3), 8), "needs 2 to 7"),
    (lambda: features(nn.Sequential(nn.Linear(3, 2)), torch.rand(3, 8, 8)), r"\(n, 3, h, w\).*got \(3, 8, 8\)"),
    (lambda: accuracy(Judge(), torch.rand(2, 3, 8, 8), [1]), "2 images need as many targets, got 1"),
    (lambda: zero_shot(Judge(), torch.rand(2, 3, 8, 8), COLOURS, [0, 6]), "from 0 to 5, got 2, among them 6"),
    (lambda: auc(draws(3, 5), draws(2, 5)), r"got \(3, 5\) and \(2, 5\)"),
    (lambda: metrics.standard_error(1.2, 5), "between 0 and 1"),
    (lambda: tsne(draws(9, 3)), "perplexity of 30 needs more points than that, got 9"),
])  # fmt: skip
def test_mistakes_are_answered_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_an_unknown_tap_is_answered_with_the_nearest(network, images):
    with pytest.raises(KeyError, match="penultimate"):
        features(network, images, at="penultimat")
