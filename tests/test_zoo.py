"""The zoo: every way to a network, bad files refused in one sentence, and training that repeats itself."""

import json
import re

import pytest
import torch
from torch import nn

from sightglass import world, zoo
from sightglass.zoo import batches, losses, phrases, score, train, weights
from sightglass.zoo.families import FAMILIES, construct, describe
from sightglass.zoo.imagetext import ImageText, tokenise, vocabulary
from sightglass.zoo.recipes import recipe_of
from sightglass.zoo.taps import record

SHIPPED = weights.shipped()
ARGUMENTS = {"num_classes": 3, "channels": [8, 8, 16, 16]}


@pytest.fixture(scope="module")
def resnet():
    import timm

    torch.manual_seed(0)
    return timm.create_model("resnet18", **ARGUMENTS).eval()


@pytest.fixture(scope="module")
def scenes():
    return world.draw(world.plan(range(96), 5), maps=False)


def saved(path, state):
    from safetensors.torch import save_file

    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


@pytest.mark.parametrize("file, wrap", [("net.safetensors", lambda s: s), ("net.pt", lambda s: s),
                                        ("net.pth", lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}}),
                                        ("net.ckpt", lambda s: {"model": s, "epoch": 3})])  # fmt: skip
def test_a_checkpoint_opens_with_its_architecture(tmp_path, resnet, file, wrap):
    path = saved(tmp_path / file, wrap(resnet.state_dict()))
    model = zoo.model(path, architecture="resnet18", arguments=ARGUMENTS, mean=[0.5] * 3, std=[0.2] * 3)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(model(x), resnet(x))
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert zoo.mean_std(model)[1].flatten().tolist() == pytest.approx([0.2] * 3)
    assert list(zoo.taps(model))[-2:] == ["penultimate", "logits"]


