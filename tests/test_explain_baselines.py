"""Network Dissection and CLIP-Dissect against literal slow definitions, and causes against planted units."""

import math
from importlib import import_module

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sightglass import world
from sightglass.explain import painting
from sightglass.explain.cause import Effects, causes, effects, foreseen, foresight, judge, reach, word_by_word
from sightglass.explain.dissect import dissect, maps_of, thresholds
from sightglass.explain.explanations import Explanations, of_words
from sightglass.explain.masks import Category, world_categories
from sightglass.explain.painting import paintable_words, painted
from sightglass.explain.wpmi import best_words, soft_wpmi
from sightglass.zoo.phrases import concept_phrases


def generator(seed):
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------------------------ Network Dissection
@pytest.fixture(scope="module")
def labelled():
    """Smooth maps of 5 units on 12 images, of which one unit never fires, with labels of three categories."""
    maps = F.interpolate(torch.rand(12, 5, 3, 3, generator=generator(0)), size=6, mode="bilinear")
    maps[:, 3] = 0.25
    things = torch.randint(4, (12, 16, 16), generator=generator(1)) * (torch.rand(12, 16, 16) < 0.1)
    things[:6] = 0
    parts = torch.randint(3, (12, 16, 16), generator=generator(2))
    places = torch.randint(3, (12,), generator=generator(3))
    return maps, (Category("thing", ("car", "cat", "bee"), things.to(torch.uint8)),
                  Category("part", ("wheel", "eye"), parts), Category("place", ("snow", "sea"), places))  # fmt: skip


def slow_iou(maps, categories, unit, quantile):
    """Compare one unit with every word, pixel by pixel, as the definition says."""
    values = maps[:, unit].flatten().sort(descending=True).values
    limit = values[int(quantile * len(values) + 1e-6)]
    found = []
    for category in categories:
        for word in range(1, len(category.words) + 1):
            met = own = total = 0
            for image, labels in zip(maps[:, unit], category.labels, strict=True):
                large = F.interpolate(image[None, None], size=(16, 16), mode="bilinear", align_corners=False)[0, 0]
                lit, named = large > limit, labels.expand(16, 16)
                met += int((lit & (named == word)).sum())
                total += int((named == word).sum())
                own += int(lit.sum()) if (lit & (named > 0)).any() else 0
            found.append(met / (own + total - met) if own + total - met else 0.0)
    return found


@pytest.mark.parametrize("quantile", [0.01, 0.1])
def test_overlap_by_category_equals_a_literal_slow_one(labelled, quantile):
    maps, categories = labelled
    found = dissect(maps, categories, quantile=quantile)
    assert found.words == ("car", "cat", "bee", "wheel", "eye", "snow", "sea")
    for k in (0, 1, 2, 4):
        assert found.iou[k].tolist() == pytest.approx(slow_iou(maps, categories, k, quantile), abs=1e-6)
    assert found.area[3] == 0 and found.iou[3].max() == 0 and found.best()[3] == ""


def test_chunks_change_nothing(labelled, monkeypatch):
    whole = dissect(*labelled, quantile=0.05)
    for name, value in (("AT_ONCE", 700), ("SORTED", 900)):
        monkeypatch.setattr(import_module("sightglass.explain.dissect"), name, value)
    pieces = dissect(*labelled, quantile=0.05)
    assert torch.equal(pieces.iou, whole.iou) and torch.equal(pieces.threshold, whole.threshold)


@pytest.mark.parametrize("share", [0.002, 0.3])
def test_a_unit_that_copies_a_mask_has_iou_one(share):
    mask = torch.rand(8, 16, 16, generator=generator(0)) < share
    other = torch.rand(8, 16, 16, generator=generator(1)) < 0.5
    found = dissect(torch.stack([mask, other], 1).float(), [Category("thing", ("cat",), mask.long())])
    assert found.iou[0].item() == 1 and found.best() == ["cat", "cat"]
    assert found.iou[1].item() < 0.5
    table = found.table()
    assert table["unit"].tolist() == [0, 1] and table["thing"][0] == "cat (1.00)"


def test_thresholds_leave_the_share_above_them():
    maps = torch.rand(20, 3, 10, 10, generator=generator(0))
    above = (maps > thresholds(maps, 0.005)[:, None, None]).transpose(0, 1).flatten(1).sum(1)
    assert above.tolist() == [10, 10, 10]


