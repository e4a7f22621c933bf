"""The common start of Part II: activations against hooks, splits, concept sets, and matrices of the real networks."""

import math
from dataclasses import replace

import pytest
import torch

import sightglass as sg
from sightglass import explain, world
from sightglass.editions.record import Images
from sightglass.explain import methods

FEW = 96


@pytest.fixture(scope="module")
def ed():
    return sg.load("world", device="cpu")


@pytest.fixture(scope="module")
def images():
    scenes = world.split("probe", n=FEW)
    return Images(scenes.image, scenes.label.long(), scenes)


@pytest.fixture(scope="module")
def found(ed, images):
    return explain.probe(ed, "vit_b_16", images=images, seed=1)


def test_the_layer_of_the_paper_is_the_class_token_of_the_last_mlp(ed, images, found):
    model, seen = ed.model("vit_b_16"), []
    model.blocks[-1].mlp.act.register_forward_hook(lambda module, given, out: seen.append(out[:, 0]))
    model((images.scenes.pixels() - 0.5) / 0.25)
    assert found.at == "blocks.4.mlp.act" and found.pool == "first" and found.task == "nouns"
    assert torch.allclose(found.q, seen[0], atol=1e-5)
    assert torch.equal(found.splits.val, explain.split(FEW, seed=1).val)


def test_one_pass_pools_all_taps_of_a_network(ed, images):
    model = ed.model("resnet18")
    assert set(explain.usual_taps(model)) == {"block2", "block3", "block4", "penultimate"}
    assert "features.43" in explain.usual_taps(ed.model("vgg16"))  # the last max-pool
    answers = explain.activations(model, images.pixels[:6], {"block5": "none", "penultimate": "mean"}, batch=4)
    assert answers["block5"].ndim == 3
    assert torch.allclose(answers["block5"].mean(-1), answers["penultimate"], atol=1e-5)
    with pytest.raises(ValueError, match="unknown pooling 'middle'"):
        explain.activations(model, images.pixels[:2], {"block5": "middle"})
    with pytest.raises(IndexError, match="has 0 blocks with an MLP"):
        explain.mlp_units(model)


def test_a_probe_asks_for_images_enough_and_for_one_number(ed, images):
    few = Images(images.pixels[:20], images.labels[:20])
    with pytest.raises(ValueError, match="needs 30 images or more"):
        explain.probe(ed, "resnet18", images=few)
    with pytest.raises(ValueError, match="positions have to be pooled"):
        explain.probe(ed, "resnet18", "block4", pool="none", images=few)
    with pytest.raises(ValueError, match="unknown network of the world edition 'resnet19'"):
        explain.probe(ed, "resnet19", images=few)


def test_what_takes_long_is_kept_by_who_is_told_to(ed, images):
    asked = []

    def keep(make, *arguments):
        asked.append(make.__name__)
        return make(*arguments)

    seen = explain.probe(ed, "resnet18", images=images, keep=keep)
    explain.matrices(ed, seen, ["zebra"], keep=keep)["clip"]
    assert asked == ["activations", "encode"]


def test_concept_sets_grow_and_every_network_can_read_them(ed):
    sets = [explain.concepts(ed, kind) for kind in ("labels", "labels + parents", "full", "distractors")]
    assert [len(names) for names in sets] == sorted({len(names) for names in sets})
    assert all(set(a) < set(b) for a, b in zip(sets, sets[1:], strict=False)) and len(sets[0]) == 24
    assert explain.concepts(ed, "labels", task="places")[0] == "on grass"
    assert "zebra" in explain.concepts(ed, "labels + parents", task="kinds")
    for role in ("explainer", "simulator", "clip"):
        assert ed.model(role).phrases(sets[-1]).isfinite().all()
    with pytest.raises(ValueError, match="unknown concept set 'all'.* Valid: labels, labels \\+ parents, full"):
        explain.concepts(ed, "all")


def test_labels_are_what_is_visible_and_parents_are_there_with_any_child(ed, images):
    found = explain.labels(ed, images)
    shown = {name: found.values[:, i].bool() for i, name in enumerate(found.names)}
    mammals = [name for name in world.NOUNS if "mammal" in world.parents(name) and name in shown]
    assert torch.equal(shown["mammal"], torch.stack([shown[name] for name in mammals]).any(0))
    two = (images.scenes.second >= 0).nonzero()[:, 0]
    both = found.values[two][:, [i for i, name in enumerate(found.names) if name in world.NOUNS]].sum(1)
    assert both.max() == 2
    alone = explain.labels(ed, Images(images.pixels, images.labels))  # as in an edition without scenes
    assert set(alone.values.sum(1).long().tolist()) <= {1, 2, 3, 4}
    with pytest.raises(KeyError, match="unknown concept of the world 'zebr'"):
        explain.truth(images.scenes, ["zebr"])


