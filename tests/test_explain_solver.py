"""The solver of linear explanations against scikit-learn, a literal slow search, closed forms and planted truth."""

import math

import numpy as np
import pytest
import torch

from sightglass.explain import elastic, solve
from sightglass.explain.elastic import elastic_net, kkt, residual
from sightglass.explain.greedy import ranking, search
from sightglass.explain.matrix import Matrix
from sightglass.explain.moments import moments
from sightglass.explain.solve import RIDGE, explain
from sightglass.explain.splits import Splits, split
from sightglass.explain.trace import trace


def planted(labels: bool, n: int = 900, leaves: int = 40, units: int = 24, seed: int = 0):
    """Draw concepts of a few kinds of scene, with parents, and units that add up some of them, with noise.

    Labels are exclusive children, so that each parent is exactly their sum; chances are grey and correlated.
    """
    draw = torch.Generator().manual_seed(seed)
    if labels:
        leaf = torch.nn.functional.one_hot(torch.randint(leaves, (n,), generator=draw), leaves).float()
    else:
        scene = torch.randint(5, (n,), generator=draw)
        leaf = (torch.rand(n, leaves, generator=draw) < 0.6 * torch.rand(5, leaves, generator=draw)[scene] ** 2).float()
    p = torch.cat([leaf, leaf.unflatten(1, (leaves // 5, 5)).sum(2).clamp(max=1)], 1)
    if not labels:
        p = (8 * (p - 0.4) + 2 * torch.randn(p.shape, generator=draw)).sigmoid()
    weight = torch.rand(p.shape[1], units, generator=draw) * (torch.rand(p.shape[1], units, generator=draw) < 0.12)
    q = (p @ weight + 0.3 * torch.randn(n, units, generator=draw) + 0.2).relu()
    return Matrix(tuple(f"c{i}" for i in range(p.shape[1])), p), q, split(n, seed)


@pytest.fixture(scope="module", params=[True, False], ids=["labels", "chances"])
def problem(request):
    return planted(request.param)


def standardised(matrix, q, rows):
    """Return concepts and activations of some rows in float64, mean 0 and spread 1."""
    x, y = matrix.values[rows].double().numpy(), q[rows].double().numpy()
    return (x - x.mean(0)) / x.std(0), (y - y.mean(0)) / y.std(0)


def test_moments_are_those_of_the_data(problem, monkeypatch):
    matrix, q, splits = problem
    monkeypatch.setattr("sightglass.explain.moments.ROWS", 100)
    monkeypatch.setattr("sightglass.explain.moments.COLUMNS", 7)
    train, val, scale = moments(matrix.values, q, splits)
    x, y = standardised(matrix, q, splits.train)
    np.testing.assert_allclose(train.G, x.T @ x / len(x), atol=2e-7)
    np.testing.assert_allclose(train.C, x.T @ y / len(x), atol=2e-7)
    raw, rawq = matrix.values.double().numpy(), q.double().numpy()
    t, v = splits.train.numpy(), splits.val.numpy()
    x = (raw[v] - raw[v].mean(0)) / raw[t].std(0)
    y = (rawq[v] - rawq[v].mean(0)) / rawq[t].std(0)
    np.testing.assert_allclose(val.G, x.T @ x / len(v), atol=1e-6)
    np.testing.assert_allclose(val.C, x.T @ y / len(v), atol=1e-6)
    np.testing.assert_allclose(val.var, (y**2).mean(0), atol=1e-6)
    np.testing.assert_allclose(scale.p_mean, raw[t].mean(0), atol=1e-7)


def test_sums_of_labels_are_exact():
    matrix, q, splits = planted(labels=True)
    train, *_ = moments(matrix.values, q, splits)
    x, _ = standardised(matrix, q, splits.train)
    np.testing.assert_allclose(train.G, x.T @ x / len(x), atol=1e-13)


@pytest.mark.parametrize("far", [0.0, 1000.0])
def test_moments_of_values_far_from_zero(far):
    draw = torch.Generator().manual_seed(0)
    p, q = 0.7 + 0.01 * torch.randn(300, 3, generator=draw), far + torch.randn(300, 2, generator=draw)
    splits = split(300)
    train, *_ = moments(p, q, splits)
    x, y = standardised(Matrix(tuple("abc"), p), q, splits.train)
    np.testing.assert_allclose(train.G, x.T @ x / len(x), atol=1e-6)
    np.testing.assert_allclose(train.C, x.T @ y / len(x), atol=1e-6)


@pytest.mark.parametrize("l1", [0.2, 0.05, 0.005])
def test_coefficients_equal_scikit_learns(problem, l1, monkeypatch):
    from sklearn.linear_model import ElasticNet

    matrix, q, splits = problem
    monkeypatch.setattr(elastic, "ROOM", 20_000)  # a few units at a time
    train, *_ = moments(matrix.values, q, splits)
    W = elastic_net(train.G, train.C, l1, l1 / 99)
    x, y = standardised(matrix, q, splits.train)
    for k in range(0, q.shape[1], 4):
        oracle = ElasticNet(alpha=l1 / 0.99, l1_ratio=0.99, tol=1e-12, max_iter=200_000).fit(x, y[:, k])
        np.testing.assert_allclose(W[:, k], oracle.coef_, atol=1e-5)
        assert (np.flatnonzero(W[:, k]) == np.flatnonzero(oracle.coef_)).all()


def test_no_condition_of_optimality_is_violated(problem):
    matrix, q, splits = problem
    train, *_ = moments(matrix.values, q, splits)
    for l1 in (0.05, 0.002):
        W = elastic_net(train.G, train.C, l1, RIDGE)
        x, y = standardised(matrix, q, splits.train)
        slope = x.T @ (y - x @ W.numpy()) / len(x) - RIDGE * W.numpy()
        on = W.numpy() != 0
        assert on.any() and np.abs(slope[on] - l1 * np.sign(W.numpy()[on])).max() < 1e-6
        assert np.abs(slope[~on]).max() < l1 + 1e-6
        assert kkt(train.G, train.C, W, l1, RIDGE).max() < 1e-7
    assert kkt(train.G, train.C, 0.9 * W, 0.002, RIDGE).min() > 1e-3


def test_an_elastic_net_that_gets_no_time_says_so(problem):
    matrix, q, splits = problem
    train, *_ = moments(matrix.values, q, splits)
    with pytest.raises(ArithmeticError, match="still .* from optimal after 1 rounds; 1.0e-07 was asked for"):
        elastic_net(train.G, train.C, 0.05, RIDGE, rounds=1)


def test_a_single_concept_is_soft_thresholded():
    C = torch.tensor([[0.3, -0.3, 0.04]]).double()
    W = elastic_net(torch.ones(1, 1).double(), C, 0.05, 0.25)
    torch.testing.assert_close(W, torch.tensor([[0.2, -0.2, 0]]).double())


def test_ranking_is_positive_then_zero_then_negative():
    W = torch.tensor([0.0, 1e-9, -2, 3, 0, -1e-9, 0])[:, None].double()
    R = torch.tensor([0.04, 0.05, 0, 0, -0.04, 0, 0.03])[:, None].double()
    assert ranking(W, R, 10).tolist() == [[3, 1, 0, 6, 4, 5, 2]] and ranking(W, R, 2).tolist() == [[3, 1]]


def slow_search(matrix, q, splits, k, order, *, width=10, length=10, gain=0.02):
    """Search as the paper's algorithm says, with a fit to the data for every candidate."""
    p, y = matrix.values.double().numpy(), q[:, k].double().numpy()
    t, v = splits.train.numpy(), splits.val.numpy()
    chosen, out, best, path = [], set(), 0.0, []
    while len(chosen) < length:
        top, winner = best, None
        for j in [j for j in order if j not in chosen and j not in out][:width]:
            design = np.column_stack([p[:, [*chosen, j]], np.ones(len(p))])
            fit = design[v] @ np.linalg.lstsq(design[t], y[t], rcond=None)[0]
            rho = np.corrcoef(fit, y[v])[0, 1] if fit.std() > 0 else -2
            if chosen and rho - best < gain - 1e-9:  # equals are equal, whatever rounding says
                out.add(j)
            elif rho > top + 1e-9:
                top, winner = rho, j
        if winner is None:
            break
        chosen, best, path = [*chosen, winner], top, [*path, top]
    return chosen, path


@pytest.mark.parametrize("options", [{}, dict(width=3, gain=0.0), dict(width=48, length=4), dict(gain=0.1)])
def test_the_search_chooses_what_a_literal_slow_one_does(problem, options):
    matrix, q, splits = problem
    train, val, _ = moments(matrix.values, q, splits)
    W = elastic_net(train.G, train.C, 0.05, RIDGE)
    order = ranking(W, residual(train.G, train.C, W), len(matrix))
    found = search(train, val, order, torch.arange(q.shape[1]), **options)
    lengths = set()
    for k in range(0, q.shape[1], 3):
        chosen, path = slow_search(matrix, q, splits, k, order[k].tolist(), **options)
        assert [j for j in found.concept[k].tolist() if j >= 0] == chosen
        np.testing.assert_allclose(found.path[k][: len(path)], path, atol=1e-6)
        assert found.path[k][len(path) :].isnan().all() and found.score[k] == found.path[k].nan_to_num(0).max()
        lengths.add(len(chosen))
    assert len(lengths) > 1 or options.get("length") == 4


def test_no_more_than_width_times_length_are_ever_looked_at(problem):
    matrix, q, splits = problem
    train, val, _ = moments(matrix.values, q, splits)
    W = elastic_net(train.G, train.C, 0.05, RIDGE)
    order = ranking(W, residual(train.G, train.C, W), len(matrix))
    units, options = torch.arange(q.shape[1]), dict(width=4, length=5, gain=0.005)
    whole, part = search(train, val, order, units, **options), search(train, val, order[:, :20], units, **options)
    assert torch.equal(whole.concept, part.concept) and torch.equal(whole.tested, part.tested)


def data_fit(matrix, q, splits, names, k):
    """Fit a unit by named concepts on train; return weights, bias and the correlation on val."""
    x = matrix.only(names).values.double().numpy()
    design = np.column_stack([x, np.ones(len(x))])
    y, t, v = q[:, k].double().numpy(), splits.train.numpy(), splits.val.numpy()
    weight = np.linalg.lstsq(design[t], y[t], rcond=None)[0]
    return weight[:-1], weight[-1], np.corrcoef(design[v] @ weight, y[v])[0, 1]


@pytest.mark.parametrize("options", [{}, dict(gain=1e-4), dict(greedy=False, length=5), dict(width=48, gain=-1.0)])
def test_weights_bias_and_score_are_those_of_a_fit_to_the_data_by_name(problem, options):
    matrix, q, splits = problem
    found = explain(matrix, q, splits, **options)
    for k in range(len(found)):
        weight, names = zip(*found.terms(k), strict=True)
        expected, bias, rho = data_fit(matrix, q, splits, names, k)
        np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-5)
        assert list(weight) == sorted(weight, reverse=True) and len(set(names)) == len(names)
        assert float(found.bias[k]) == pytest.approx(bias, abs=1e-5)
        assert float(found.score[k]) == pytest.approx(rho, abs=1e-6)
    if "gain" in options:
        assert found.length.max() == 10  # where names and weights have been out of step elsewhere


def test_names_follow_the_columns_when_these_are_shuffled():
    matrix, q, splits = planted(labels=False)
    order = torch.randperm(len(matrix), generator=torch.Generator().manual_seed(5)).tolist()
    shuffled = matrix.only([matrix.names[i] for i in order])
    one, two = (explain(m, q, splits, gain=1e-3) for m in (matrix, shuffled))
    assert one.length.max() == 10
    for k in range(len(one)):
        assert [name for _, name in one.terms(k)] == [name for _, name in two.terms(k)]
        np.testing.assert_allclose(*([w for w, _ in found.terms(k)] for found in (one, two)), rtol=1e-4)


def test_planted_sparse_neurons_are_recovered_exactly():
    matrix, *_ = planted(labels=False)
    recipes = [{"c3": 2.0, "c17": 1.5}, {"c5": 1.0}, {"c8": 3.0, "c21": 2.5, "c30": 2.0, "c39": 1.5}]
    q = torch.stack([sum(w * matrix.only([c]).values[:, 0] for c, w in r.items()) - 0.25 for r in recipes], 1)
    found = explain(matrix, q, split(len(q)), gain=1e-3)
    for k, recipe in enumerate(recipes):
        assert {name: pytest.approx(w, abs=1e-3) for w, name in found.terms(k)} == recipe
        assert float(found.bias[k]) == pytest.approx(-0.25, abs=1e-3) and found.score[k] > 0.9999
    assert found.sentence(1, digits=3) == "1.00 c5 - 0.25"


def test_an_exactly_collinear_parent_takes_no_part_beside_all_its_children():
    matrix, _, splits = planted(labels=True)  # c40 = c0 + ... + c4
    children = matrix.values[:, :5]
    draw = torch.Generator().manual_seed(1)
    noise = 0.01 * torch.randn(len(children), 3, generator=draw)
    both = matrix.values[:, 40] + children[:, 0]  # a parent and one child
    q = torch.stack([matrix.values[:, 40], both, children @ torch.tensor([5.0, 4, 3, 2, 1])], 1) + noise
    found = explain(matrix, q, splits, gain=1e-7)
    assert found.terms(0)[0][1] == "c40" and found.terms(0)[0][0] == pytest.approx(1, abs=0.05)
    assert {name for _, name in found.terms(1)[:2]} == {"c40", "c0"}
    for k in range(3):
        names = {name for _, name in found.terms(k)}
        assert not {"c0", "c1", "c2", "c3", "c4", "c40"} <= names
        assert all(abs(w) < 10 for w, _ in found.terms(k)) and found.score[k] > 0.99
    twins = Matrix(("one", "two", "other"), matrix.values[:, [40, 40, 0]])
    again = explain(twins, q, splits)
    assert all({"one", "two"} - {name for _, name in again.terms(k)} for k in range(3)) and again.score[0] > 0.99


def test_what_the_chosen_concepts_already_say_is_never_a_candidate_again():
    matrix, _, splits = planted(labels=True, n=3000)
    names = ["c0", "c1", "c2", "c3", "c4", "c40", "c7"]  # c40 is the sum of the first five
    q = matrix.only(names).values @ torch.tensor([[5.0, 4, 3, 2, 1, 0, 0.1]]).T
    train, val, _ = moments(matrix.only(names).values, q, splits)
    seen = []
    order = torch.tensor([[0, 1, 2, 3, 4, 5, 6]])
    found = search(train, val, order, torch.tensor([0]), gain=-1.0, width=1, length=7,
                   callback=lambda state, tried, rho: seen.append(rho[0].tolist()))  # fmt: skip
    assert found.concept.tolist() == [[0, 1, 2, 3, 4, -1, -1]]  # the window is one wide, and c40 stands in it
    assert all(rho[5] > 0 for rho in seen[:5])
    assert seen[5][:6] == [-2] * 6 and seen[5][6] > 0.99  # not some quotient of two roundings


def test_dead_and_constant_units_are_empty_and_listed(problem):
    matrix, q, splits = problem
    whole, q = explain(matrix, q, splits), q.clone()
    q[:, 1], q[:, 4] = 0.0, 0.3
    q[splits.val, 7], q[splits.train, 9] = 0.5, 0.1  # constant on one of the two alone
    found = explain(matrix, q, splits)
    assert found.empty == [1, 4, 7, 9] and found.score[[1, 4, 7, 9]].tolist() == [0] * 4
    torch.testing.assert_close(found.bias[[1, 4, 9]], torch.tensor([0.0, 0.3, 0.1]))
    assert found.sentence(1) == "0.0" and found.sentence(4) == "0.30"
    for k in {*range(len(found))} - {1, 4, 7, 9}:
        assert found.terms(k) == whole.terms(k)
    torch.testing.assert_close(explain(matrix, q[:, [1, 4]], splits).bias, torch.tensor([0.0, 0.3]))


def test_concepts_that_are_constant_or_absent_do_no_harm(problem):
    matrix, q, splits = problem
    odd = torch.zeros(len(q), 3)
    odd[:, 0] = 0.7
    odd[splits.test, 1] = 1.0  # only where nobody may look
    odd[splits.train[:4], 2] = 1.0  # never on validation images
    wide = Matrix((*matrix.names, "always", "test", "train"), torch.cat([matrix.values, odd], 1))
    for options in ({}, dict(greedy=False, length=48)):
        found = explain(wide, q, splits, **options)
        used = {name for k in range(len(found)) for _, name in found.terms(k)}
        assert not used & {"always", "test"}
        for field in (found.weight, found.bias, found.score):
            assert field.isfinite().all()


def test_scale_of_activations_and_units_in_a_chunk_change_nothing(problem, monkeypatch):
    matrix, q, splits = problem
    found = explain(matrix, q, splits)
    monkeypatch.setattr(solve, "UNITS", 5)
    small = explain(matrix, 1e-4 * q + 7e-4, splits)
    assert torch.equal(small.concept, found.concept)
    torch.testing.assert_close(small.weight, 1e-4 * found.weight, rtol=1e-3, atol=1e-8)
    torch.testing.assert_close(small.bias, 1e-4 * found.bias + 7e-4, rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(small.score, found.score, rtol=0, atol=1e-5)


def test_test_images_are_never_looked_at(problem):
    matrix, q, splits = problem
    found, other = explain(matrix, q, splits), (matrix.values.clone(), q.clone())
    for values in other:
        values[splits.test] = torch.rand(values[splits.test].shape)
    again = explain(Matrix(matrix.names, other[0]), other[1], splits)
    for field in ("concept", "weight", "bias", "score"):
        assert torch.equal(getattr(again, field), getattr(found, field))


def test_without_the_search_the_first_of_the_ranking_are_taken():
    matrix, q, splits = planted(labels=False)
    train, *_ = moments(matrix.values, q, splits)
    W = elastic_net(train.G, train.C, 0.05, RIDGE)
    found = explain(matrix, q, splits, greedy=False, length=4)
    R = residual(train.G, train.C, W)
    for k in range(len(found)):
        order = sorted(range(len(W)), key=lambda j: (W[j, k].sign(), W[j, k], R[j, k]), reverse=True)
        assert set(found.concept[k].tolist()) == set(order[:4])
    few = explain(matrix.only(["c1", "c2"]), q, splits, greedy=False, length=4)
    assert few.concept.shape == (24, 4) and few.length.tolist() == [2] * 24


def test_fewer_concepts_than_the_search_wants_and_very_few_images():
    matrix, q, _ = planted(labels=False, n=40)
    found = explain(matrix.only(["c1"]), q, split(40))
    assert set(found.length.tolist()) <= {0, 1} and found.score.isfinite().all()
    found = explain(matrix, q, split(40))  # more concepts than images
    assert found.weight.isfinite().all() and (found.score.abs() <= 1 + 1e-6).all()


def test_a_trace_tells_how_the_explanation_was_found(problem):
    matrix, q, splits = problem
    found = explain(matrix, q, splits)
    for k in (0, 5):
        told = trace(matrix, q, splits, k)
        chosen = told[told.fate == "chosen"]
        assert set(chosen.concept) == {name for _, name in found.terms(k)} and len(chosen) == found.length[k]
        assert chosen.correlation.iloc[-1] == pytest.approx(float(found.score[k]), abs=1e-6)
        assert chosen.correlation.diff().dropna().min() >= 0.02 and (told.groupby("step").size() <= 10).all()
        gone = told[told.fate == "out"].concept
        assert len(gone) == len(set(gone)) and not set(gone) & set(chosen.concept)
    assert trace(matrix, torch.zeros_like(q), splits, 0).empty
    with pytest.raises(IndexError, match="unit 24 doesn't exist"):
        trace(matrix, q, splits, 24)


def test_what_cannot_be_explained_is_answered_in_one_sentence(problem):
    matrix, q, splits = problem
    with pytest.raises(ValueError, match="the concept matrix has 900 images and the activations have 899"):
        explain(matrix, q[1:], splits)
    with pytest.raises(ValueError, match=r"expected activations \(n, units\), .* got \(900,\)"):
        explain(matrix, q[:, 0], splits)
    broken = q.clone()
    broken[3, 2], broken[5, 8] = math.nan, math.inf
    with pytest.raises(ValueError, match="2 of 24 units hold NaN or infinite values, the first is unit 2"):
        explain(matrix, broken, splits)
    values = matrix.values.clone()
    values[0, 47] = math.nan
    with pytest.raises(ValueError, match="1 of 48 concepts hold NaN or infinite values, the first is concept 'c47'"):
        explain(Matrix(matrix.names, values), q, splits)
    with pytest.raises(ValueError, match="train and val need 3 rows or more from 0 to 899"):
        explain(matrix, q, Splits(splits.train, splits.val + 900, splits.test))
    with pytest.raises(ValueError, match="width and length are 1 or more, l1 is positive"):
        explain(matrix, q, splits, length=0)
