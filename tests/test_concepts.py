"""Patches, CRAFT, clusters and circuits against brute force, closed forms and planted truth."""

import copy
import math
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sightglass.concepts import circuit, clusters, craft, patches, pooled, top_patches
from sightglass.concepts.craft import coefficients, factorise, masked_outputs
from sightglass.concepts.sobol import design, total_indices


@pytest.fixture(scope="module")
def network():
    """Colours, edges and noise through a convolution, a ReLU and a classifier of the mean."""
    torch.manual_seed(0)
    see = nn.Conv2d(3, 6, 3, padding=1)
    model = nn.Sequential(see, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
    model.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images():
    return torch.rand(10, 3, 24, 24, generator=torch.Generator().manual_seed(1))


def by_hand(network, images, target, patch, stride):
    """Score every patch of every image by itself: [(score, image, top, left)], the best of each image, best first."""
    found = []
    for i, image in enumerate(images):
        scores = []
        for top in range(0, image.shape[1] - patch + 1, stride):
            for left in range(0, image.shape[2] - patch + 1, stride):
                piece = image[None, :, top : top + patch, left : left + patch]
                shown = F.interpolate(piece, size=image.shape[1:], mode="bilinear", align_corners=False)
                mean = network[1](network[0]((shown - 0.5) / 0.25)).mean((0, 2, 3))
                scores.append((float(mean @ target / target.norm()), i, top, left))
        found.append(max(scores))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("directions", [False, True])
def test_top_patches_are_the_best_of_each_image(network, images, directions):
    along = torch.rand(2, 6, generator=torch.Generator().manual_seed(2)) if directions else torch.eye(6)[[4, 1]]
    found = top_patches(network, images, along if directions else [4, 1], at="1", k=4, patch=10, stride=7)
    for t, target in enumerate(along):
        for k, (score, image, top, left) in enumerate(by_hand(network, images, target, 10, 7)[:4]):
            assert float(found.score[t, k]) == pytest.approx(score, rel=1e-5)
            assert int(found.source[t, k]) == image and found.box[t, k].tolist() == [top, left, 10, 10]
            piece = images[image, None, :, top : top + 10, left : left + 10]
            enlarged = F.interpolate(piece, size=(24, 24), mode="bilinear", align_corners=False)[0]
            assert torch.equal(found.images[t, k], enlarged)
        assert len(set(found.source[t].tolist())) == 4


def test_chunks_and_a_full_shortlist_change_nothing(network, images, monkeypatch):
    whole = top_patches(network, images, range(6), at="1", k=5)
    assert whole.images.shape == (6, 5, 3, 24, 24) and len(whole) == 6 and whole.box[0, 0, 2] == 18
    monkeypatch.setattr(patches, "CHUNK", 3)
    pieces = top_patches(network, images, range(6), at="1", k=5, shortlist=9)
    every = top_patches(network, images, range(6), at="1", k=5)
    assert torch.equal(every.source, whole.source) and torch.equal(every.box, whole.box)
    torch.testing.assert_close(every.score, whole.score)
    # nine of ten images for each of six channels: nobody is left out
    assert torch.equal(pieces.source, whole.source) and torch.equal(pieces.images, whole.images)


def test_a_shortlist_looks_only_at_images_that_answer_somewhere(network, images):
    few = top_patches(network, images, [2], at="1", k=3, shortlist=4)
    with torch.no_grad():
        strongest = network[1](network[0]((images - 0.5) / 0.25)).amax((2, 3))[:, 2].topk(4).indices
    assert set(few.source[0].tolist()) <= set(strongest.tolist())


def test_pooled_is_the_mean_over_positions(network, images):
    with torch.no_grad():
        expected = network[:2]((images - 0.5) / 0.25).mean((2, 3))
    torch.testing.assert_close(pooled(network, images, "1"), expected)


def ishigami(x):
    """Return a function whose shares are known in closed form, for inputs 0 to 1 stretched to -pi..pi."""
    x = (2 * x - 1) * math.pi
    return x[:, 0].sin() + 7 * x[:, 1].sin() ** 2 + 0.1 * x[:, 2] ** 4 * x[:, 0].sin()


def test_total_indices_of_ishigamis_function():
    values = ishigami(design(2048, 3, seed=0).double())
    variance = 49 / 8 + 0.1 * math.pi**4 / 5 + 0.01 * math.pi**8 / 18 + 0.5
    first_and_third = 0.5 * (1 + 0.1 * math.pi**4 / 5) ** 2, 8 * 0.01 * math.pi**8 / 225
    expected = torch.tensor([sum(first_and_third), 49 / 8, first_and_third[1]]).double() / variance
    torch.testing.assert_close(total_indices(values, 3), expected, rtol=0, atol=0.01)


def test_total_indices_of_a_sum_are_its_terms_shares_of_the_variance():
    values = design(256, 4, seed=1) @ torch.tensor([3.0, 1.0, 0.0, 2.0])
    torch.testing.assert_close(total_indices(values, 4), torch.tensor([9.0, 1, 0, 4]) / 14, rtol=0, atol=0.02)


def test_a_function_that_never_changes_owes_nothing_to_its_inputs():
    assert torch.equal(total_indices(torch.full((2, 32 * 5), 0.7), 3), torch.zeros(2, 3))


def test_factorising_finds_planted_directions():
    draw = torch.Generator().manual_seed(0)
    planted = torch.rand(3, 20, generator=draw) * (torch.rand(3, 20, generator=draw) < 0.4)
    amounts = torch.rand(200, 3, generator=draw) * (torch.rand(200, 3, generator=draw) < 0.5)
    found = factorise(amounts @ planted, 3, "the tap", seed=0)
    likeness = F.normalize(found, dim=1) @ F.normalize(planted, dim=1).T
    assert likeness.amax(1).min() > 0.99 and likeness.argmax(1).unique().numel() == 3
    again = coefficients(amounts @ planted, planted)
    torch.testing.assert_close(again, amounts, rtol=0, atol=2e-2)


@pytest.fixture(scope="module")
def coloured():
    """Give pictures of one colour each in a random half, and a network whose class 1 needs red and ignores blue."""
    draw = torch.Generator().manual_seed(0)
    pictures = torch.zeros(24, 3, 16, 16)
    for i, picture in enumerate(pictures):
        place = (slice(0, 8), slice(8, 16))[i // 2 % 2]
        picture[(0, 2)[i % 2], :, place] = 0.3 + 0.7 * torch.rand(1, generator=draw)
    see, decide = nn.Conv2d(3, 3, 1, bias=False), nn.Linear(3, 2)
    see.weight.data, decide.weight.data = torch.eye(3)[:, :, None, None], torch.tensor([[0.0, 1, 1], [1.0, 0, 0]])
    model = nn.Sequential(see, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), decide)
    model.pretrained_cfg = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    return model.eval().requires_grad_(False), pictures


def test_craft_finds_the_colours_and_which_of_them_counts(coloured):
    model, pictures = coloured
    before = copy.deepcopy(model.state_dict())
    found = craft(model, pictures[::1], 1, at="1", r=2, k=6, patch=8, stride=8)
    assert found.directions.argmax(1).tolist() == [0, 2]  # red, then blue
    reds, blues = pictures[::2], pictures[1::2]
    assert len(reds) == len(blues)
    # half of the pictures are red, and there red takes all the variance; blue never changes the output
    torch.testing.assert_close(found.importance, torch.tensor([0.5, 0.0]), rtol=0, atol=0.05)
    assert (found.patches.source[0] % 2 == 0).all() and (found.patches.source[1] % 2 == 1).all()
    assert found.patches.images.shape == (2, 6, 3, 16, 16)
    # every other picture is red, and when only those are tested, red is all that counts
    some = craft(model, pictures, 1, at="1", r=2, k=6, patch=8, stride=8, tested=12)
    assert torch.equal(some.directions, found.directions) and torch.equal(some.patches.source, found.patches.source)
    torch.testing.assert_close(some.importance, torch.tensor([1.0, 0.0]), rtol=0, atol=0.1)
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in before.items())


