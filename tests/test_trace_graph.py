"""The concept graph: who is shown, few crossings, an SVG that stands alone, a twin, a file that reads back."""

import re
from dataclasses import replace
from itertools import permutations
from xml.etree import ElementTree

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from sightglass import world
from sightglass.trace.graph import layout as graph_layout
from sightglass.trace.graph import pictures as graph_pictures
from sightglass.trace.graph import trails as graph_trails
from sightglass.trace.graph.names import name_of
from sightglass.trace.graph.record import choose, concept_graph, load_graph, save_graph

CLASSES = ["zebra", "horse"]
IMPORTANCE = {
    "block1": np.array([[5, 4, 0.1, 0, 2.0], [0.2, 0, 6, 3, 2]]),
    "block2": np.array([[3, 0, 1.0], [0, 3, 1]]),
}
PAIR = np.array([[4, 0, 1], [2, 0, 0], [0, 4, 0], [0, -2, 1], [1, 1, 2.0]])


def small(**more):
    options = dict(top=2, shared=1, labels={"block2": ["striped", "brown", "four legs"], "block1": {0: "<line>"}})
    return concept_graph(IMPORTANCE, {("block1", "block2"): PAIR}, CLASSES, **{**options, **more})


def exemplars(m: int = 10, side: int = 32):
    y, x = np.mgrid[:side, :side]
    maps = np.stack([np.exp(-((x - 8 - k) ** 2 + (y - 20) ** 2) / 8.0) for k in range(m)])
    images = np.zeros((m, 3, side, side))
    images[:, 0] = (x > 15) * 1.0
    return images, maps


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_most_important_of_each_class_and_those_of_all_are_chosen():
    found = choose(IMPORTANCE, top=2, shared=1)
    assert found["block1"] == {0: (0,), 1: (0,), 2: (1,), 3: (1,), 4: (0, 1)}
    assert found["block2"] == {0: (0,), 1: (1,), 2: (0, 1)}  # in both tops, and shared
    assert choose(IMPORTANCE, top=1, shared=0)["block1"] == {0: (0,), 2: (1,)}
    alone = choose({"block1": IMPORTANCE["block1"][:1]}, top=9, shared=3)
    assert list(alone["block1"]) == [0, 1, 2, 4]  # what is 0 isn't important


def test_edges_are_scaled_within_a_pair_of_layers_and_negative_ones_are_zero():
    graph = small()
    share = {(e.start, e.end): e.share for e in graph.edges}
    first, second, last = (graph.column(k) for k in range(3))
    want = (PAIR / 4).clip(0)
    assert [[share[i, j] for j in second] for i in first] == want.tolist()
    assert min(e.strength for e in graph.edges) == -2
    # the last pair leads to the classes: the concepts' shares of importance, (3, 1) / 4 and the like
    assert share[second[0], last[0]] == 1 and share[second[2], last[1]] == pytest.approx(1 / 3, abs=1e-6)


def test_edges_may_hold_the_chosen_concepts_only():
    few = dict(top=1, shared=0)
    chosen = [list(c) for c in choose(IMPORTANCE, **few).values()]
    edges = {("block1", "block2"): PAIR[np.ix_(*chosen)]}
    assert concept_graph(IMPORTANCE, edges, CLASSES, **few) == small(**few, labels={})


@pytest.mark.parametrize(
    "importance, edges, sentence",
    [
        (IMPORTANCE, {("block2", "block1"): PAIR.T}, "edges from block1 to block2 are missing; given are block2 to"),
        (IMPORTANCE, {("block1", "block2"): PAIR.T}, r"edges from block1 to block2 are \(5 x 3\), .* found 3 x 5"),
        (IMPORTANCE, {("block1", "block2"): PAIR * np.nan}, "edges from block1 to block2 aren't all finite"),
        ({"block1": IMPORTANCE["block1"][0]}, {}, "the importances of block1 are"),
        ({"block1": -IMPORTANCE["block1"]}, {}, "no concept of block1 has a positive importance"),
        ({}, {}, "a graph needs a layer and a class"),
    ],
)
def test_wrong_input_is_one_sentence(importance, edges, sentence):
    with pytest.raises(ValueError, match=sentence):
        concept_graph(importance, edges, CLASSES)