def test_small_things_are_the_second_objects(images):
    small = explain.truth(images.scenes, [f"small {noun}" for noun in world.NOUNS]).values
    second = images.scenes.second
    assert torch.equal(small.sum(1), (second >= 0).float())
    assert small[second >= 0].argmax(1).tolist() == second[second >= 0].tolist()


def test_matrices_follow_the_truth_and_differ(ed, images, found):
    names = ["zebra", "mammal", "on grass", "red"]
    said = explain.matrices(ed, found, names)
    true = explain.truth(images.scenes, names).values.bool()
    for role in ("explainer", "simulator"):
        values = said[role].values
        assert said[role].names == tuple(names) and said[role] is said[role]
        assert all(values[true[:, j], j].mean() > values[~true[:, j], j].mean() + 0.3 for j in range(3))
    assert (said["explainer"].values - said["simulator"].values).abs().mean() > 0.005
    assert said["labels"].names[0] in world.NOUNS
    with pytest.raises(ValueError, match="unknown image-text network of the world edition 'oracle'"):
        said["oracle"]
    with pytest.raises(ValueError, match="never learned a word of 'a dragon'"):
        explain.matrices(ed, found, ["a dragon"])["clip"]


def test_no_matrix_depends_on_test_images(ed, images, found):
    other = images.pixels.clone()
    other[found.splits.test] = 255 - other[found.splits.test]
    scenes = replace(images.scenes, concept=images.scenes.concept.clone())
    scenes.concept[found.splits.test] = False
    changed = replace(found, images=Images(other, images.labels, scenes))
    train, names = found.splits.train, ["zebra", "on grass"]
    a, b = (explain.matrices(ed, p, names)["explainer"].values[train] for p in (found, changed))
    assert torch.allclose(a, b, atol=1e-6)


def test_methods_speak_or_say_why_not(ed, images):
    seen = explain.probe(ed, "resnet18", images=images)
    those = [name for name in explain.METHODS if name != "MILAN"]
    found = explain.described(ed, seen, methods=those)
    assert methods.map_of(ed.model("resnet18"), seen) == "block5"
    assert all(len(told) == 128 for told in found.values())
    assert set(found["CLIP-Dissect"].length.tolist()) == {1} and found["CLIP-Dissect"].bias.eq(0).all()
    score = explain.scores(ed, seen, found)
    played = explain.played(ed, seen, found)["LE(Label)"]
    test = seen.splits.test
    k = int(score["LE(Label)"].argmax())
    pair = torch.stack([played[test, k], seen.q[test, k]])
    assert math.isclose(torch.corrcoef(pair)[0, 1], score["LE(Label)"][k], abs_tol=1e-4)
    assert score["LE(Label)"].mean() > score["CLIP-Dissect"].mean() > 0
    with pytest.raises(ValueError, match="unknown method 'LE'"):
        explain.described(ed, seen, methods=["LE"])
    flat = explain.probe(ed, "vgg16", images=images)
    reason = explain.described(ed, flat, methods=["Network Dissection"])["Network Dissection"]
    assert reason == "the units of vgg16's penultimate have no positions that mark regions"


def test_another_edition_has_its_own_words(ed, tmp_path):
    pictures = replace(ed.pictures, source="folder")
    bare = replace(ed, name="mine", pictures=pictures)
    bare.__dict__["classes"] = ("cat", "dog")
    with pytest.raises(ValueError, match="the mine edition has no taxonomy .*no file parents.txt"):
        explain.concepts(bare, "labels + parents")
    with pytest.raises(ValueError, match="the mine edition has no concepts"):
        explain.concepts(bare, "full")
    (tmp_path / "concepts.txt").write_text("fur\n\ntail\n")
    (tmp_path / "parents.txt").write_text("cat: feline, animal\ndog: animal\n")
    mine = replace(bare, folders={"concepts": str(tmp_path)})
    mine.__dict__["classes"] = ("cat", "dog")
    assert explain.concepts(mine, "full") == ["cat", "dog", "animal", "feline", "fur", "tail"]
    seen = explain.labels(mine, Images(torch.zeros(3, 3, 8, 8), torch.tensor([0, 1, 0])))
    assert seen.names == ("cat", "dog")  # all are animals, and felines are cats
    with pytest.raises(ValueError, match="has no distractors.txt"):
        explain.concepts(mine, "distractors")
