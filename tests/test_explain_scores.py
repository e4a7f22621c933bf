"""Simulation, ablation scores and Top Impact against running the network again, limits and closed forms."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sightglass.explain.ablation import Rows, ablation, norm_scale
from sightglass.explain.explanations import Explanations, of_words
from sightglass.explain.head import RADII, Head, base, coefficients, fit_temperature, head_of, loss_changes, turned
from sightglass.explain.impact import head_impacts, layer_impacts, top_impact
from sightglass.explain.matrix import Matrix
from sightglass.explain.simulate import correlations, dead, mean_and_error, simulate
from sightglass.zoo.taps import replace

NAMES = tuple("abcdefghijklmn")


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def head():
    return Head(0.5 * drawn(7, 12, seed=1), 0.1 * drawn(7, seed=2), 1.3)


@pytest.fixture(scope="module")
def rows():
    """Activations like a ReLU's, one unit dead, and labels that the classifier mostly agrees with."""
    q = drawn(500, 12, seed=3).relu()
    q[:, 5] = 0
    s = q + 0.8 * drawn(500, 12, seed=4)
    return Rows(s, q, torch.randint(7, (500,), generator=torch.Generator().manual_seed(5)))


def run_again(head, rows, unit, value):
    """Return losses and answers with a unit replaced by value (n,), by running the whole classifier."""
    q = rows.real.double().clone()
    q[:, unit] = value.double()
    logits = (q @ head.weight.double().T + head.bias.double()) / head.temperature
    return F.cross_entropy(logits, rows.labels, reduction="none"), logits.argmax(1) == rows.labels


# ------------------------------------------------------------------------------------------------ simulation
def length_ten(seed=0):
    """Make explanations of 10 concepts and of fewer, weights in no order of names."""
    draw = torch.Generator().manual_seed(seed)
    concept = torch.stack([torch.randperm(len(NAMES), generator=draw)[:10] for _ in range(5)])
    concept[1, 3:] = -1
    concept[2] = -1
    weight = drawn(5, 10, seed=seed) * (concept >= 0)
    return Explanations(NAMES, concept, weight, drawn(5, seed=9), torch.zeros(5))


def test_simulation_sums_the_words_that_a_unit_says_whatever_the_order_of_columns():
    found, order = length_ten(), torch.randperm(len(NAMES) + 1, generator=torch.Generator().manual_seed(1)).tolist()
    names = [(*NAMES, "unused")[i] for i in order]
    presence = torch.rand(20, len(names), generator=torch.Generator().manual_seed(2))
    s = simulate(found, Matrix(tuple(names), presence))
    for k in range(5):
        said = sum(weight * presence[:, names.index(name)] for weight, name in found.terms(k)) + found.bias[k]
        torch.testing.assert_close(s[:, k], torch.as_tensor(said).expand(20))


def test_simulation_says_which_word_the_simulator_lacks():
    with pytest.raises(KeyError, match="unknown concept of the simulator 'n'"):
        simulate(of_words(NAMES, ["n", "a"]), Matrix(tuple("abc"), torch.rand(3, 3)))
    with pytest.raises(ValueError, match="presence has a value that is no number .* row 1, unit 2"):
        simulate(of_words(NAMES, ["a"]), Matrix(tuple("abc"), torch.tensor([[1.0, 1, 1], [1, 1, math.nan]])))


def test_correlations_are_pearsons_and_nothing_for_constants():
    s, q = drawn(40, 4), drawn(40, 4, seed=1) + 1e3
    s[:, 2], q[:, 3] = 7.0, 0.1
    found = correlations(s, q)
    for k in (0, 1):
        assert float(found[k]) == pytest.approx(float(torch.corrcoef(torch.stack([s[:, k], q[:, k]]).double())[0, 1]))
    assert found[2:].tolist() == [0, 0]
    assert correlations(q[:, :2], -3 * q[:, :2] + 1).tolist() == pytest.approx([-1, -1])


def test_correlations_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="differ in shape"):
        correlations(drawn(4, 2), drawn(5, 2))
    with pytest.raises(ValueError, match="real has a value that is no number .* row 3, unit 1"):
        correlations(drawn(4, 2), torch.tensor([[0.0, 0]] * 3 + [[0, math.inf]]))