class Shortcut(nn.Module):
    """Pixels go to the classifier through a tap and, as strongly as told, beside it."""

    def __init__(self, beside):
        super().__init__()
        self.see, self.relu, self.other = nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1)
        self.decide, self.beside = nn.Linear(3, 2), beside
        self.pretrained_cfg = {"mean": (0.0,) * 3, "std": (1.0,) * 3}

    def forward(self, x):
        other = self.other(x)
        return self.decide((self.relu(self.see(x)) + self.beside * other).mean((2, 3)))


@pytest.mark.parametrize("beside", [0.0, 1.0])
def test_masked_outputs_are_those_of_the_whole_network(images, beside, monkeypatch):
    torch.manual_seed(0)
    model = Shortcut(beside).eval().requires_grad_(False)
    maps, directions, masks = model.relu(model.see(images)).flatten(2), torch.eye(3) + 0.2, torch.rand(7, 3)
    monkeypatch.setattr(sys.modules["sightglass.concepts.craft"], "AT_ONCE", 3)
    found = list(masked_outputs(model, images, maps, directions, 1, masks, "relu"))
    for image, one, outputs in zip(images, maps, found, strict=True):
        amount = coefficients(one.T, directions)  # (positions, 3)
        for mask, output in zip(masks, outputs, strict=True):
            through = ((mask * amount) @ directions).T.mean(1)
            expected = model.decide(through + beside * model.other(image).mean((1, 2)))[1]
            torch.testing.assert_close(output, expected, rtol=1e-3, atol=1e-4)