def test_crossings_are_those_of_the_definition_and_the_order_found_has_the_fewest():
    rng = np.random.default_rng(0)
    weight = np.zeros((8, 8))
    weight[:4, 4:] = rng.uniform(size=(4, 4))
    slow = sum(
        weight[a, c] * weight[b, d] for a in range(4) for b in range(a + 1, 4) for c in range(4, 8) for d in range(4, c)
    )
    assert graph_layout.crossings([[0, 1, 2, 3], [4, 5, 6, 7]], weight) == pytest.approx(slow)
    graph = small()
    found = graph_layout.ordered(graph)
    square = np.zeros((len(graph.nodes),) * 2)
    for edge in graph.edges:
        square[edge.start, edge.end] = edge.share**2
    least = min(
        graph_layout.crossings([list(a), list(b), found[2]], square)
        for a in permutations(found[0])
        for b in permutations(found[1])
    )
    assert graph_layout.crossings(found, square) == pytest.approx(least)


def test_many_layers_go_into_bands_that_fit_the_page_and_go_on():
    layers = {f"layer{k}": IMPORTANCE["block1"] for k in range(16)}
    pairs = {(a, b): np.eye(5) for a, b in zip(list(layers), list(layers)[1:], strict=False)}
    graph = concept_graph(layers, pairs, CLASSES, top=2, shared=1)
    plan = graph_layout.layout(graph)
    bands = graph_layout.banded(17)
    assert all(len(b) <= 7 for b in bands) and all(a[-1] == b[0] for a, b in zip(bands, bands[1:], strict=False))
    assert [bands[0][0], bands[-1][-1]] == [0, 16]
    assert all(s.side / 2 <= s.x <= 880 - s.side / 2 and s.y + s.side / 2 < plan.height for s in plan.spots)
    assert {e for _, _, e in plan.lines} == set(range(len(graph.edges)))
    for column in {(s.x, s.band) for s in plan.spots}:
        ys = sorted(s.y for s in plan.spots if (s.x, s.band) == column)
        assert all(b - a >= 68 for a, b in zip(ys, ys[1:], strict=False))  # a picture and its name


def test_no_node_hangs_loose_and_pointing_lights_a_whole_route():
    graph = small()
    edges = graph_trails.drawn(graph)
    assert {i for e in edges for i in (graph.edges[e].start, graph.edges[e].end)} == set(range(len(graph.nodes)))
    shares = [graph.edges[e].share for e in edges]
    assert shares == sorted(shares) and min(shares) > 0
    lit = [graph.edges[e] for e in graph_trails.trails(graph, edges)[graph.column(0)[1]]]
    assert {graph.nodes[e.end].label for e in lit} >= {"striped", "zebra"}


def test_the_svg_stands_alone_and_has_its_own_ids():
    graph = small(exemplars={("block1", 0): exemplars(), ("block2", 1): (exemplars()[0], None)})
    one, two = graph.to_svg("fig-ierf-9", alt='stripes & "zebra"'), graph.to_svg("fig-ierf-24")
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (one, two)]
    assert ids[0] and not ids[0] & ids[1]
    for text, own in zip((one, two), ids, strict=True):
        used = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
        assert used <= own  # every reference is to something in the same file
        assert not re.findall(r'(?:href|src)="(?!#|data:image/)', text) and "<script" not in text
        assert not re.findall(r"url\((?!#)", text)
        assert all(f"#{key}" in own or key in own for key in re.findall(r"#(g-[\w-]+)", text))
        ElementTree.fromstring(text)
    assert "&lt;line&gt;" in one and "<line>" not in one and 'aria-label="stripes &amp; &quot;zebra&quot;"' in one
    assert graph.to_svg() == graph.to_svg() != replace(graph, classes=("zebra", "mare")).to_svg()
    with pytest.raises(ValueError, match="key has letters"):
        graph.to_svg("a b")


