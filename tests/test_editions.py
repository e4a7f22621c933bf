"""Editions: the files, loading images and networks from tiny real trees, and every mistake's sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import sightglass as sg
from sightglass import editions, world
from sightglass.editions import pictures

CLASSES = {"ant": (220, 30, 30), "bee": (30, 220, 30), "cow": (30, 30, 220)}
SCALE = "mean: [0.5, 0.5, 0.5]\n    std: [0.25, 0.25, 0.25]"


def tree(root: Path, counts: dict[str, int], size=(24, 20)) -> Path:
    """Write flat images of each class's colour, their red channel telling them apart."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            colour = (CLASSES.get(name, (0, 0, 0))[0] + i, *CLASSES.get(name, (0, 0, 0))[1:])
            Image.new("RGB", size, colour).save(root / name / f"{i:03}.png")
    return root


def edition(folder: Path, text: str) -> Path:
    """Write an edition file."""
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def mine(tmp_path):
    """An edition over a tree with train and val folders."""
    tree(tmp_path / "data/train", {"ant": 6, "bee": 7, "cow": 5})
    tree(tmp_path / "data/val", {"ant": 2, "bee": 2, "cow": 2})
    return sg.load(edition(tmp_path, "size: 16\nimages:\n  root: data\n"), device="cpu")


def test_images_on_the_disk_are_those_that_are_read_at_once(mine):
    files, labels = pictures.on_disk(mine, "train", 10)
    whole = mine.images("train", 10)
    assert files.shape == whole.pixels.shape and torch.equal(labels, whole.labels)
    for rows in (torch.tensor([7, 0, 7]), slice(2, 5)):
        torch.testing.assert_close(files[rows] / 255, whole.pixels[rows])
    fewer, _ = pictures.on_disk(mine, "train", 9)
    assert fewer.known != files.known == pictures.on_disk(mine, "train", 10)[0].known


def test_shipped_editions_read_without_their_data():
    assert set(editions.available()) == {"world", "imagenette", "imagenet"}
    for name in editions.available():
        found = editions.read(name)
        assert found.name == name and {"resnet50", "vit_l_32", "explainer"} <= set(found.networks)
    with pytest.raises(ValueError, match="environment variable IMAGENET is not set"):
        sg.load("imagenet", device="cpu")


def test_world_edition_gives_scenes_and_their_truth():
    found = sg.load("world", device="cpu")
    assert found.classes == tuple(world.NOUNS) and found.size == 64 and found.outputs == tuple(range(24))
    batch = found.images("test", n=6)
    assert batch.pixels.shape == (6, 3, 64, 64) and 0 <= batch.pixels.min() and batch.pixels.max() <= 1
    assert torch.equal(batch.labels, batch.scenes.label.long()) and len(batch) == 6
    refs = found.references(["zebra", 17], n=3, seed=1)
    assert refs.shape == (2, 3, 3, 64, 64)
    assert torch.equal(refs[1], found.references([found.classes[17]], n=3, seed=1)[0])
    assert found.gives("masks") == "" and "diffusion" in found.gives("diffusion")
    with pytest.raises(ValueError, match="did you mean test"):
        found.images("tets", n=1)


def test_folder_images_carry_their_labels(mine):
    assert mine.classes == ("ant", "bee", "cow") and mine.device == "cpu" and mine.name == "mine"
    batch = mine.images("test")
    assert len(batch) == 6 and batch.scenes is None and batch.pixels.shape == (6, 3, 16, 16)
    brightest = batch.pixels.mean((2, 3)).argmax(1)  # ant is red, bee green, cow blue
    assert torch.equal(brightest, batch.labels) and len(batch.labels.unique()) == 3
    assert torch.equal(mine.images("test", n=2).pixels, batch.pixels[:2])


def test_references_are_a_seeded_draw_of_the_class(mine):
    refs = mine.references(["cow", "ant"], n=4, seed=3)
    assert refs.shape == (2, 4, 3, 16, 16)
    assert refs[0].mean((2, 3)).argmax(1).eq(2).all() and refs[1].mean((2, 3)).argmax(1).eq(0).all()
    assert len(refs[1][:, 0, 0, 0].unique()) == 4  # without replacement
    assert torch.equal(refs[1], mine.references(["ant"], n=4, seed=3)[0])
    assert not torch.equal(refs[1], mine.references(["ant"], n=4, seed=4)[0])


