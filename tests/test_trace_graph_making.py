"""From a network to a graph's parts: shapes, sums and choices against what can be counted by hand."""

import xml.etree.ElementTree as ET

import pytest
import timm
import torch

from sightglass import world, zoo
from sightglass.trace import graph
from sightglass.trace.graph import making
from sightglass.trace.srd import relevance_of_layers

TAPS = ["layer2", "layer3"]


@pytest.fixture(scope="module")
def made():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model("resnet18", pretrained=False, num_classes=5).eval().requires_grad_(False)
    x = torch.randn(16, 3, 48, 48, generator=torch.Generator().manual_seed(0))

    def relevance(model, x, taps):
        return relevance_of_layers(model, x, model(x).argmax(1), taps)

    return model, x, making.layers_of(model, x, TAPS, relevance, atoms=8, nonzeros=3)


def test_importances_are_means_over_the_images_of_a_class(made):
    model, x, layers = made
    labels = torch.tensor([0, 3, 0])
    both = making.importances(model, x[:3], layers, [0, 3], labels=labels)
    first, second = (making.importances(model, x[i : i + 1], layers, [0]) for i in (0, 2))
    for tap in TAPS:
        assert both[tap].shape == (2, 8)
        assert torch.allclose(both[tap][0], (first[tap][0] + second[tap][0]) / 2, atol=1e-4)
    with pytest.raises(ValueError, match="no image shows class 4"):
        making.importances(model, x[:3], layers, [4], labels=labels)


def test_what_hardly_matters_is_left_out():
    values = {"a": torch.tensor([[98.0, 1.0, 1.0], [50.0, 49.0, 1.0]])}
    assert making.telling(values, 0.02)["a"].tolist() == [[98.0, 1.0, 0.0], [50.0, 49.0, 0.0]]


def test_parts_make_a_graph_and_graphs_a_stack(made):
    model, x, layers = made
    importance = making.importances(model, x[:2], layers, model(x[:2]).mean(0).topk(2).indices.tolist())
    chosen = graph.choose(importance, top=2, shared=1)
    edges = making.strengths(model, x[:2], layers, chosen, steps=2)
    assert edges["layer2", "layer3"].shape == (8, len(chosen["layer3"]))
    found = making.exemplars(x, layers, chosen, making.srd_fields(model), count=3)
    for rows, maps in found.values():
        assert len(rows) == len(set(rows.tolist())) <= 3 and maps.shape == (len(rows), 48, 48)
    made_of = graph.concept_graph(importance, edges, ["this", "that"], top=2, shared=1)
    whole = graph.Stack({"one": made_of, "two": made_of})
    root = ET.fromstring(whole.to_svg("fig"))
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids)) and root.tag.endswith("svg")
    assert whole.to_figure().get_figwidth() <= 8.01
    with pytest.raises(ValueError, match="at least one graph"):
        graph.Stack({})


def test_the_face_is_a_bright_one_of_those_that_fit():
    pixels = torch.tensor([0.1, 0.9, 0.5])[:, None, None, None].expand(3, 3, 8, 8)
    maps = torch.ones(3, 8, 8)
    assert making.face_first(pixels, maps) == [1, 0, 2]
    assert making.face_first(pixels, maps, [True, False, True]) == [2, 0, 1]
    assert making.face_first(pixels, maps, [False] * 3) == [0, 1, 2]


def test_tokens_have_fields_in_patches():
    model = zoo.model("world/vit_b_16")
    x = zoo.normalise(model, world.split("val", 2).pixels())
    maps = making.token_fields(model)(x, "blocks.1", torch.tensor([5, 0]))
    assert maps.shape == (2, 64, 64) and (maps >= 0).all()
    assert torch.equal(maps[:, :8, :8], maps[:, :1, :1].expand(-1, 8, 8))
    alone = making.token_fields(model)(x, "block1", torch.tensor([9, 9]))
    assert (alone.flatten(1) > 0).sum(1).tolist() == [64, 64]


def test_small_fields_see_textures_and_pale_colours_have_a_hue():
    scenes = world.split("probe", 240)
    zebra = world.NOUNS.index("zebra")
    rows = [i for i in range(len(scenes)) if scenes.label[i] == zebra and (scenes.texture[i] > 0).sum() > 60][:4]
    maps = torch.zeros(len(rows), *scenes.part.shape[1:])
    for k, i in enumerate(rows):
        y, x = (scenes.texture[i] > 0).nonzero()[30]
        maps[k, y, x] = 1
    assert graph.name_of(scenes[torch.tensor(rows)], maps) == "stripes"
    assert all(graph.fits(scenes[torch.tensor(rows)], maps, "zebra"))
    from sightglass.trace.graph.names import colour

    assert colour(torch.tensor([0.7, 0.8, 0.95])) == "blue" and colour(torch.tensor([0.6, 0.6, 0.62])) == "grey"