def test_every_node_has_a_panel_that_its_focus_opens_and_its_exemplars_are_in_it():
    graph = small(exemplars={("block1", 0): exemplars(10)})
    root = ElementTree.fromstring(graph.to_svg("x"))
    children = list(root)
    names = [child.get("class", "").split() for child in children]
    style = "".join(root.find("{*}style").itertext())
    for i in range(len(graph.nodes)):
        node = next(k for k, c in enumerate(names) if "node" in c and f"p{i}" in c)
        panel = next(k for k, c in enumerate(names) if "panel" in c and f"q{i}" in c)
        assert node < panel  # the rule's ~ looks at later siblings only
        assert f"#g-x .p{i}:focus~.q{i}{{display:inline}}" in style
    place = next(i for i, spot in enumerate(graph_layout.layout(graph).spots) if spot.node == 0)
    panel = next(child for child, c in zip(children, names, strict=True) if "panel" in c and f"q{place}" in c)
    assert [u.get("href") for u in panel.findall(".//{*}use")][:2] == ["#g-x-c0", "#g-x-w0"]


def test_a_crop_is_what_the_ierf_holds_and_the_rest_goes_grey():
    images, maps = exemplars(3)
    (mask,) = graph_pictures.lit(maps[:1])
    assert (maps[0] * (mask > 0.5)).sum() / maps[0].sum() == pytest.approx(0.8, abs=0.1)
    rows, columns = graph_pictures.box(mask)
    assert rows.start <= 20 < rows.stop and columns.start <= 8 < columns.stop
    assert rows.stop - rows.start == columns.stop - columns.start < 16
    crops, places, count = graph_pictures.sprites(images, maps)
    side = graph_pictures.CELL
    assert count == 3 and graph_pictures.decoded(crops).shape == (side, 3 * side, 3)
    whole = graph_pictures.decoded(places)[:, :side].astype(int)
    far, lit = whole[5, -5], whole[45, 18]  # red by nature, black by nature
    assert np.ptp(far) < 40 and (lit < 40).all()
    with pytest.raises(ValueError, match="nowhere positive"):
        graph_pictures.sprites(images, -maps)
    with pytest.raises(ValueError, match="need iERFs of the same size"):
        graph_pictures.sprites(images, maps[:2])


def test_the_file_reads_back(tmp_path):
    graph = small(exemplars={("block1", 0): exemplars(2)}, portraits=np.random.rand(2, 3, 3, 8, 8))
    save_graph(graph, tmp_path / "graph.json")
    assert load_graph(tmp_path / "graph.json") == graph
    (tmp_path / "other.json").write_text('{"nodes": [{"colour": 1}]}')
    with pytest.raises(ValueError, match="isn't a concept graph"):
        load_graph(tmp_path / "other.json")


def test_the_twin_is_eight_inches_wide_and_draws_every_edge_and_name():
    graph = small(exemplars={("block1", 0): exemplars(2)}, picture=np.random.rand(3, 16, 16))
    fig = graph.to_figure()
    assert fig.get_figwidth() == 8
    words = [text.get_text() for text in fig.axes[0].texts]
    assert {"zebra", "horse", "<line>", "striped", "block1", "image"} <= set(words)
    curves = [p for p in fig.axes[0].patches if p.get_capstyle() == "round" and not p.get_fill()]
    assert len(curves) >= len(graph_trails.drawn(graph))
    fig.canvas.draw()
    box = fig.bbox
    for text in fig.axes[0].texts:
        extent = text.get_window_extent()
        assert box.x0 - 1 <= extent.x0 and extent.x1 <= box.x1 + 1 and box.y0 - 1 <= extent.y0


def test_a_concept_of_the_world_is_named_by_what_lies_under_its_ierfs():
    plan = world.edit(world.plan(torch.tensor([0, 24, 48, 1, 25, 49]), 7, hard=0.0, pairs=0.0), background="grass")
    scenes = world.draw(plan)
    zebras = scenes[(scenes.label == world.NOUNS.index("zebra")).nonzero()[:, 0]]
    part = zebras.part == world.PARTS.index("body") + 1
    assert name_of(zebras, part.float()) == "zebra's body"
    assert name_of(zebras, (zebras.instance == 1).float()) == "zebra"
    assert name_of(scenes, (scenes.instance == 0).float()) == "grass"
    legs = (scenes.part == world.PARTS.index("leg") + 1).float()
    walk = legs.flatten(1).sum(1) > 0
    assert name_of(scenes[walk.nonzero()[:, 0]], legs[walk]) in ("leg", "striped leg")
    with pytest.raises(ValueError, match="nowhere positive"):
        name_of(scenes, scenes.part.float() * 0)