def test_dead_units_and_means():
    assert dead(torch.tensor([[0.0, 0.009, 5], [0.0, -7, 1]])).tolist() == [True, True, False]
    mean, error = mean_and_error(torch.tensor([1.0, 3, math.nan]))
    assert (mean, error) == pytest.approx((2, 1))
    assert all(map(math.isnan, mean_and_error(torch.tensor([math.nan]))))


# ---------------------------------------------------------------------------------------------- the classifier
def test_polynomials_are_as_right_as_their_radii_say():
    for terms, radius in RADII.items():
        x = torch.linspace(-radius, radius, 501, dtype=torch.double)
        value = sum(c * x**m for m, c in enumerate(coefficients(terms), 1))
        assert (value - x.expm1()).abs().max() < 5.1e-7


@pytest.mark.parametrize("size", [0.01, 0.3, 1.0, 30.0, 300.0])
def test_changes_of_the_loss_equal_running_the_classifier_again(head, rows, size):
    change = size * drawn(500, 12, seed=6)
    found, start = loss_changes(head, rows.real, rows.labels, change), base(head, rows.real, rows.labels)
    turns = torch.zeros(500, 12, dtype=torch.bool)
    turns[turned(start, (slice(0, 500), slice(0, 12)), change)] = True
    before, right = run_again(head, rows, 0, rows.real[:, 0])
    for k in range(12):
        after, answers = run_again(head, rows, k, rows.real[:, k] + change[:, k])
        torch.testing.assert_close(found[:, k].double(), after - before, rtol=1e-5, atol=2e-6 * max(1, size))
        assert torch.equal(turns[:, k], answers != right)


def test_blocks_change_nothing(head, rows, monkeypatch):
    change = drawn(500, 12, seed=6)
    whole = loss_changes(head, rows.real, rows.labels, change)
    monkeypatch.setattr("sightglass.explain.head.BLOCK", (64, 5))
    monkeypatch.setattr("sightglass.explain.head.AT_ONCE", 50)
    torch.testing.assert_close(loss_changes(head, rows.real, rows.labels, change), whole, rtol=1e-5, atol=1e-6)


def test_temperature_is_that_of_the_labels():
    logits = 3 * drawn(20_000, 5)
    labels = torch.multinomial((logits / 2.5).softmax(1), 1, generator=torch.Generator().manual_seed(0))[:, 0]
    assert fit_temperature(logits, labels) == pytest.approx(2.5, rel=0.05)
    assert fit_temperature(logits, logits.argmax(1)) == pytest.approx(1 / 50)  # the end of the range


def test_a_networks_head_reads_its_own_activations():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 4)).requires_grad_(False)
    x = drawn(200, 3, 2, 2)
    q, labels = model[:3](x), model(x).argmax(1)
    labels[:60] = 0
    found = head_of(model, q, labels)
    torch.testing.assert_close(found.logits(q) * found.temperature, model(x))
    with pytest.raises(ValueError, match="the classifier reads 6 units; these activations have 5"):
        head_of(model, q[:, :5], labels)
    with pytest.raises(ValueError, match="label 4 doesn't exist: the classifier has classes 0 to 3"):
        head_of(model, q, labels + 1)
    with pytest.raises(TypeError, match="need a linear classifier; 0 is Conv2d"):
        model = nn.Sequential(nn.Conv2d(3, 4, 1))
        model.named_taps = {"logits": "0"}
        head_of(model, q, labels)


# -------------------------------------------------------------------------------------------------- ablation
@pytest.mark.parametrize("options", [{"scale": "norm"}, {}, {"start": "paper"}])
def test_a_perfect_simulation_scores_one_and_a_unit_that_does_nothing_zero(head, rows, options):
    perfect = Rows(rows.real, rows.real, rows.labels)
    found = ablation(head, perfect, perfect, **options)
    alive = torch.arange(12) != 5
    assert torch.equal(found.counted, alive)
    torch.testing.assert_close(found.score[alive], torch.ones(11).double(), rtol=0, atol=1e-4)
    assert found.score[5] == 0


