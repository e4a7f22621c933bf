"""Concept matrices, calibration, splits and the record of explanations, against definitions and scikit-learn."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from sightglass import world, zoo
from sightglass.explain import exports
from sightglass.explain.calibration import calibrate
from sightglass.explain.explanations import Explanations, of_words
from sightglass.explain.matrix import Matrix, cosines, encode, from_labels, from_text, usable, with_parents
from sightglass.explain.splits import split


def test_splits_deal_every_image_once():
    parts = split(101, seed=3)
    assert [len(rows) for rows in (parts.train, parts.val, parts.test)] == [71, 10, 20]
    assert torch.cat([parts.train, parts.val, parts.test]).sort().values.equal(torch.arange(101))
    assert torch.equal(split(101, seed=3).val, parts.val) and not torch.equal(split(101, seed=4).val, parts.val)
    assert len(split(30).val) == 3
    with pytest.raises(ValueError, match="needs 30 images or more, 3 for each part; got 29"):
        split(29)
    with pytest.raises(ValueError, match="three positive numbers of sum 1"):
        split(100, shares=(0.7, 0.3, 0.3))


def test_a_matrix_refuses_names_that_do_not_fit():
    values = torch.rand(4, 2)
    with pytest.raises(ValueError, match="the concept set is empty"):
        Matrix((), values[:, :0])
    with pytest.raises(ValueError, match=r"3 concepts need values \(n, 3\), got \(4, 2\)"):
        Matrix(("a", "b", "c"), values)
    with pytest.raises(ValueError, match="'a' 2 times"):
        Matrix(("a", "a"), values)
    with pytest.raises(ValueError, match="labels lie between 0 and 1"):
        from_labels(torch.tensor([[0.0, math.nan]]), ["a", "b"])
    with pytest.raises(KeyError, match="unknown concept 'zebr'"):
        Matrix(("zebra", "owl"), values).only(["zebr"])
    chosen = Matrix(("zebra", "owl"), values).only(["owl"])
    assert chosen.names == ("owl",) and torch.equal(chosen.values, values[:, 1:])


LABELS = torch.tensor(
    # zebra, horse, owl, wheel, everywhere, tyre
    [[1, 1, 0, 0, 1, 0], [1, 0, 1, 0, 1, 0], [0, 1, 0, 0, 1, 0], [0, 0, 1, 0, 1, 0], [0, 0, 0, 1, 1, 1]]
).bool()
NAMES = ["zebra", "horse", "owl", "wheel", "everywhere", "tyre"]


def test_parents_are_there_when_any_child_is_even_two():
    above = {"zebra": {"mammal"}, "horse": "mammal", "mammal": {"animal", "beast of burden"}, "owl": {"animal", "bird"}}
    found = with_parents(from_labels(LABELS, NAMES), above)
    # a bird is always an owl, a tyre always a wheel, a beast of burden is a mammal's longer name
    assert found.names == ("zebra", "horse", "owl", "wheel", "animal", "mammal")
    assert found.values[:, 5].tolist() == [1, 1, 1, 0, 0]  # two mammals in the first image still make 1
    assert found.values[:, 4].tolist() == [1, 1, 1, 1, 0]
    assert torch.equal(found.values[:, :4], LABELS[:, :4].float())


def test_a_label_that_is_also_a_parent_is_there_with_its_children():
    found = with_parents(from_labels(LABELS, NAMES), {"zebra": ["horse"]})
    assert found.values[:, found.names.index("horse")].tolist() == [1, 1, 1, 0, 0]
    assert found.values[:, found.names.index("zebra")].tolist() == [1, 1, 0, 0, 0]
    with pytest.raises(KeyError, match="unknown concept 'zebr'"):
        with_parents(from_labels(LABELS, NAMES), {"zebr": ["horse"]})
    with pytest.raises(ValueError, match="the concept set is empty"):
        with_parents(from_labels(LABELS[:, 4:5], NAMES[4:5]), {})


def test_the_worlds_own_parents_are_the_or_of_its_nouns():
    scenes = world.split("test", 240, maps=False)
    nouns = from_labels(scenes.concept[:, : len(world.NOUNS)], world.NOUNS)
    found = with_parents(nouns, {noun: world.parents(noun) for noun in world.NOUNS})
    for name in ("mammal", "animal", "vehicle"):
        truth = scenes.concept[:, world.CONCEPTS.index(name)].float()
        assert torch.equal(found.values[:, found.names.index(name)], truth)


class Towers(nn.Module):
    """Say of pixels and phrases what the first numbers are."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.pretrained_cfg = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
        self.calls = []

    def forward(self, images):
        return nn.functional.normalize(images.flatten(1)[:, :4] + self.weight, dim=1)

    def phrases(self, phrases):
        self.calls.append(len(phrases))
        return nn.functional.normalize(torch.tensor([[len(p), p.count("a"), 1.0, 2.0] for p in phrases]), dim=1)