def test_dissection_refuses_what_it_cannot_read(labelled):
    maps, categories = labelled
    with pytest.raises(ValueError, match=r"needs maps \(n, K, h, w\); got \(12, 5\)"):
        dissect(maps[:, :, 0, 0], categories)
    with pytest.raises(ValueError, match="maps has a value that is no number .* row 0, unit 1"):
        dissect(maps.index_fill(1, torch.tensor([1]), math.nan), categories)
    with pytest.raises(ValueError, match="labels of 6 images, all of one size"):
        dissect(maps[:6], categories)
    with pytest.raises(ValueError, match="every word needs a name of its own, found 'car' 2 times"):
        dissect(maps, [categories[0], categories[0]])
    with pytest.raises(ValueError, match="needs a category of words"):
        dissect(maps, [])
    with pytest.raises(ValueError, match="labels of 'place' are 0 to 2, found 0 to 3"):
        Category("place", ("snow", "sea"), torch.tensor([0, 3]))
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    network.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    with pytest.raises(ValueError, match="penultimate has 1 positions, not a square map; name a convolution's tap"):
        maps_of(network, torch.rand(2, 3, 8, 8), "penultimate")
    assert maps_of(network, torch.rand(2, 3, 8, 8), "0").shape == (2, 4, 8, 8)


def test_the_worlds_labels_agree_with_its_truth():
    scenes = world.draw(world.plan(range(24), 5, pairs=1.0, hard=0.0), 64)
    categories = {c.name: c for c in world_categories(scenes)}
    words = [word for c in categories.values() for word in c.words]
    assert len(set(words)) == len(words)
    for name in ("noun", "family", "part", "texture", "place"):
        words, labels = categories[name].words, categories[name].labels
        for j, word in enumerate(words):
            there = (labels == j + 1).flatten(1).any(1) if labels.ndim == 3 else labels == j + 1
            seen = scenes.concept[:, world.CONCEPTS.index(word)]
            assert not (seen & ~there).any()  # what the truth sees has pixels; a few pixels don't count as seen
    zebra = world.draw(world.edit(world.plan(range(1), 5, clean=True), background="snow"), 64)
    shown = {c.name: c.words[int(c.labels[c.labels > 0].mode().values) - 1] for c in world_categories(zebra)}
    assert (shown["noun"], shown["family"], shown["texture"], shown["place"]) == (
        "zebra", "mammal", "striped", "on snow")  # fmt: skip
    with pytest.raises(ValueError, match="drawn with maps=False"):
        world_categories(world.draw(world.plan(range(2), 5), 64, maps=False))


# ------------------------------------------------------------------------------------------------- soft-WPMI
def slow_wpmi(cos, q, top, sharpness, prior):
    """Score words as published: a loop over units, ranks and words, in double precision."""
    shares = (sharpness * cos.double()).softmax(1)
    fit = torch.zeros(q.shape[1], cos.shape[1]).double()
    for k in range(q.shape[1]):
        for i, image in enumerate(q[:, k].argsort(descending=True)[:top].tolist()):
            p = 0.998 - 0.028 * i / top
            fit[k] += torch.log(1 + p * (shares[image] - 1) + 1e-7)
    return fit - prior * (torch.logsumexp(fit, 0, keepdim=True) - math.log(len(fit)))


def test_soft_wpmi_equals_the_loop(monkeypatch):
    cos, q = torch.rand(40, 7, generator=generator(0)), torch.rand(40, 5, generator=generator(1))
    monkeypatch.setattr("sightglass.explain.wpmi.AT_ONCE", 14)
    for options in (dict(top=20, sharpness=10.0, prior=1.0), dict(top=40, sharpness=40.0, prior=0.3)):
        found, slow = soft_wpmi(cos, q, **options).double(), slow_wpmi(cos, q, **options)
        torch.testing.assert_close(found, slow, rtol=0, atol=1e-3)


def test_a_planted_concept_is_found():
    truth = (torch.rand(400, 8, generator=generator(0)) < 0.15).float()
    cos = 0.1 + 0.15 * truth + 0.03 * torch.randn(400, 8, generator=generator(1))
    q = torch.cat([truth[:, [5, 2, 7]] + 0.3 * torch.rand(400, 3, generator=generator(2)), torch.zeros(400, 1)], 1)
    names = [f"word {j}" for j in range(8)]
    scores = soft_wpmi(cos, q, top=40, sharpness=20)
    assert best_words(scores, names, q=q) == ["word 5", "word 2", "word 7", ""]