@pytest.mark.parametrize("options", [{"scale": "norm"}, {"steps": 0}])
def test_the_mean_scores_zero(head, rows, options):
    test = Rows(drawn(300, 12, seed=8), rows.real[:300], rows.labels[:300])
    constant = Rows(torch.full_like(rows.real, 0.4), rows.real, rows.labels)
    found = ablation(head, constant, Rows(0 * test.real + 0.4, test.real, test.labels), **options)
    torch.testing.assert_close(found.score, torch.zeros(12).double(), rtol=0, atol=1e-5)


def by_adam(head, rows, unit, steps=100):
    """Fit slope and offset of one unit as published: autograd through the whole classifier."""
    line = [torch.tensor(1.0, requires_grad=True), torch.tensor(0.0, requires_grad=True)]
    adam = torch.optim.Adam(line, lr=0.01)
    before = F.cross_entropy(head.logits(rows.real), rows.labels, reduction="none")
    columns = list(rows.real.unbind(1))
    for _ in range(steps):
        adam.zero_grad()
        columns[unit] = line[0] * rows.simulated[:, unit] + line[1]
        loss = F.cross_entropy(head.logits(torch.stack(columns, 1)), rows.labels, reduction="none")
        (loss - before).abs().sum().backward()
        adam.step()
    return line[0].item(), line[1].item()


def score_by_hand(head, rows, unit, value, mean):
    before, _ = run_again(head, rows, unit, rows.real[:, unit])
    lost, most = (
        (run_again(head, rows, unit, v)[0] - before).abs().sum() for v in (value, mean.expand(len(rows.labels)))
    )
    return float(1 - lost / most)


def test_the_published_start_equals_adam_through_the_classifier(head, rows):
    test = Rows(drawn(300, 12, seed=8), rows.real[:300], rows.labels[:300])
    found = ablation(head, rows, test, start="paper")
    for k in (0, 3):
        slope, offset = by_adam(head, rows, k)
        assert (float(found.slope[k]), float(found.offset[k])) == pytest.approx((slope, offset), abs=2e-3)
        value = found.slope[k] * test.simulated[:, k] + found.offset[k]
        expected = score_by_hand(head, test, k, value, rows.real[:, k].mean())
        assert float(found.score[k]) == pytest.approx(expected, abs=1e-5)


def test_norm_is_least_squares_and_the_descent_is_never_worse_than_it(head, rows):
    slope, offset = norm_scale(rows)
    design = torch.stack([rows.simulated[:, 2], torch.ones(500)], 1)
    expected = torch.linalg.lstsq(design, rows.real[:, 2]).solution
    torch.testing.assert_close(torch.stack([slope[2], offset[2]]), expected, rtol=1e-4, atol=1e-5)
    closed = ablation(head, rows, rows, scale="norm").score
    assert (ablation(head, rows, rows).score >= closed).all()
    assert (ablation(head, rows, rows).score > closed + 1e-3).sum() > 5


def test_large_effects_leave_the_expansion_for_the_classes(rows):
    steep = Head(6 * drawn(7, 12, seed=1), torch.zeros(7), 1.0)
    found = ablation(steep, rows, rows, start="paper")
    slope, offset = by_adam(steep, rows, 3)
    assert (float(found.slope[3]), float(found.offset[3])) == pytest.approx((slope, offset), abs=5e-3)


def test_ablation_refuses_what_does_not_fit(head, rows):
    with pytest.raises(ValueError, match="unknown start 'mean'.*norm, paper"):
        ablation(head, rows, rows, start="mean")
    with pytest.raises(ValueError, match="differ in shape"):
        ablation(head, Rows(rows.simulated[:, :3], rows.real, rows.labels), rows)
    with pytest.raises(ValueError, match="found activations 500, labels 400"):
        ablation(head, rows, Rows(rows.simulated, rows.real, rows.labels[:400]))
    with pytest.raises(ValueError, match="simulated has a value that is no number"):
        ablation(head, Rows(rows.simulated * math.nan, rows.real, rows.labels), rows)


# ------------------------------------------------------------------------------------------------- Top Impact
def impact_by_hand(loss, answers, new_loss, new_answers):
    gained = (answers.double() - new_answers.double()) / answers.sum()
    return (gained - (loss - new_loss) / loss.sum()) / 2


def test_the_closed_form_equals_running_the_head_without_the_unit(head, rows):
    found = head_impacts(head, rows.real, rows.labels)
    own = run_again(head, rows, 0, rows.real[:, 0])
    for k in range(12):
        expected = impact_by_hand(*own, *run_again(head, rows, k, torch.zeros(500)))
        torch.testing.assert_close(found[:, k].double(), expected, rtol=1e-4, atol=1e-8)
    assert found[:, 5].abs().max() == 0