def test_text_becomes_chances_however_it_is_batched(monkeypatch):
    images, phrases, model = torch.rand(11, 3, 4, 4), ["a", "banana", "owl", "cat", "sea"], Towers()
    monkeypatch.setattr("sightglass.explain.matrix.AT_ONCE", 2)
    found = from_text(model, images, phrases, (6.0, -3.0), batch=4)
    cos = (model(images) @ model.phrases(phrases).T).detach()
    torch.testing.assert_close(found.values, 1 / (1 + (3 - 6 * cos).exp()))
    assert found.names == tuple(phrases) and model.calls[:3] == [2, 2, 1]
    again = from_text(model, encode(model, images), phrases, (6.0, -3.0), names=list("vwxyz"))
    torch.testing.assert_close(again.values, found.values)
    assert again.names == tuple("vwxyz") and not found.values.requires_grad
    with pytest.raises(ValueError, match="the concept set is empty"):
        cosines(model, images, [])
    with pytest.raises(TypeError, match="a list of phrases, found one string"):
        cosines(model, images, "banana")


def test_the_worlds_explainer_sees_zebras_and_refuses_words_it_never_learned():
    model, scenes = zoo.model("world/explainer"), world.split("test", 120, maps=False)
    cos = cosines(model, scenes.pixels(), world.NOUNS)
    scale = calibrate(cos, scenes.concept[:, : len(world.NOUNS)], torch.arange(80))
    found = from_text(model, scenes.pixels(), world.NOUNS, scale)
    truth = scenes.concept[80:, : len(world.NOUNS)]
    assert found.values[80:][truth].mean() > 0.5 > 0.2 > found.values[80:][~truth].mean()
    with pytest.raises(ValueError, match="the network never learned a word of 'a quokka': unknown word 'quokka'"):
        from_text(model, scenes.pixels()[:2], ["zebra", "a quokka"], scale)


def test_usable_keeps_what_the_rows_show():
    values = torch.full((20, 4), 0.1)
    values[:6, 0] = 0.9  # there
    values[:6, 1] = torch.tensor([0.9, 0.5, 0.4, 0.4, 0.2, 0.1])  # a mean of .48
    values[10:, 2] = 0.9  # only on other rows
    values[:, 3] = 0.9  # always
    matrix = Matrix(tuple("abcd"), values)
    assert usable(matrix, torch.arange(10)).names == ("a",)
    assert usable(matrix, torch.arange(10), least=0.45).names == ("a", "b")
    assert usable(matrix, torch.arange(20)).names == ("a", "c")
    with pytest.raises(ValueError, match="none of 4 concepts reaches a mean of 0.95 on its 5 best images"):
        usable(matrix, torch.arange(10), least=0.95)


@pytest.fixture(scope="module")
def graded():
    """Draw cosines whose chance of truth is sigmoid(40 cos - 6), and one concept that nearly all images have."""
    draw = torch.Generator().manual_seed(0)
    cos = 0.05 + 0.08 * torch.randn(600, 12, generator=draw)
    truth = torch.rand(cos.shape, generator=draw) < (40 * cos - 6).sigmoid()
    truth[:, 11] = torch.rand(600, generator=draw) < 0.8
    return cos, truth


def test_calibration_is_logistic_regression_on_the_rows(graded):
    from sklearn.linear_model import LogisticRegression

    cos, truth = graded
    rows = torch.arange(0, 600, 2)
    a, ab = calibrate(cos, truth, rows)
    x, y = cos[rows][:, :11].reshape(-1, 1).double().numpy(), truth[rows][:, :11].flatten().numpy()
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x, y)
    assert a == pytest.approx(oracle.coef_.item(), rel=0.01) and ab == pytest.approx(oracle.intercept_.item(), rel=0.01)
    assert a == pytest.approx(40, rel=0.2)
    worse = calibrate(cos, truth, rows, most=1.0)  # the common concept's cosines say nothing
    assert worse[0] < 0.7 * a


