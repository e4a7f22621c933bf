"""Edges between concepts against captum, closed forms, exhaustive counts and planted truth."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sightglass.concepts import lasso
from sightglass.concepts.dictionaries import given
from sightglass.trace.icat.attributors import ATTRIBUTORS
from sightglass.trace.icat.edges import edges, edges_of, importance, pair_edges
from sightglass.trace.icat.insertion import curves, strongest
from sightglass.trace.icat.links import between, to_outputs
from sightglass.trace.icat.planted import LAYERS, found, planted, together
from sightglass.trace.icat.shapley import regress, sets_of


class Small(nn.Module):
    """Two convolutions with biases, a residual sum between two taps, and a linear head."""

    def __init__(self):
        super().__init__()
        self.low = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True))
        self.mid = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 6, 1))
        self.high = nn.ReLU(inplace=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.low(x)
        x = self.high(self.mid(x) + x)
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return Small().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def link(small):
    """Nine concepts, seven targets, five images."""
    torch.manual_seed(1)
    earlier, later = (fixed(torch.rand(count, 6)) for count in (9, 7))
    return between(small, torch.randn(5, 3, 6, 6), ("low", "high"), earlier, later)


def fixed(atoms, strength=0.1):
    made = given(atoms)
    return type(made)(made.atoms, made.centres, strength, made.method)


def score(link, codes, image, target):
    """Write down eq. 13 for one image and target, from codes (n, positions, K)."""
    value = (codes @ link.atoms).mT.unflatten(2, (6, 6))
    out = F.relu(link.model.mid(value) + value).flatten(2)
    cosine = F.cosine_similarity(out, link.directions[target][None, :, None], dim=1)
    return (cosine * link.weights[image, :, target]).sum(1)


def test_codes_and_weights_are_those_of_both_layers(small, link):
    low = small.low(link.x).flatten(2)
    assert torch.equal(link.codes, lasso.codes(low.mT, link.atoms, 0.1))
    assert torch.allclose(link.approximation(torch.tensor([3])), (link.codes[3] @ link.atoms).T[None])
    assert link.alone and ((link.weights != 0).any(1).nonzero() == link.pairs()).all()
    assert set(link.pairs(torch.tensor([2]))[:, 1].tolist()) == {2}


def test_edges_are_captums_integrated_gradients_of_each_pair(link):
    from captum.attr import IntegratedGradients

    whole = edges_of(link, steps=12)
    for concept, target in [(0, 1), (4, 4), (8, 6)]:
        total = 0.0
        for image in range(5):
            others = link.codes[image, None].clone()
            others[..., concept] = 0

            def together(own, rest, image=image, target=target, concept=concept):
                here = F.one_hot(torch.tensor(concept), 9)
                return score(link, rest + own[..., None] * here, image, target)

            given_ = (link.codes[image, None, :, concept], others)
            own, _ = IntegratedGradients(together).attribute(given_, n_steps=12, method="riemann_middle")
            total += float(own.sum())
        assert float(whole.strength[concept, target]) == pytest.approx(total, rel=1e-4, abs=1e-5)


def test_integrated_gradients_are_complete(link):
    by_hand = sum(score(link, link.codes[i, None], i, 3) - score(link, 0 * link.codes[i, None], i, 3) for i in range(5))
    found = edges_of(link, steps=64)
    assert torch.allclose(found.change[3], by_hand[0], atol=1e-5)
    assert found.gap < 0.01 < edges_of(link, steps=2).gap
    assert edges_of(link, attributor="gradient x input").gap > 0.05


@pytest.mark.parametrize("attributor", ["integrated gradients", "gradient x input"])
def test_reverse_mode_equals_forward_mode(link, attributor):
    back, ahead = (edges_of(link, attributor=attributor, steps=8, mode=mode) for mode in ("reverse", "forward"))
    assert torch.allclose(back.strength, ahead.strength, atol=1e-5) and back.strength.abs().max() > 0.1
    few = edges_of(link, attributor=attributor, steps=8, concepts=[7, 2])
    assert torch.allclose(few.strength, back.strength[[7, 2]], atol=1e-5)


@pytest.mark.parametrize("attributor", ATTRIBUTORS)
def test_edges_are_sums_over_single_images(small, link, attributor):
    pairs = link.pairs()
    single, change = pair_edges(link, pairs, attributor=attributor, steps=6)
    whole = edges_of(link, attributor=attributor, steps=6, targets=[5, 1])
    for column, target in enumerate((5, 1)):
        rows = pairs[:, 1] == target
        assert torch.allclose(single[rows].sum(0), whole.strength[:, column], atol=1e-5)
        assert torch.allclose(change[rows].sum(), whole.change[column], atol=1e-5)


def test_deeplift_adds_up_and_is_captums(small):
    from captum.attr import DeepLift

    torch.manual_seed(2)
    link = to_outputs(small, torch.randn(2, 3, 6, 6), "low", fixed(torch.eye(6), 1e-6))
    mine = edges_of(link, attributor="DeepLIFT", targets=[1])
    assert mine.gap < 1e-4

    class Rest(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.bend = nn.Conv2d(6, 8, 3, padding=1), nn.ReLU()
            self.two, self.end, self.head = nn.Conv2d(8, 6, 1), nn.ReLU(), nn.Linear(6, 3)

        def forward(self, x):
            return self.head(self.end(self.two(self.bend(self.one(x))) + x).mean((2, 3)))

    rest = Rest()
    for own, theirs in ((rest.one, small.mid[0]), (rest.two, small.mid[2]), (rest.head, small.head)):
        own.load_state_dict(theirs.state_dict())
    value = link.approximation(torch.arange(2)).unflatten(2, (6, 6))
    theirs = DeepLift(rest).attribute(value, torch.zeros_like(value), target=1)
    assert torch.allclose(mine.strength[:, 0], theirs.sum((0, 2, 3)), atol=1e-4)


def test_lrp_adds_up_to_the_score(link):
    pairs = link.pairs()
    shares, _ = pair_edges(link, pairs, attributor="LRP")
    full = torch.stack([score(link, link.codes[i, None], i, t)[0] for i, t in pairs.tolist()])
    assert float((shares.sum(1) - full).abs().sum() / full.abs().sum()) < 0.1  # sums of nothing positive lose it


def test_shap_is_shapley_values_when_all_sets_are_tried():
    torch.manual_seed(3)
    value = {chosen: torch.randn(2) for n in range(6) for chosen in itertools.combinations(range(5), n)}
    sets, weights = sets_of(5, 1000)
    scores = torch.stack([value[tuple(row.nonzero()[:, 0].tolist())] for row in sets])
    expected = torch.zeros(5, 2)
    for order in itertools.permutations(range(5)):
        for place, player in enumerate(order):
            before = tuple(sorted(order[:place]))
            expected[player] += (value[tuple(sorted((*before, player)))] - value[before]) / 120
    assert len(sets) == 32 and torch.allclose(regress(sets, weights, scores).float(), expected, atol=1e-4)
    sets, weights = sets_of(40, 256)
    amount = torch.randn(40, 1)
    assert torch.allclose(regress(sets, weights, 2 + sets @ amount).float(), amount, atol=1e-4)


def test_shap_adds_up_and_a_lone_concept_gets_everything(link):
    assert edges_of(link, attributor="SHAP", steps=16).gap < 1e-4
    assert torch.equal(regress(*sets_of(1, 8), torch.tensor([[1.0], [3.5]])).float(), torch.tensor([[2.5]]))


def test_importance_of_linear_ways_is_the_weight_times_the_code(small):
    torch.manual_seed(4)
    concepts = fixed(torch.eye(6), 0.05)
    x = torch.randn(3, 3, 6, 6)
    mine = importance(small, x, "high", concepts, [2, 0], steps=1)
    code = to_outputs(small, x, "high", concepts).codes
    expected = (code.mean(1) @ torch.diag(small.head.weight[2])).sum(0)
    assert torch.allclose(mine.strength[:, 0], expected, atol=1e-5) and mine.targets.tolist() == [2, 0]
    assert mine.gap < 1e-5


def test_a_way_that_depends_on_the_image_is_taken_image_by_image(small):
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right, self.join = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)

        def forward(self, x):
            return self.join(self.right(x) * self.left(x))

    torch.manual_seed(5)
    model, x = Beside().eval().requires_grad_(False), torch.randn(3, 3, 4, 4)
    link = between(model, x, ("left", "join"), fixed(torch.randn(8, 4)), fixed(torch.randn(8, 4)))
    assert not link.alone
    whole = edges_of(link, steps=16)
    both = fixed(link.atoms), fixed(link.directions)
    apart = sum(edges(model, one[None], link.layers, *both, steps=16).strength for one in x)
    assert torch.allclose(whole.strength, apart, atol=1e-4)


def test_curves_end_and_begin_at_one_and_count_by_hand(link):
    pairs = strongest(link, 2)
    shares, _ = pair_edges(link, pairs, steps=8)
    found = curves(link, pairs, shares, steps=9)
    assert torch.allclose(found.insertion[:, -1], torch.ones(len(found.pairs)))
    assert torch.allclose(found.deletion[:, 0], torch.ones(len(found.pairs)))
    assert torch.allclose(found.insertion[:, 0], found.deletion[:, -1], atol=1e-5)
    image, target = pairs[3].tolist()
    live = (link.codes[image] != 0).any(0).nonzero()[:, 0]
    first = live[shares[3, live].argsort(descending=True)[: round(len(live) * 3 / 9)]]
    own = torch.zeros_like(link.codes[image])
    own[:, first] = link.codes[image][:, first]

    def best(codes):
        value = (codes[None] @ link.atoms).mT.unflatten(2, (6, 6))
        out = F.relu(link.model.mid(value) + value).flatten(2)
        return float(F.cosine_similarity(out, link.directions[target][None, :, None], dim=1).max())

    row = (found.pairs == pairs[3]).all(1).nonzero()[0, 0]
    assert float(found.insertion[row, 3]) == pytest.approx(best(own) / best(link.codes[image]), rel=1e-4)
    inside, outside = found.areas
    assert float(inside[row]) == pytest.approx(float(torch.trapezoid(found.insertion[row], dx=1 / 9)), rel=1e-5)
    backwards = curves(link, pairs, -shares, steps=9).areas
    assert inside.mean() > backwards[0].mean() and outside.mean() < backwards[1].mean()


def test_planted_edges_are_found_and_integrated_gradients_find_most():
    x = F.avg_pool2d(torch.randn(12, 3, 40, 40, generator=torch.Generator().manual_seed(0)), 4) * 4
    plan = planted(x, targets=8)
    link = between(plan.model, x, LAYERS, plan.earlier, plan.later)
    scores = {name: found(edges_of(link, attributor=name, steps=16).strength, plan.edges)
              for name in ("integrated gradients", "gradient x input")}  # fmt: skip
    ours, other = scores["integrated gradients"], scores["gradient x input"]
    assert ours["parents"] == 1 and ours["area"] == 1
    assert ours["against"] > max(other["against"], found(together(link), plan.edges)["against"])
    assert found(torch.rand(16, 8), plan.edges)["parents"] < 0.6 and found(plan.edges, plan.edges)["against"] == 1


def test_planted_layers_hold_their_concepts():
    x = torch.randn(6, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    plan = planted(x, targets=5, seed=3)
    first = plan.model[:3](x).flatten(2)
    seen = plan.model[:2](x).flatten(2)
    assert torch.allclose((first.mT @ plan.earlier.atoms.T).mT, seen, atol=1e-4)
    assert [int((column > 0).sum()) for column in plan.edges.T] == [3] * 5 and int((plan.edges < 0).sum()) == 5


def test_wrong_questions_are_answered_in_one_sentence(small, link):
    atoms = fixed(torch.rand(9, 6))
    with pytest.raises(ValueError, match="comes before"):
        between(small, link.x, ("high", "low"), atoms, atoms)
    with pytest.raises(ValueError, match="low has 6 channels, its concepts have 5"):
        between(small, link.x, ("low", "high"), fixed(torch.rand(9, 5)), atoms)
    with pytest.raises(ValueError, match="did you mean"):
        edges_of(link, attributor="integrated gradient")
    with pytest.raises(ValueError, match="forward mode serves"):
        edges_of(link, attributor="LRP", mode="forward")
    with pytest.raises(IndexError, match=r"no target at high \[7\]: they are 0 to 6"):
        edges_of(link, targets=[7])
    with pytest.raises(ValueError, match="pairs need shares"):
        curves(link, link.pairs(), torch.zeros(2, 9))
    with pytest.raises(ValueError, match="asked for 0 and 1"):
        planted(link.x, parents=0)