def test_top_impact_by_a_literal_definition():
    impacts, activations = drawn(50, 3), drawn(50, 3, seed=1)
    found = top_impact(impacts, activations, [0, 0.1, 0.5, 0.51, 1])
    for k in range(3):
        order = sorted(range(50), key=lambda i: -float(activations[i, k]))
        size = [abs(float(impacts[i, k])) for i in order]
        shares = [sum(size[:m]) / sum(size) for m in (0, 5, 25)]
        shares += [(sum(size[:25]) + 0.5 * size[25]) / sum(size), 1]
        assert found[k].tolist() == pytest.approx(shares)


def test_top_impact_of_everything_is_one_and_it_never_falls(head, rows):
    betas = torch.linspace(0, 1, 41).tolist()
    found = top_impact(head_impacts(head, rows.real, rows.labels), rows.real, betas)
    alive = torch.arange(12) != 5
    assert (found[alive, -1] == 1).all() and (found[alive, 0] == 0).all()
    assert (found[alive].diff(dim=1) >= 0).all()
    assert found[5].isnan().all()  # it never fires, so it has no impact to share out
    even = top_impact(torch.ones(500, 1), rows.real[:, :1], betas)
    torch.testing.assert_close(even[0], torch.tensor(betas).double(), rtol=0, atol=1e-7)


@pytest.fixture(scope="module")
def network():
    """A network with a shortcut around the tap that is looked at, so that the rest depends on the image."""
    torch.manual_seed(1)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.side = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
            self.act, self.fc = nn.ReLU(), nn.Linear(6, 4)
            self.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.25,) * 3}

        def forward(self, x):
            x = self.first(x)
            return self.fc((x + self.side(self.act(x))).mean((2, 3)))

    return Net().eval().requires_grad_(False)


@pytest.mark.parametrize("batch", [4, 64])
def test_the_suffix_equals_the_whole_network_with_the_unit_zeroed(network, batch):
    images = torch.rand(10, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(4, (10,), generator=torch.Generator().manual_seed(1))
    found, mean = layer_impacts(network, images, labels, "act", units=[4, 0, 1], temperature=1.5, batch=batch)
    x = (images - 0.5) / 0.25

    def outcome():
        logits = network(x)
        return F.cross_entropy(logits / 1.5, labels, reduction="none").double(), logits.argmax(1) == labels

    own = outcome()
    for j, k in enumerate([4, 0, 1]):
        keep = torch.ones(6)[:, None]
        keep[k] = 0
        with replace(network, "act", lambda maps, keep=keep: maps * keep):
            expected = impact_by_hand(*own, *outcome())
        torch.testing.assert_close(found[:, j].double(), expected, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(mean, network.act(network.first(x)).mean((2, 3))[:, [4, 0, 1]])


def test_at_the_last_layer_both_ways_agree(network):
    images = torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(4, (12,), generator=torch.Generator().manual_seed(1))
    found, q = layer_impacts(network, images, labels, "penultimate", temperature=0.7)
    head = Head(network.fc.weight, network.fc.bias, 0.7)
    torch.testing.assert_close(found, head_impacts(head, q, labels), rtol=1e-4, atol=1e-7)


def test_impact_refuses_what_does_not_fit(network, head, rows):
    images = torch.rand(4, 3, 8, 8)
    with pytest.raises(IndexError, match="act has units 0 to 5, not \\[6\\]"):
        layer_impacts(network, images, torch.tensor([0, 1, 2, 3]), "act", units=[6])
    with pytest.raises(ValueError, match="found images 4, labels 3"):
        layer_impacts(network, images, torch.tensor([0, 1, 2]), "act")
    with pytest.raises(ValueError, match="classifies none of 500 images rightly"):
        head_impacts(head, rows.real, (head.logits(rows.real).argmax(1) + 1) % 7)
    with pytest.raises(ValueError, match="beta is a share"):
        top_impact(rows.real, rows.real, [2.0])
    with pytest.raises(ValueError, match="12 units have impacts, but 3 have activations"):
        top_impact(rows.real, rows.real[:, :3])