def test_undivided_tree_is_divided_by_class(tmp_path):
    tree(tmp_path / "pics", {"ant": 10, "bee": 5})
    found = sg.load(edition(tmp_path, "size: 8\nimages: {root: pics}\n"), device="cpu")
    train, test = (found.images(split) for split in ("train", "test"))
    assert train.labels.bincount().tolist() == [8, 4] and test.labels.bincount().tolist() == [2, 1]
    shades = {s: {tuple(p) for p in b.pixels[:, :, 0, 0].tolist()} for s, b in (("a", train), ("b", test))}
    assert len(shades["a"]) == 12 and len(shades["b"]) == 3 and not shades["a"] & shades["b"]


def test_resize_and_crop_are_torchvisions(tmp_path):
    from torchvision.transforms import CenterCrop, Compose, Resize

    noise = Image.fromarray(np.random.default_rng(0).integers(256, size=(37, 61, 3), dtype=np.uint8))
    (tmp_path / "d/ant").mkdir(parents=True)
    noise.save(tmp_path / "d/ant/a.png")
    text = "size: 16\nimages: {root: d, splits: {all: .}, resize: 20}\n"
    pixels = sg.load(edition(tmp_path, text), device="cpu").images("all").pixels[0]
    want = np.asarray(Compose([Resize(20), CenterCrop(16)])(noise))
    assert np.array_equal((pixels * 255).round().byte().permute(1, 2, 0).numpy(), want)