def test_soft_wpmi_refuses_what_does_not_fit():
    cos, q = torch.rand(50, 4), torch.rand(50, 3)
    with pytest.raises(ValueError, match="the 100 highest images are asked for; there are 50"):
        soft_wpmi(cos, q)
    with pytest.raises(ValueError, match="found cosines 40, activations 50"):
        soft_wpmi(cos[:40], q)
    with pytest.raises(ValueError, match="activations has a value that is no number .* row 0, unit 0"):
        soft_wpmi(cos, q * math.nan)
    with pytest.raises(ValueError, match="scores for 3 words are"):
        best_words(q @ q.T, ["a", "b", "c"])


# ---------------------------------------------------------------------------------------------------- causes
SAMPLE = ("zebra", "red car", "bird", "made thing", "on snow", "striped", "pink", "wheel", "two things", "small owl")


@pytest.fixture(scope="module")
def pairs():
    return painted(SAMPLE, 4)


def test_pairs_differ_in_what_was_painted_and_in_nothing_else(pairs):
    assert tuple(pairs) == SAMPLE and all(len(pair) == 4 for pair in pairs.values())
    columns, again = concept_phrases(), painted(["wheel", "on snow"], 4)
    for name, gained in zip(SAMPLE, pairs.gained(SAMPLE), strict=True):
        assert gained[SAMPLE.index(name)] == 1  # checked on the drawings' truth
    assert torch.equal(again["wheel"].within, pairs["wheel"].within)  # whatever else is painted
    # cutting wheels out leaves most of the picture as it was; another place changes it nearly everywhere
    changed = {name: (p.within != p.without).any(1).float().mean((1, 2)) for name, p in pairs.items()}
    assert changed["wheel"].max() < 0.25 and changed["on snow"].min() > 0.25
    usual = world.plan(range(24), painting.SEED, hard=0.0)
    kept, _ = painting.planned("on snow", 5, 0, usual, painting.look(usual, 64)[1])
    before = world.draw(usual[kept], 64, maps=False)
    assert torch.equal(before.image[:4], pairs["on snow"].without)
    assert not before.concept[:, columns.index("on snow")].any()


def test_scenes_that_serve_several_concepts_are_drawn_once(pairs):
    assert torch.equal(pairs["on snow"].without[0], pairs["pink"].without[0])
    used = torch.cat([torch.cat(rows) for rows in pairs.rows.values()])
    assert len(used.unique()) < len(used) and len(pairs.images) == len(pairs.truth)
    zebras = pairs.gained(["zebra", "striped", "animal"])[SAMPLE.index("zebra")]
    assert zebras[0] == 1 and zebras[1] > 0.5 and 0 <= zebras[2] < 1  # other animals stood there before


def test_kinds_take_turns_as_the_main_object():
    usual = world.plan(range(24), 3, hard=0.0)
    after = painting.exchanged(usual, "plant")
    assert {world.parents(world.KINDS[k]) >= {"plant"} for k in after.kind.tolist()} == {True}
    assert len(set(after.kind.tolist())) > 5 and torch.equal(after.background, usual.background)


def test_what_cannot_be_painted_is_said():
    with pytest.raises(KeyError, match="unknown concept that can be painted 'zebar': did you mean zebra"):
        painted(["zebar"])
    with pytest.raises(ValueError, match="painting needs a concept and 1 pair"):
        painted([], 3)


def test_captions_are_judged_word_by_word():
    assert paintable_words("a striped cat head on snow") == ["striped", "cat", "head", "on snow"]
    assert paintable_words("red car and red car") == ["red car"] and paintable_words("nothing known") == []
    said = word_by_word(of_words(("cat head", "zebra", "so what"), ["zebra", "cat head", "", "so what"]))
    assert [said.terms(k) for k in range(4)] == [[(1, "zebra")], [(0.5, "cat"), (0.5, "head")], [], [(1, "so what")]]
    assert word_by_word(of_words(("zebra",), ["", ""])).length.tolist() == [0, 0]