def test_calibration_is_finite_when_a_threshold_parts_everything_and_refuses_what_it_cannot_use(graded):
    cos, truth = graded
    rows = torch.arange(600)
    a, ab = calibrate(cos, cos > 0.1, rows)
    assert 100 < a < 1e6 and -ab / a == pytest.approx(0.1, abs=0.01)
    with pytest.raises(ValueError, match="the cosines don't rise with the truth"):
        calibrate(-cos, truth, rows)
    with pytest.raises(ValueError, match=r"the cosines don't rise with the truth \(a = 0\)"):
        calibrate(torch.full_like(cos, 0.1), truth, rows)
    with pytest.raises(ValueError, match="the cosines hold NaN or infinite values"):
        calibrate(cos / 0, truth, rows)
    with pytest.raises(ValueError, match="at most 30% of them; none of 12 is so"):
        calibrate(cos, torch.ones_like(truth), rows)
    with pytest.raises(ValueError, match=r"need as many truths, got \(600, 11\)"):
        calibrate(cos, truth[:, :11], rows)


AWKWARD = ("NA", "red, green", 'a "quoted" word', "nan", "été", "last")


@pytest.fixture(scope="module")
def three():
    """Explain three units, one of them by nothing."""
    return Explanations(
        AWKWARD, torch.tensor([[1, 0, 2], [-1, -1, -1], [5, 3, -1]]),
        torch.tensor([[2.8123, 1.9, -0.3], [0, 0, 0], [0.0123, 0.01, 0]]),
        torch.tensor([0.4, 0.7, -0.0001]), torch.tensor([0.9, 0.0, math.nan]),
    )  # fmt: skip


def test_sentences(three):
    assert three.sentence(0) == '2.8 red, green + 1.9 NA - 0.3 a "quoted" word + 0.4'
    assert three.sentence(0, digits=3).startswith("2.81 red, green + 1.90 NA")
    assert three.sentence(1) == "0.70" and three.sentence(2) == "0.012 last + 0.010 nan"
    negative = Explanations(("a",), torch.tensor([[0]]), torch.tensor([[-2.0]]), torch.tensor([0.0]), torch.zeros(1))
    assert negative.sentence(0) == "-2.0 a"
    assert three.length.tolist() == [3, 0, 2] and three.empty == [1]
    with pytest.raises(IndexError, match="unit 3 doesn't exist: there are 0 to 2"):
        three.sentence(3)


@pytest.mark.parametrize("kind", [".csv", ".json"])
def test_explanations_come_back_from_files(three, kind, tmp_path):
    three.save(tmp_path / f"found{kind}")
    found = exports.load(tmp_path / f"found{kind}")
    assert [found.terms(k) for k in range(3)] == [three.terms(k) for k in range(3)]
    assert torch.equal(found.bias, three.bias) and torch.equal(found.score.nan_to_num(9), three.score.nan_to_num(9))
    assert found.empty == [1] and set(found.names) == ({*AWKWARD} if kind == ".json" else {*AWKWARD} - {"été"})


def test_files_that_hold_no_explanations_are_answered(three, tmp_path):
    with pytest.raises(ValueError, match="unknown kind of file '.xlsx'"):
        three.save(tmp_path / "found.xlsx")
    three.save(tmp_path / "found.csv")
    lines = (tmp_path / "found.csv").read_text().splitlines()
    (tmp_path / "gap.csv").write_text("\n".join(line for line in lines if not line.startswith("1,")))
    with pytest.raises(ValueError, match="gap.csv holds 2 units, so their numbers must be 0 to 1"):
        exports.load(tmp_path / "gap.csv")
    (tmp_path / "other.csv").write_text("unit,word\n0,zebra\n")
    with pytest.raises(ValueError, match="other.csv lacks bias, concept, score, weight"):
        exports.load(tmp_path / "other.csv")
    (tmp_path / "other.json").write_text(json.dumps([1]))
    with pytest.raises(ValueError, match="other.json holds no explanations"):
        exports.load(tmp_path / "other.json")


def test_words_are_explanations_of_length_one():
    found = of_words(["owl", "zebra"], ["zebra", "", "owl"])
    assert found.concept.tolist() == [[1], [-1], [0]] and found.weight.tolist() == [[1], [0], [1]]
    assert found.sentence(0) == "1.0 zebra" and found.empty == [1] and found.score.isnan().all()
    assert found.table().loc[2, "explanation"] == "1.0 owl" and list(found.table([2])["unit"]) == [2]
    assert found.pick([2, 0]).terms(0) == [(1.0, "owl")]
    with pytest.raises(KeyError, match="unknown concept 'zebr'"):
        of_words(["owl", "zebra"], ["zebr"])