def zoo_files(folder):
    return [path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin")]


def test_a_hub_shaped_folder_opens(tmp_path, resnet):
    from timm.models import save_for_hf

    resnet.pretrained_cfg = {**resnet.pretrained_cfg, "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    save_for_hf(resnet, tmp_path, model_args={"channels": [8, 8, 16, 16]})
    model = zoo.model(str(tmp_path))
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(model(x), resnet(x))
    assert zoo.mean_std(model)[0].flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    for file in zoo_files(tmp_path):
        file.unlink()
    with pytest.raises(FileNotFoundError, match="it has no weights"):
        zoo.model(str(tmp_path))


def test_a_builder_of_the_users_own_makes_the_network(tmp_path):
    (tmp_path / "nets.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def load(path, width=1):\n"
        "    model = nn.Sequential(nn.Flatten(), nn.Linear(12, width))\n"
        "    model.load_state_dict(torch.load(path, weights_only=True))\n    return model\n"
        "def nothing(path):\n    return 5\n"
    )
    state = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).state_dict()
    path, nets = saved(tmp_path / "w.pt", state), tmp_path / "nets.py"
    model = zoo.model(path, builder=f"{nets}:load", arguments={"width": 2}, mean=[0] * 3, std=[1] * 3)
    assert torch.equal(model[1].weight, state["1.weight"])
    with pytest.raises(KeyError, match="load"):
        zoo.model(path, builder=f"{nets}:laod")
    with pytest.raises(ValueError, match="returned int"):
        zoo.model(path, builder=f"{nets}:nothing")
    with pytest.raises(ValueError, match="expected path/to/file.py:function"):
        zoo.model(path, builder="nets.load")


def broken(state, key, value):
    return {**state, key: value}


@pytest.mark.parametrize("make, message", [
    (lambda s: broken(s, "fc.bias", s["fc.bias"] * torch.nan), "1 of 128 weights hold NaN .*'fc.bias'"),
    (lambda s: {k: v for k, v in s.items() if "layer4" not in k}, "missing layer4.0.conv1.weight, .* and 27 more"),
    (lambda s: broken(s, "head.w", torch.zeros(3)), "not wanted head.w"),
    (lambda s: broken(s, "fc.bias", torch.zeros(7)), r"shape fc.bias \(\(7,\) in the file, \(3,\) in the"),
])  # fmt: skip
def test_weights_that_dont_fit_are_refused_by_name(tmp_path, resnet, make, message):
    path = saved(tmp_path / "bad.safetensors", make(resnet.state_dict()))
    with pytest.raises(ValueError, match=message) as error:
        zoo.model(path, architecture="resnet18", arguments=ARGUMENTS)
    assert "bad.safetensors" in str(error.value) and "\n" not in str(error.value)


class Trap:
    def __reduce__(self):
        return (print, ("a pickle ran",))


def test_files_that_hold_no_plain_tensors_are_refused(tmp_path, capsys):
    torch.save({"state_dict": Trap()}, tmp_path / "code.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "cut.safetensors").write_bytes(b"\x08\x00\x00")
    (tmp_path / "cut.pt").write_bytes(b"nothing")
    (tmp_path / "text.onnx").write_text("")
    cases = {"code.pt": "plain tensors", "list.pt": "no tensors by name", "cut.safetensors": "no whole safetensors",
             "cut.pt": "plain tensors", "text.onnx": "is no checkpoint"}  # fmt: skip
    for file, message in cases.items():
        with pytest.raises(ValueError, match=message):
            zoo.model(tmp_path / file, architecture="resnet18")
    assert "a pickle ran" not in capsys.readouterr().out


def test_names_that_dont_exist_are_answered_with_the_nearest():
    for name, near in {"resnet55": "resnet50", "world/resnet5": "resnet50", "explainr": "world/explainer",
                       "resnet50.tv_in2k": "resnet50.tv_in1k"}.items():  # fmt: skip
        with pytest.raises(KeyError, match=re.escape(near)):
            zoo.model(name)
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        zoo.model("./nowhere.safetensors", architecture="resnet18")
    with pytest.raises(TypeError, match="not architectur"):
        zoo.model("resnet18", architectur="resnet18")
    assert "world/clip" in zoo.list_models() and "resnet50.tv_in1k" in zoo.list_models("resnet50.*")


def test_a_hub_id_without_a_network_ends_in_one_sentence(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for name in ("hf-hub:nobody-at-all/nothing-here", "resnet18.a1_in1k"):
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(RuntimeError, match="can't be fetched .*give a local folder") as error:
            zoo.model(name)
        assert "\n" not in str(error.value)


def test_a_checkpoint_without_an_architecture_is_asked_for_one(tmp_path, resnet):
    path = saved(tmp_path / "net.pt", resnet.state_dict())
    with pytest.raises(ValueError, match="say what to build"):
        zoo.model(path)
    with pytest.raises(ValueError, match="resnet18 takes other arguments"):
        zoo.model(path, architecture="resnet18", arguments={"flavour": 1})
    with pytest.raises(KeyError, match="resnet18"):
        zoo.model(path, architecture="resnet_18", arguments={})


def test_pixels_go_to_the_network_and_back():
    model = describe(nn.Linear(1, 1), (0.1, 0.2, 0.3), (0.5, 0.25, 0.125))
    images = torch.rand(2, 3, 4, 4)
    pixels = zoo.normalise(model, images)
    assert torch.allclose(pixels[0, 2], (images[0, 2] - 0.3) / 0.125)
    assert torch.allclose(zoo.denormalise(model, pixels), images, atol=1e-6)
    with pytest.raises(ValueError, match="Linear doesn't say which pixels"):
        zoo.normalise(nn.Linear(1, 1), images)


def test_a_world_network_is_written_and_read_back(tmp_path, monkeypatch, scenes):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    torch.manual_seed(0)
    blueprint = train.blueprint("resnet18")
    model = train.halve(describe(construct(*blueprint)).eval())
    recipe = {**recipe_of("resnet18"), "minutes": 1.0}
    facts = weights.save_world("resnet18", model, blueprint, recipe, {"accuracy": {"test": 0.5}})
    again = zoo.model("world/resnet18")
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(again(x), model.eval()(x))
    assert facts == zoo.card("world/resnet18")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["resnet18.json", "resnet18.safetensors"]
    with (tmp_path / "resnet18.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    with pytest.raises(ValueError, match="sha256 differs"):
        zoo.model("world/resnet18")
    with pytest.raises(FileNotFoundError, match="isn't trained yet"):
        zoo.model("world/vgg16")


def small_fit(**changes):
    """Train a very small network on a few small images of the world; return it with them."""
    scenes = world.draw(world.plan(range(96), 5), 32, maps=False)
    recipe = {**recipe_of("resnet18"), "batch": 16, "rate": 1e-2, "average": 0.8, "adversarial": 1 / 255, **changes}
    torch.manual_seed(3)
    model = construct("timm.models.resnet.ResNet", {"block": "timm.models.resnet.BasicBlock",
                      "layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8], "num_classes": 10})  # fmt: skip
    return train.fit(describe(model), scenes.image, losses.classify(scenes.background, 0.05), recipe), scenes


def test_training_repeats_itself():
    one, two = (list(small_fit(epochs=1)[0].state_dict().values()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_training_learns():
    model, scenes = small_fit(epochs=6)
    surprise = nn.functional.cross_entropy(score.outputs(model, scenes.image), scenes.background)
    assert surprise < 2.1  # knowing nothing about ten places costs log(10) = 2.3


def test_augmented_images_keep_their_scale(scenes):
    recipe = {**recipe_of("resnet18"), "noise": 0.0, "shift": 0, "flip": False}
    draws = torch.Generator().manual_seed(0)
    plain = train.augment(scenes.image[:8], draws, recipe)
    assert torch.allclose(plain, (scenes.pixels()[:8] - 0.5) / 0.25, atol=1e-5)
    flipped = train.augment(scenes.image[:64], draws, {**recipe, "flip": True})
    same = (flipped == train.augment(scenes.image[:64], draws, recipe)).flatten(1).all(1)
    assert 16 < same.sum() < 48
    moved = train.augment(scenes.image[:8], draws, {**recipe, "shift": 5})
    assert moved.shape == plain.shape and not torch.equal(moved, plain)


def test_recolouring_keeps_greys_and_brightness():
    draws, grey = torch.Generator().manual_seed(0), torch.linspace(-1.9, 1.9, 16).view(1, 1, 4, 4).expand(6, 3, 4, 4)
    assert torch.allclose(batches.recolour(grey, draws, 1.0), grey, atol=1e-5)
    mild = torch.rand(64, 3, 4, 4, generator=draws) - 0.5
    turned = batches.recolour(mild, draws, 0.5)
    assert torch.allclose(turned.mean(1), mild.mean(1), atol=1e-5)
    assert 16 < (turned == mild).flatten(1).all(1).sum() < 48


def test_pushed_images_raise_the_loss(scenes):
    recipe = recipe_of("resnet18")
    x = train.augment(scenes.image[:16], torch.Generator().manual_seed(0), recipe).requires_grad_(True)
    model, loss = small_fit(epochs=1)[0], losses.classify(scenes.background[:16], 0.0)
    rows = torch.arange(16)
    loss(model, x, rows).backward()
    further = batches.pushed(x, x.grad, 1 / 255)
    assert (further - x.detach()).abs().max() == pytest.approx(1 / 255 / 0.25, rel=1e-3)
    assert loss(model, further, rows) > loss(model, x, rows)


def test_finish_goes_on_from_shipped_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    monkeypatch.setattr(score, "scores", lambda model, name: {"accuracy": {"test": 0.5}})
    few = world.draw(world.plan(range(64), 5), 32, maps=False)
    monkeypatch.setattr(train, "training_scenes", lambda recipe: few)
    first, before = train.train("resnet18"), zoo.model("world/resnet18").state_dict()
    second, after = train.train("resnet18", finish=True), zoo.model("world/resnet18").state_dict()
    assert second["minutes"] >= first["minutes"] and second["recipe"]["finish"] == recipe_of("resnet18")["finish"]
    moved = [(after[key] - value).abs().max() for key, value in before.items() if key.endswith("weight")]
    assert 0 < max(moved) < 0.5  # moved, but not begun anew


def test_averaged_weights_are_the_running_mean():
    a, b = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    b.running_mean.fill_(4.0), b.num_batches_tracked.fill_(9)
    train.blend(a, b, 0.75)
    assert a.running_mean.tolist() == [1.0, 1.0] and a.num_batches_tracked == 9


def test_a_caption_is_true_of_its_own_image_and_of_those_that_show_the_same():
    scenes = world.draw(world.plan(range(240), 7, pairs=0.5), maps=False)
    known, fact = phrases.mentions(), phrases.facts(scenes)
    captions = world.captions(scenes, 1)
    true = phrases.truth(phrases.mentioned(captions, known), fact)
    assert true.diagonal().all() and 0 < (true.sum() - len(scenes)) < 0.2 * true.numel()
    for image, row in zip(range(240), fact, strict=True):  # facts by their definition
        said = {known[i] for i in row.nonzero()[:, 0]}
        noun, kind = world.NOUNS[scenes.label[image]], world.KINDS[scenes.kind[image]]
        other, place = int(scenes.second[image]), world.place(world.BACKGROUNDS[scenes.background[image]])
        expected = {noun, kind, place}
        if other >= 0:
            small = [world.NOUNS[other], world.KINDS[scenes.second_kind[image]]]
            expected |= {*small, *(f"small {thing}" for thing in small)}
        assert said == expected
    assert len(phrases.concept_phrases(1)) == phrases.concept_truth(scenes).shape[1]


def test_the_losses_are_their_definitions():
    torch.manual_seed(0)
    logits, true = torch.randn(4, 6), torch.rand(4, 6) < 0.5
    true[:, 5], true[0, :2] = False, True
    own = -(true * logits.sigmoid().log() + ~true * (1 - logits.sigmoid()).log()).sum() / 4
    assert torch.allclose(losses.sigmoid_loss(logits, true), own, atol=1e-5)
    rows = sum(-logits[i].log_softmax(0)[true[i]].mean() for i in range(4)) / 4
    columns = [-logits[:, j].log_softmax(0)[true[:, j]].mean() for j in range(6) if true[:, j].any()]
    assert torch.allclose(losses.softmax_loss(logits, true), (rows + sum(columns) / len(columns)) / 2, atol=1e-5)


def test_average_precision_equals_scikit_learn():
    from sklearn.metrics import average_precision_score

    torch.manual_seed(1)
    value, true = torch.randn(50, 3), torch.rand(50, 3) < 0.3
    expected = [average_precision_score(true[:, k], value[:, k]) for k in range(3)]
    assert score.average_precision(value, true).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["mean", "transformer"])
def test_phrases_are_encoded_word_by_word_whatever_stands_beside_them(kind):
    torch.manual_seed(0)
    image = {"builder": "timm.models.resnet.ResNet", "arguments": {"block": "timm.models.resnet.BasicBlock",
             "layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}}  # fmt: skip
    model = ImageText(image, {"kind": kind, "width": 16}, 8, losses.training_words()).eval()
    long = "a red car and a small owl on the snow"
    both = model.phrases(["Zebra.", long])
    assert torch.allclose(both[:1], model.phrases(["zebra"]), atol=1e-6) and both.shape == (2, 8)
    assert torch.allclose(both.norm(dim=1), torch.ones(2))
    with record(model, ["block5", "logits"]) as acts:
        fit = model.compare(model(torch.randn(3, 3, 64, 64)), both)
    assert fit.shape == (3, 2) and acts["block5"].shape == (3, 8, 4) and acts["logits"].shape == (3, 8, 1)
    with pytest.raises(ValueError, match="of 'a zebar': unknown word 'zebar': did you mean zebra"):
        model.phrases(["a zebar"])
    for bad, message in {"": "found 0", "a " * 40: "found 40"}.items():
        with pytest.raises(ValueError, match=message):
            model.phrases([bad])
    with pytest.raises(TypeError, match="list of phrases"):
        tokenise("zebra", ["zebra"])


def test_image_text_training_draws_a_batch_closer_to_its_phrases(scenes):
    words = losses.training_words()
    assert set(vocabulary(world.captions(scenes, 3))) <= set(words)
    for kind in ("sigmoid", "softmax"):
        torch.manual_seed(0)
        image = {"builder": "timm.models.resnet.ResNet", "arguments": {"block": "timm.models.resnet.BasicBlock",
                 "layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}}  # fmt: skip
        model = ImageText(image, {"kind": "mean", "width": 16}, 16, words)
        loss = losses.fit_phrases(scenes, kind, 0)
        rows, x = torch.arange(32), train.augment(scenes.image[:32], torch.Generator(), recipe_of("clip"))
        before = loss(model, x, rows).item()
        adam = torch.optim.Adam(model.parameters(), 0.01)
        for _ in range(8):
            adam.zero_grad()
            value = loss(model, x, rows)
            value.backward()
            adam.step()
        assert value.item() < 0.95 * before


def test_cards_recipes_and_families_agree():
    for name, entry in FAMILIES.items():
        assert entry["task"] == "phrases" or entry["task"] in world.TASKS
        start, stop = recipe_of(name)["images"]
        assert 0 <= start < stop <= world.SPLITS["train"].size
        assert json.loads(json.dumps(entry)) == entry


@pytest.mark.skipif(not SHIPPED, reason="no weights are shipped yet: run `make zoo`")
class TestShipped:
    def test_every_network_is_there_and_all_are_small(self):
        assert SHIPPED == list(FAMILIES)
        assert sum((weights.FOLDER / f"{name}.safetensors").stat().st_size for name in SHIPPED) < 25e6

    @pytest.mark.parametrize("name", SHIPPED)
    def test_the_card_tells_the_truth(self, name):
        facts, model = zoo.card(name), zoo.model(f"world/{name}")
        path = weights.FOLDER / f"{name}.safetensors"
        assert facts["bytes"] == path.stat().st_size and facts["sha256"] == weights.checksum(path)
        assert facts["parameters"] == sum(p.numel() for p in model.parameters())
        assert facts["taps"] == zoo.taps(model) and facts["name"] == name
        assert facts["classes"] == list(world.TASKS.get(facts["task"], ()))
        assert {"seed", "recipe", "minutes", "family", "mean", "std"} <= set(facts)
        assert set(facts["accuracy"]) == set(score.SPLITS)

    @pytest.mark.parametrize("name", SHIPPED)
    def test_its_accuracy_is_measured_again(self, name):
        model, facts = zoo.model(f"world/{name}"), zoo.card(name)
        again = score.score(model, name, "test", 480)
        share = facts["accuracy"]["test"]
        # 480 of the 2400 images: four standard errors of a share.
        slack = 4 * (share * (1 - share) / 480) ** 0.5 + 0.01
        assert abs(again["accuracy"] - share) < slack
        least = 0.6 if facts["task"] == "phrases" else 0.9
        assert least < share < 1


def test_scoring_again_finds_the_same_and_keeps_the_weights(tmp_path, monkeypatch):
    """Batch statistics instead of the stored ones would find other numbers."""
    import shutil

    from sightglass.zoo import train

    if "resnet18" not in SHIPPED:
        pytest.skip("no weights are shipped yet")
    for path in weights.FOLDER.glob("resnet18.*"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    monkeypatch.setattr(score, "SPLITS", ("test",))
    before = weights.card("resnet18")
    again = train.rescore("resnet18")
    assert again["accuracy"] == {"test": before["accuracy"]["test"]} and again["sha256"] == before["sha256"]
