"""Mistakes and attacks found by search, and the routes of classes: against definitions and brute force."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from sightglass.trace.diagnose import fgsm, find_attack, mistakes
from sightglass.trace.graph.record import concept_graph
from sightglass.trace.graph.routes import abbreviated, meeting, routed, routes


class Linear(nn.Module):
    """Logits are linear in pixels, so that the least attack is known."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.pretrained_cfg = dict(mean=(0.5,) * 3, std=(0.25,) * 3)

    def forward(self, x):
        return x.flatten(1) @ self.weight.T


@pytest.fixture
def case():
    torch.manual_seed(0)
    model = Linear(torch.randn(3, 48)).eval()
    x = (torch.rand(40, 3, 4, 4) * 0.6 + 0.2 - 0.5) / 0.25
    return model, x, model(x).softmax(1)


def test_mistakes_are_all_of_them_and_the_surest_come_first(case):
    model, x, p = case
    labels = torch.arange(40) % 3
    found = mistakes(model, x, labels)
    assert set(found.rows.tolist()) == set((p.argmax(1) != labels).nonzero()[:, 0].tolist())
    assert (found.p_taken.diff() <= 0).all()
    assert torch.allclose(found.p_true, p[found.rows, labels[found.rows]])
    some = found.between(1, 2)
    assert len(some) and (some.true == 1).all() and (some.taken == 2).all()
    with pytest.raises(ValueError, match="a label for each"):
        mistakes(model, x, labels[:3])


def test_the_smallest_size_is_found_on_a_linear_network(case):
    model, x, p = case
    target = p.topk(2).indices[:, 1]
    sizes = (1, 2, 4, 8, 16, 32)
    made = fgsm(model, x, target, sizes=sizes, steps=1)
    # in a two-class case the sign of the weights' difference is the best step; with three it's the gradient's sign
    for i in range(len(x)):
        shifted = x[i : i + 1].clone().requires_grad_()
        slope = torch.autograd.grad(model(shifted).log_softmax(1)[0, target[i]], shifted)[0].sign()
        tried = [s for s in sizes if model(x[i : i + 1] + s / 255 / 0.25 * slope).argmax() == target[i]]
        assert made.size[i] == (tried[0] if tried else 0)
    won = made.flipped
    assert won.any()
    assert (model(made.x[won]).argmax(1) == target[won]).all()
    reach = (made.x - x).abs().flatten(1).amax(1) * 0.25 * 255
    assert torch.allclose(reach[won], made.size[won].float(), atol=1e-3)
    assert torch.allclose(made.before[:, 0], p.amax(1)) and (made.after[won, 1] > made.after[won, 0]).all()


def test_pixels_stay_in_range_and_the_network_as_it_was(case):
    model, x, _ = case
    before = model.weight.clone()
    dark = torch.full_like(x[:6], -2.0)  # pixels of 0
    dark[:, 0, 0, 0] += torch.arange(6) * 0.1
    target = (model(dark).argmax(1) + 1) % 3
    made = fgsm(model, dark, target, sizes=(8, 200), steps=4)
    assert (made.x >= -2 - 1e-6).all() and (made.x <= 2 + 1e-6).all()
    assert torch.equal(model.weight, before) and model.weight.grad is None
    with pytest.raises(ValueError, match="before any attack"):
        fgsm(model, x, model(x).argmax(1))
    with pytest.raises(ValueError, match="classes 0 to 2, not 7"):
        fgsm(model, x, 7)


def test_the_easiest_attack_comes_first_and_only_successes_come(case):
    model, x, p = case
    labels = p.argmax(1)
    labels[:20] = (labels[:20] + 1) % 3  # half of them count as mistaken
    found = find_attack(model, x, labels, sizes=(1, 2, 4, 8, 16))
    assert (found.rows >= 20).all() and found.flipped.all()
    assert (found.size.diff() >= 0).all()
    assert (model(found.x).argmax(1) == found.target).all() and (found.source == labels[found.rows]).all()
    towards = find_attack(model, x, labels, 1, sizes=(8, 32))
    assert (towards.target == 1).all() and (towards.source != 1).all()
    with pytest.raises(ValueError, match="no attack of up to 1/255 succeeds"):
        find_attack(
            Linear(model.weight + torch.tensor([[100.0], [0], [0]])), x.abs(), torch.zeros(40).long(), sizes=[1]
        )


@pytest.fixture
def graph():
    rng = np.random.default_rng(1)
    layers = {f"block{k}": rng.uniform(0.1, 1, (2, 4)) for k in range(1, 5)}
    pairs = {(f"block{k}", f"block{k + 1}"): rng.normal(0.3, 0.5, (4, 4)) for k in range(1, 4)}
    return concept_graph(layers, pairs, ["zebra", "horse"], top=4)


def test_routes_are_the_best_of_all_paths(graph):
    share = {(e.start, e.end): e.share for e in graph.edges}
    goal = graph.column(4)[1]
    paths = [(*p, goal) for p in product(*(graph.column(k) for k in range(4)))]
    worth = {p: np.prod([share[pair] for pair in zip(p, p[1:], strict=False)]) for p in paths}
    best = sorted(worth, key=worth.get, reverse=True)[:5]
    found = routes(graph, "horse", 5)
    assert [r.nodes for r in found] == best
    assert [r.strength for r in found] == pytest.approx([worth[p] for p in best])
    with pytest.raises(KeyError, match="unknown class of the graph 'hose': did you mean horse"):
        routes(graph, "hose")


def test_a_graph_of_routes_holds_them_and_nothing_else(graph):
    short = abbreviated(graph, 3)
    assert short.layers == ("block2", "block3", "block4", "class")
    found = routes(short, "zebra", 2) + routes(short, "horse", 2)
    small = routed(short, found)
    pairs = {pair for r in found for pair in zip(r.nodes, r.nodes[1:], strict=False)}
    assert len(small.edges) == len(pairs)
    assert {small.nodes[i] for e in small.edges for i in (e.start, e.end)} == {
        short.nodes[i] for r in found for i in r.nodes
    }
    last = {e.route for e in small.edges if small.nodes[e.end].layer == 3}
    assert last == {0, 1}  # what leads to a class is of its own route
    both = meeting(found)
    assert both == sorted({i for r in found[:2] for i in r.nodes} & {i for r in found[2:] for i in r.nodes})
    svg = small.to_svg("routes")
    assert svg.count('class="edge') == len(pairs) and 'stroke="#D55E00"' in svg
    with pytest.raises(ValueError, match="1 to 4 layers"):
        abbreviated(graph, 5)
    with pytest.raises(ValueError, match="no route"):
        routed(graph, [])