def blobs(counts, spread=0.1):
    """Return points around corners of a cube, so many around each."""
    draw = torch.Generator().manual_seed(0)
    return torch.cat([3 * torch.eye(4)[i] + spread * torch.randn(n, 4, generator=draw) for i, n in enumerate(counts)])


def test_clusters_finds_planted_groups_and_their_middle():
    points = blobs([10, 30, 20])
    found = clusters(points, nearest=15)
    assert found.centre.shape == (3, 4) and found.silhouette > 0.8
    assert found.label.bincount().tolist() == [30, 20, 10]  # the largest first
    assert found.label.tolist() == [2] * 10 + [0] * 30 + [1] * 20
    assert found.nearest.shape == (3, 10)  # the smallest group has ten
    for group, chosen in enumerate(found.nearest):
        distance = (points - found.centre[group]).norm(dim=1)
        assert (found.label[chosen] == group).all() and distance[chosen].diff().min() >= 0
    assert clusters(points, 2).centre.shape == (2, 4)


def test_circuit_is_the_mean_share_of_relevance(network, images):
    found, shares = circuit(network, images, 2, n=2, relevance="gradient x activation")
    with torch.no_grad():
        expected = (network[:4]((images - 0.5) / 0.25) * network[4].weight[2]).mean(0).clamp(min=0)
    top = (expected / expected.sum()).topk(2)
    assert found.tolist() == top.indices.tolist()
    torch.testing.assert_close(shares, top.values)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda m, x: top_patches(m, x, [9], at="1", k=2), IndexError, "channel 9 doesn't exist.*0 to 5"),
    (lambda m, x: top_patches(m, x, torch.rand(1, 5), at="1", k=2), ValueError, r"directions here are \(t, 6\)"),
    (lambda m, x: top_patches(m, x, [1], at="1", k=11), ValueError, "only 10 images"),
    (lambda m, x: top_patches(m, x, [1], at="1", k=2, patch=30), ValueError, "30 pixels doesn't fit into images of 24"),
    (lambda m, x: top_patches(m, x, [1], at="blok1", k=2), KeyError, "unknown tap"),
    (lambda m, x: craft(m, x, 1, at="0"), ValueError, "never negative"),
    (lambda m, x: craft(m, x, 1, at="1", r=7), ValueError, "can't give 7 concepts"),
    (lambda m, x: craft(m, x, 4, at="1", r=2), IndexError, "class 4 doesn't exist"),
    (lambda m, x: circuit(m, x, 2, relevance="LPR"), KeyError, "did you mean LRP"),
    (lambda m, x: circuit(m, x, 2, n=9, relevance="gradient x activation"), ValueError, "has 6 channels, not 9"),
    (lambda m, x: clusters(torch.rand(9)), ValueError, r"features \(n, d\)"),
    (lambda m, x: clusters(torch.rand(9, 2), 1), ValueError, "ask for 2 or more"),
    (lambda m, x: clusters(torch.ones(9, 2)), ValueError, "the same features"),
])  # fmt: skip
def test_mistakes_are_answered_in_words(network, images, call, error, message):
    with pytest.raises(error, match=message):
        call(network, images)