def test_a_units_cause_is_found():
    """Snow drives a unit that sums pixels up, night its opposite, and wheels are too small for either."""
    network = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    network[0].weight.data = torch.tensor([[1.0, 1, 1], [-1, -1, -1]])[:, :, None, None]
    network.pretrained_cfg = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    images = world.draw(world.plan(range(48), 9, hard=0.0), 64, maps=False).pixels()
    q = network[0](images).mean((2, 3)).detach()
    found = effects(network, ["on snow", "at night", "wheel", "nonsense"], q, at="0", pairs=8)
    assert found.names == ("on snow", "at night", "wheel") and found.pairs == (8, 8, 8)
    torch.testing.assert_close(found.mean[:, 0], -found.mean[:, 1])
    assert found.drives(least=0.5).tolist() == [[True, False], [False, True], [False, False]]
    pair = painted(["on snow"], 8)["on snow"]
    by_hand = (pair.within.float() - pair.without.float()).sum(1).mean((1, 2)) / 255 / q.std(0)[0]
    assert found.mean[0, 0].item() == pytest.approx(by_hand.mean().item(), rel=1e-4)
    assert found.error[0, 0].item() == pytest.approx(by_hand.std().item() / 8**0.5, rel=1e-4)
    with pytest.raises(ValueError, match="0 has 2 units; the activations q have 3"):
        effects(network, ["on snow"], torch.rand(5, 3), at="0", pairs=2)


def test_words_are_judged_by_the_sign_of_their_weights():
    names = ("snow", "night", "wheel", "nonsense")
    mean = torch.tensor([[2.0, -1.0, 0], [-1.0, 0.35, 0], [0.0, 0, 0]])
    gained = torch.tensor([[1.0, -0.5, 0], [-0.5, 1, 0], [0, 0, 1]])
    found = Effects(names[:3], mean, torch.full((3, 3), 0.1), (8, 8, 8), gained)
    concept = torch.tensor([[0, 1, 3], [0, -1, -1], [2, -1, -1]])
    said = Explanations(names, concept, torch.tensor([[1.0, -1, 2], [1, 0, 0], [1, 0, 0]]), torch.zeros(3), mean[0])
    verdict = judge(found, said)
    assert verdict.drives.tolist() == [[True, True, False], [False] * 3, [False] * 3] and verdict.unpainted == 1
    assert verdict.size[0, :2].tolist() == [2, 1] and verdict.size[1, 0] == -1 and verdict.size[0, 2].isnan()
    assert reach(found, verdict).tolist() == pytest.approx([1, 0, math.nan], nan_ok=True)
    table = causes(found, {"ours": said, "words": of_words(names, ["night", "night", ""])}).set_index("method")
    assert table.loc["ours", ["words", "not painted"]].tolist() == [4, 1]
    assert table.loc["ours", "drive"] == 0.5 and table.loc["ours", "first"] == pytest.approx(1 / 3)
    assert table.loc["words", "drive"] == 0.5 and table.loc["words", "strongly"] == 0
    assert table.loc["any word, by chance", "drive"] == pytest.approx(2 / 9)
    assert table.loc["words", "chance"] == pytest.approx(1 / 3)  # night drives one unit of three
    assert verdict.chance[0, :2].tolist() == pytest.approx([1 / 3, 1 / 3])  # snow upwards, night downwards
    best = table.loc["the strongest cause", ["words", "drive", "reach"]].tolist()
    assert best == [2, 1, 1] and found.strongest().terms(2) == []
    # unit 0 is promised snow - night: painting snow adds 1 and takes half a night away, and so on
    promised = torch.tensor([1.5, -1.5, 0])
    assert foreseen(found, said)[:, 0].tolist() == promised.tolist()
    by_hand = np.corrcoef(promised, mean[:, 0])[0, 1]
    kept = foresight(found, said)
    assert kept[0].item() == pytest.approx(by_hand) and kept[2].isnan()  # nothing moves unit 2
    assert table.loc["ours", "foresight"] == pytest.approx(kept[:2].mean().item())
    unsure = Effects(names[:3], mean, torch.full((3, 3), 0.12), (8, 8, 8), gained)
    assert not unsure.drives()[1, 1]  # 0.35 < 3 x 0.12
    with pytest.raises(ValueError, match="1 units are explained; the effects are on 3"):
        judge(found, of_words(names, ["snow"]))