def test_npz_keeps_pixels_and_labels(tmp_path):
    images = np.random.default_rng(0).integers(256, size=(10, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(10) % 2
    np.savez(tmp_path / "test.npz", images=images, labels=labels, classes=["even", "odd"])
    np.savez(tmp_path / "train.npz", images=images.transpose(0, 3, 1, 2) / 255, labels=labels)
    (tmp_path / "x.npz").write_bytes(b"no zip")
    found = sg.load(edition(tmp_path, "size: 8\nimages: {source: npz, root: .}\n"), device="cpu")
    batch = found.images("test")
    order = [int(np.flatnonzero((images == p).all((1, 2, 3)))[0]) for p in bytes_of(batch.pixels)]
    assert sorted(order) == list(range(10)) and batch.labels.tolist() == [i % 2 for i in order]
    assert found.classes == ("class 0", "class 1") and found.references([1], n=5).shape == (1, 5, 3, 8, 8)
    one = editions.load(edition(tmp_path, "size: 8\nimages: {source: npz, root: test.npz}\n"), device="cpu")
    assert one.classes == ("even", "odd") and len(one.images("train")) == 8 and len(one.images("test")) == 2
    with pytest.raises(ValueError, match="can't be read as an .npz"):
        sg.load(edition(tmp_path, "images: {source: npz, root: x.npz}\n"), device="cpu")


def bytes_of(pixels) -> np.ndarray:
    """Turn float pixels back into bytes (n,h,w,3)."""
    return (pixels * 255).round().byte().permute(0, 2, 3, 1).numpy()


def test_wordnet_folders_get_names_and_outputs(tmp_path):
    tree(tmp_path / "d", {"n03394916": 2, "n01440764": 2})
    found = sg.load(edition(tmp_path, "size: 8\nimages: {root: d}\n"), device="cpu")
    assert found.classes == ("tench", "French horn") and found.outputs == (0, 566)
    assert found.references(["n03394916"], n=1).shape == (1, 1, 3, 8, 8)


@pytest.mark.parametrize("text, sentence", [
    ("imags: {root: d}", "did you mean images"),
    ("size: big\nimages: {root: d}", "size is 'big', expected a whole number"),
    ("size: 0\nimages: {root: d}", "whole number above 0"),
    ("title: x", "the block 'images' is missing"),
    ("images: [1", "is not valid YAML"),
    ("- a", "expected a block of keys"),
    ("images: {source: foldr, root: d}", "did you mean folder"),
    ("images: {source: folder}", "root is missing"),
    ("images: {root: d, resize: 10}", "resize is 10, expected at least the size, 224"),
    ("images: {root: d, classes: [ant, bee], outputs: [1]}", "outputs has 1 entries for 2 classes"),
    ("images: {root: d, download: cifar}", "download: unknown value 'cifar'"),
    ("images: {root: d}\ndevice: gpu", "unknown device 'gpu'"),
    ("images: {root: d}\nnetworks: {a: {architecture: resnet18}}", "an architecture needs weights"),
    ("images: {root: d}\nnetworks: {a: {builder: models.py}}", "expected file.py:function"),
    ("images: {root: d}\nnetworks: {a: {nam: x}}", "did you mean name"),
    ("images: {root: d}\nnetworks: {a: {name: x, builder: y}}", "exactly one of name, architecture"),
    ("images: {root: d}\nnetworks: {a: {name: x, mean: [1, 2]}}", r"mean is \[1, 2\], expected 3 numbers"),
    ("images: {root: d}\nnetworks: {a: {name: x, mean: [a, b, c]}}", "expected 3 numbers"),
    ("images: {root: d}\nnetworks: {a: {name: x, mean: [1, 2, 3]}}", "mean and std go together"),
    ("images: {root: d}\nnetworks: {a: {name: x, kind: clip}}", "unknown value 'clip'"),
])  # fmt: skip
def test_mistakes_in_the_file_have_their_sentence(tmp_path, text, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        editions.read(edition(tmp_path, text))
    assert "mine.yaml" in str(error.value) and "\n" not in str(error.value)


def test_unknown_names_and_devices_have_their_sentence(mine, tmp_path):
    with pytest.raises(ValueError, match="did you mean world.*own"):
        sg.load("wrold")
    with pytest.raises(FileNotFoundError, match="shipped editions are imagenet, imagenette, world"):
        sg.load(tmp_path / "none.yaml")
    with pytest.raises(ValueError, match="unknown class 'bees': did you mean bee"):
        mine.references(["bees"], n=1)
    with pytest.raises(ValueError, match="unknown class 3"):
        mine.references([3], n=1)
    with pytest.raises(ValueError, match="unknown split 'probe':.* train, val, test"):
        mine.images("probe")
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="device 'cuda' was asked for, but this machine has only"):
            sg.load("world", device="cuda")


def test_trouble_with_pictures_is_named_with_path_and_numbers(mine, tmp_path):
    with pytest.raises(ValueError, match=r"8 references of 'bee'.*data/train/bee has 7 images"):
        mine.references(["bee"], n=8)
    with pytest.raises(ValueError, match="100 images of split 'test' were asked for, .*val has 6"):
        mine.images("test", n=100)
    (tmp_path / "data/val/bee/000.png").write_bytes(b"\x89PNG but broken")
    with pytest.raises(ValueError, match=r"data/val/bee/000.png can't be read as an image"):
        mine.images("test")
    whole = (tmp_path / "data/val/ant/000.png").read_bytes()
    (tmp_path / "data/val/bee/000.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"data/val/bee/000.png can't be read as an image"):
        mine.images("test")
    for path in (tmp_path / "data/train/cow").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="data/train/cow has no images"):
        mine.images("train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty has no class folders"):
        sg.load(edition(tmp_path, "images: {root: empty}\n"))
    with pytest.raises(ValueError, match="lacks the class folders dog; it has ant, bee, cow"):
        sg.load(edition(tmp_path, "images: {root: data, classes: [ant, dog]}\n"))
    with pytest.raises(FileNotFoundError, match="root is .*nowhere, and nothing is there"):
        sg.load(edition(tmp_path, "images: {root: nowhere}\n"))


def test_a_request_that_would_fill_the_memory_is_refused(mine, monkeypatch):
    monkeypatch.setattr(editions.pictures, "MOST", 1000)
    with pytest.raises(ValueError, match="6 images at 16 px.*fewer with n"):
        mine.images("test")


def test_gives_answers_in_one_sentence(mine, tmp_path, monkeypatch):
    assert "mine edition has no masks" in mine.gives("masks") and "\n" not in mine.gives("masks")
    assert mine.gives("resnet50") == "the mine edition lists no network resnet50"
    with pytest.raises(ValueError, match="did you mean masks"):
        mine.gives("msks")
    text = "images: {root: data}\nfolders: {masks: '${SIGHTGLASS_TEST_MASKS}'}\n"
    text += "networks: {minisd: {name: a/b, kind: diffusion}}"
    found = sg.load(edition(tmp_path, text), device="cpu")
    assert "SIGHTGLASS_TEST_MASKS is not set" in found.gives("masks")
    monkeypatch.setenv("SIGHTGLASS_TEST_MASKS", str(tmp_path))
    assert found.gives("masks") == "" and found.folder("masks") == tmp_path
    assert found.gives("diffusion") == "" and found.explain()["masks"] == "yes"


def images_and(networks: str) -> str:
    """Write an edition text with one tree and some networks."""
    return f"size: 32\nimages: {{root: data}}\nnetworks:\n{networks}\n"


@pytest.fixture
def tiny():
    """A random timm network of 0.2 M parameters."""
    import timm

    torch.manual_seed(0)
    return timm.create_model("resnet10t", num_classes=3, **TINY).eval()


TINY = {"channels": [4, 8, 8, 16], "stem_width": 4}


def same(model, other) -> bool:
    """Compare two networks on one batch."""
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return (
            torch.equal(model(x), other(x))
            and not model.training
            and not any(p.requires_grad for p in model.parameters())
        )


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_checkpoint_with_its_architecture(mine, tiny, tmp_path, suffix):
    from safetensors.torch import save_file

    if suffix == "safetensors":
        save_file(tiny.state_dict(), tmp_path / "net.safetensors")
    else:
        torch.save({"state_dict": tiny.state_dict()}, tmp_path / "net.pth")
    entry = f"  a:\n    architecture: resnet10t\n    arguments: {json.dumps({**TINY, 'num_classes': 3})}"
    text = images_and(f"{entry}\n    weights: net.{suffix}\n    {SCALE}")
    found = sg.load(edition(tmp_path, text), device="cpu")
    model = found.model("a")
    assert same(model, tiny) and tuple(model.pretrained_cfg["mean"]) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="unknown network of the mine edition 'resnet50'"):
        found.model("resnet50")
    wrong = text.replace('"num_classes": 3', '"num_classes": 5')
    with pytest.raises(ValueError, match="fit"):
        sg.load(edition(tmp_path, wrong), device="cpu").model("a")


def test_weights_that_are_not_finite_or_not_there(mine, tiny, tmp_path):
    from safetensors.torch import save_file

    entry = f"  a:\n    architecture: resnet10t\n    arguments: {json.dumps({**TINY, 'num_classes': 3})}"
    text = images_and(f"{entry}\n    weights: net.safetensors\n    {SCALE}")
    found = sg.load(edition(tmp_path, text), device="cpu")
    with pytest.raises(FileNotFoundError, match="networks: a is .*net.safetensors, and nothing is there"):
        found.model("a")
    tiny.fc.bias.data[0] = float("nan")
    save_file(tiny.state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="NaN|not finite"):
        found.model("a")


def test_hub_shaped_folder(mine, tiny, tmp_path):
    from safetensors.torch import save_file

    (tmp_path / "hub").mkdir()
    save_file(tiny.state_dict(), tmp_path / "hub/model.safetensors")
    cfg = {"input_size": [3, 32, 32], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "num_classes": 3}
    facts = {"architecture": "resnet10t", "num_classes": 3, "model_args": TINY, "pretrained_cfg": cfg}
    (tmp_path / "hub/config.json").write_text(json.dumps(facts))
    model = sg.load(edition(tmp_path, images_and("  a: ./hub")), device="cpu").model("a")
    assert same(model, tiny) and tuple(model.pretrained_cfg["mean"]) == (0.1, 0.2, 0.3)


BUILDER = """
import torch
def load(path, width=4):
    conv = torch.nn.Conv2d(3, width, 3)
    model = torch.nn.Sequential(conv, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    model.load_state_dict(torch.load(path, weights_only=True))
    return model
def wrong(path):
    return 3
"""


def test_builder_beside_the_edition_file(mine, tmp_path):
    (tmp_path / "models.py").write_text(BUILDER)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    torch.save(net.state_dict(), tmp_path / "w.pt")
    entry = "  a: {builder: 'models.py:load', weights: w.pt, arguments: {width: 5}, "
    scale = "mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2]}"
    assert same(sg.load(edition(tmp_path, images_and(entry + scale)), device="cpu").model("a"), net)
    for text, sentence in [
        (entry.replace(":load", ":laod") + scale, "did you mean load"),
        (entry.replace(":load", ":wrong").replace(", arguments: {width: 5}", "") + scale, "returned int"),
        (entry.rstrip(", ") + "}", "add mean: "),
    ]:
        with pytest.raises((ValueError, KeyError), match=sentence):
            sg.load(edition(tmp_path, images_and(text)), device="cpu").model("a")


def test_open_clip_networks_speak_as_the_worlds_do():
    import open_clip

    from sightglass.editions.openclip import OpenClip

    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16, "head_width": 32}
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    network = open_clip.CLIP(embed_dim=24, vision_cfg=vision, text_cfg=text).eval()
    model = OpenClip(network, open_clip.SimpleTokenizer(context_length=16))
    images, phrases = model(torch.rand(2, 3, 32, 32)), model.phrases(["a zebra", "red car", "sea"])
    assert torch.allclose(images.norm(dim=1), torch.ones(2)) and phrases.shape == (3, 24)
    assert torch.allclose(model.compare(images, phrases), network.logit_scale.exp() * images @ phrases.T)


