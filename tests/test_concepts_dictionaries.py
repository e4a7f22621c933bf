"""Sampling, dictionaries and sparse codes against scikit-learn, conditions of optimality and counts by hand."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sightglass.concepts import lasso
from sightglass.concepts.dictionaries import (
    EXTRACTORS,
    dictionary,
    fitted,
    given,
    nearest,
    relative_error,
    sparsity,
)
from sightglass.concepts.sampling import draw, samples


@pytest.fixture(scope="module")
def crowd():
    """Sixty atoms that are nearly alike, as centres of activations behind a ReLU are, and sparse sums of them."""
    generator = torch.Generator().manual_seed(0)
    atoms = F.normalize(torch.rand(60, 12, generator=generator), dim=1)
    amounts = torch.randn(40, 60, generator=generator) * (torch.rand(40, 60, generator=generator) < 0.06)
    return amounts @ atoms + 0.02 * torch.randn(40, 12, generator=generator), atoms


@pytest.fixture(scope="module")
def blobs():
    generator = torch.Generator().manual_seed(1)
    centre = 4 * torch.randn(6, 10, generator=generator)
    return (centre[:, None] + 0.1 * torch.randn(6, 30, 10, generator=generator)).flatten(0, 1), centre


@pytest.mark.parametrize("strength", [0.5, 0.05, 0.005])
def test_codes_are_scikit_learns_and_optimal(crowd, strength):
    from sklearn.decomposition import sparse_encode

    x, atoms = (value.double() for value in crowd)
    found = lasso.codes(x, atoms, strength)
    expected = sparse_encode(x.numpy(), atoms.numpy(), algorithm="lasso_cd", alpha=strength, max_iter=100_000)
    cost = [0.5 * (x - u @ atoms).square().sum(1) + strength * u.abs().sum(1)
            for u in (found, torch.from_numpy(expected))]  # fmt: skip
    assert (cost[0] <= cost[1] + 1e-9).all()
    slack = (x - found @ atoms) @ atoms.T
    used = found != 0
    assert used.any() and (slack[used] - strength * found[used].sign()).abs().max() < 1e-8
    assert slack[~used].abs().max() <= strength * (1 + 1e-8)
    assert float(lasso.violation(x, atoms, found, strength).max()) < 1e-8


def test_violation_sees_what_is_not_optimal(crowd):
    x, atoms = crowd
    found = lasso.codes(x, atoms, 0.05)
    assert float(lasso.violation(x, atoms, found * 1.01, 0.05).max()) > 1e-3


def test_codes_in_closed_form_and_of_nothing():
    x = torch.tensor([[3.0, -0.5, 1.0], [0.0, 0.0, 0.0]])
    assert torch.allclose(lasso.codes(x, torch.eye(3), 0.75), torch.tensor([[2.25, 0.0, 0.25], [0, 0, 0]]))
    assert lasso.codes(x.expand(4, 2, 3), torch.eye(3), 0.75).shape == (4, 2, 3)


def test_codes_survive_an_atom_that_comes_twice(crowd):
    x, atoms = crowd
    twice = torch.cat([atoms, atoms[:5], atoms[5:8] + 1e-7])
    found, alone = (lasso.codes(x, basis, 0.05) for basis in (twice, atoms))
    assert torch.allclose(found @ twice, alone @ atoms, atol=1e-4)


def test_batches_change_no_code(crowd, monkeypatch):
    whole = lasso.codes(*crowd, 0.02)
    monkeypatch.setattr(lasso, "ROOM", {"cpu": 60 * 7})
    assert torch.allclose(lasso.codes(*crowd, 0.02), whole, atol=1e-6)


@pytest.mark.parametrize("nonzeros", [0.5, 2, 6.5])
def test_strength_gives_the_nonzeros_asked_for(crowd, nonzeros):
    x, atoms = crowd
    strength = lasso.strength_for(x, atoms, nonzeros)
    mean = [float((lasso.codes(x, atoms, s) != 0).sum(1).float().mean()) for s in (strength, strength * 1.001)]
    assert abs(mean[0] - nonzeros) <= 1 / len(x) and mean[1] < mean[0] + 1e-6


def test_lasso_says_what_it_cannot_do(crowd):
    x, atoms = crowd
    with pytest.raises(ValueError, match="positive number, not 0"):
        lasso.codes(x, atoms, 0)
    with pytest.raises(ValueError, match="finite"):
        lasso.codes(x * torch.nan, atoms, 1)
    with pytest.raises(ValueError, match=r"found \(40, 12\) and \(60, 11\)"):
        lasso.codes(x, atoms[:, 1:], 1)
    with pytest.raises(ValueError, match="1 to 12 nonzeros, not 13"):
        lasso.strength_for(x, atoms, 13)


def test_bisecting_k_means_is_scikit_learns_and_finds_blobs(blobs):
    from sklearn.cluster import BisectingKMeans

    points, centre = blobs
    made = dictionary(points, 6, nonzeros=1)
    own = BisectingKMeans(6, random_state=0, n_init=1, bisecting_strategy="biggest_inertia").fit(points.numpy())
    assert np.allclose(made.centres, own.cluster_centers_, atol=1e-5)
    assert torch.allclose(made.atoms.norm(dim=1), torch.ones(6))
    assert float(torch.cdist(centre, made.centres).amin(1).max()) < 0.2
    codes = made.codes(points.T[None])[0]
    assert float(sparsity(codes).mean()) == pytest.approx(5 / 6, abs=0.01)
    error = relative_error(points, codes, made)
    assert torch.allclose(error[7], (points[7] - codes[7] @ made.atoms).norm() / points[7].norm())
    group = nearest(points, made, 30)
    assert all(len(set((row // 30).tolist())) == 1 for row in group)


@pytest.mark.parametrize("method", EXTRACTORS)
def test_every_extractor_makes_up_its_vectors(blobs, method):
    points, _ = blobs
    made = dictionary(points, 12, method=method, nonzeros=2)
    assert made.atoms.shape == (12, 10) and torch.allclose(made.atoms.norm(dim=1), torch.ones(12))
    assert float(relative_error(points, made.codes(points.T[None])[0], made).mean()) < 0.5
    assert torch.equal(made.atoms, dictionary(points, 12, method=method).atoms)


def test_dictionaries_say_what_they_cannot_do(blobs):
    points, _ = blobs
    with pytest.raises(ValueError, match="5 feature vectors can't give 80 concepts"):
        dictionary(points[:5])
    with pytest.raises(ValueError, match="3 different directions; bisecting k-means gave 1"):
        dictionary(points[:1].expand(9, -1), 3)
    with pytest.raises(ValueError, match="did you mean k-means"):
        dictionary(points, 3, method="kmeans")
    with pytest.raises(ValueError, match="1 of them zero"):
        given(torch.eye(3) * torch.tensor([1.0, 1.0, 0.0]))
    with pytest.raises(ValueError, match="no strength yet"):
        given(points).codes(points.T[None])
    assert fitted(given(points), points, 1).strength > 0


def test_positions_are_drawn_by_positive_relevance():
    chance = torch.rand(1, 20_000, generator=torch.Generator().manual_seed(0))
    counts = draw(torch.tensor([[0.0, 1.0, -5.0, 3.0, 0.0]]), chance)[0].bincount(minlength=5) / 20_000
    assert torch.allclose(counts, torch.tensor([0.0, 0.25, 0.0, 0.75, 0.0]), atol=0.01)
    ends = draw(torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([[0.0, 1 - 1e-7]]))
    assert ends.tolist() == [[1, 1]]
    assert draw(torch.tensor([[-1.0, 0.0]]), torch.tensor([[0.5]])).tolist() == [[-1]]
    with pytest.raises(ValueError, match="finite"):
        draw(torch.tensor([[torch.nan, 1.0]]), torch.tensor([[0.5]]))


def test_samples_come_from_where_they_say_whatever_the_batch():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.ReLU()).eval()
    before, x = copy.deepcopy(model.state_dict()), torch.randn(7, 3, 8, 8)

    def sizes(model, x, taps):
        return {"1": model[:2](x).sum(1).flatten(1), "3": model(x).sum(1).flatten(1) - 0.2}

    whole = samples(model, x, ["1", "3"], sizes, each=2)
    parts = samples(model, x, ["1", "3"], sizes, each=2, at_once=3)
    acts = model[:2](x).flatten(2)
    for tap in whole:
        assert all(torch.equal(getattr(whole[tap], name), getattr(parts[tap], name)) for name in ("image", "position"))
    one = whole["1"]
    assert torch.allclose(one.vectors, acts[one.image, :, one.position]) and len(one.image) == 14
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="no image has a position of positive relevance at 1"):
        samples(model, x, ["1"], lambda *given: {"1": -torch.ones(len(given[1]), 36)})


def test_learned_atoms_pay_no_more_than_scikit_learns():
    from sklearn.decomposition import MiniBatchDictionaryLearning

    generator = torch.Generator().manual_seed(3)
    true = F.normalize(torch.randn(12, 8, generator=generator), dim=1)
    x = (torch.randn(900, 12, generator=generator) * (torch.rand(900, 12, generator=generator) < 0.2)) @ true
    price = 0.1 * float(x.norm(dim=1).mean())
    theirs = MiniBatchDictionaryLearning(12, alpha=price, random_state=0, batch_size=256, max_iter=2)
    rivals = {"sklearn": torch.from_numpy(theirs.fit(x.numpy()).components_).float(),
              "here": dictionary(x, 12, method="dictionary learning").atoms,
              "as begun": F.normalize(x[x.norm(dim=1) > 0][:12], dim=1)}  # fmt: skip
    cost = {}
    for name, atoms in rivals.items():
        u = lasso.codes(x, F.normalize(atoms, dim=1), price)
        cost[name] = float((0.5 * (x - u @ F.normalize(atoms, dim=1)).square().sum(1) + price * u.abs().sum(1)).mean())
    assert cost["here"] < 1.02 * cost["sklearn"] and cost["here"] < 0.9 * cost["as begun"]