def test_torchvision_names(mine, tmp_path, monkeypatch):
    from torchvision import models

    def tiny(name, weights, **arguments):
        return torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1))

    monkeypatch.setattr(models, "get_model", tiny)
    found = sg.load(
        edition(tmp_path, images_and("  a: torchvision/vit_l_32\n  b: torchvision/vit_l32")), device="cpu"
    )
    assert found.model("a").pretrained_cfg["mean"] == (0.485, 0.456, 0.406)
    with pytest.raises(ValueError, match="did you mean vit_l_32"):
        found.model("b")


def test_doctor_lists_found_and_missing_and_downloads_nothing(mine, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "models.py").write_text(BUILDER)
    networks = (
        "  a: {builder: 'models.py:load'}\n  b: {architecture: resnet18, weights: none.pt}\n"
        "  c: resnet50.tv_in1k\n  d: resnet50.tv_in2k\n  e: torchvision/vit_l_32\n"
        "  f: {name: ViT-B-32-quickgelu, weights: openai, kind: image-text}\n"
        "  g: {name: torchvision/vit_l_32, weights: IMAGENET1K_V5}"
    )
    needs = {n.need.split(" (")[0]: n for n in editions.doctor(edition(tmp_path, images_and(networks)))}
    assert needs["package torch"].state == "found" and needs["images data"] == (
        "images data",
        "found",
        "3 classes",
    )
    assert needs["network a"].state == "found" and needs["network b"].state == "missing"
    assert "none.pt" in needs["network b"].how and "timm/resnet50.tv_in1k" in needs["network c"].how
    assert "did you mean resnet50.tv_in1k" in needs["network d"].how
    assert needs["network e"].state == "missing" and "torchvision" in needs["network e"].how
    assert "did you mean IMAGENET1K_V1" in needs["network g"].how
    assert {n.state for n in editions.doctor("imagenet")} == {"found", "missing"}
    inverters = {n.need: n for n in editions.doctor("imagenette") if n.need.startswith("inverter")}
    assert len(inverters) == 6 and inverters["inverter resnet50 pooled"].how.endswith("--model resnet50 --pooled")
    assert all(n.how for n in editions.doctor("imagenet") if n.state == "missing")
