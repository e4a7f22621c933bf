"""MILAN: exemplars against a literal definition, true captions, the search against all sentences, planted units."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sightglass import world, zoo
from sightglass.explain import milan, milan_data, milan_net, milan_regions, milan_train, milan_words
from sightglass.zoo.imagetext import tokenise
from sightglass.zoo.taps import record


def generator(seed):
    return torch.Generator().manual_seed(seed)


class Copy(nn.Module):
    """A network whose `maps` are given: the first pixel of an image tells its number."""

    def __init__(self, maps):
        super().__init__()
        self.given, self.maps = nn.Parameter(maps, requires_grad=False), nn.Identity()
        self.pool, self.fc = nn.Flatten(), nn.Linear(maps.shape[1], 2)
        self.pretrained_cfg = {"mean": (0.0,) * 3, "std": (1.0,) * 3}

    def forward(self, x):
        maps = self.maps(self.given[(x[:, 0, 0, 0] * 1000).round().long()])
        return self.fc(self.pool(maps.flatten(2).mean(2)))


def numbered(images):
    images = images.clone()
    images[:, 0, 0, 0] = torch.arange(len(images)) / 1000
    return images


@pytest.fixture(scope="module")
def scenes():
    """Scenes of the world that the captioner has never met."""
    return world.draw(world.plan(range(480), 77, hard=0.0), 64)


@pytest.fixture(scope="module")
def smooth():
    """Maps of 4 units on 40 images, with the images; the last unit never fires."""
    maps = F.interpolate(torch.rand(40, 4, 3, 3, generator=generator(0)), size=8, mode="bilinear")
    maps[:, 3] = 0.5
    return maps, numbered(torch.rand(40, 3, 16, 16, generator=generator(1)))


@pytest.mark.parametrize("batch", [7, 40])
def test_exemplars_are_the_highest_images_under_the_mask_of_high_activations(smooth, batch):
    maps, images = smooth
    found = milan_regions.survey(Copy(maps), images, ["maps"], top=5, batch=batch)["maps"]
    assert found.fires.tolist() == [True, True, True, False]
    for k in range(3):
        order = maps[:, k].amax((1, 2)).topk(5).indices
        limit = maps[:, k].flatten().sort(descending=True).values[int(0.01 * 40 * 64)]
        assert found.image[k].tolist() == order.tolist() and found.threshold[k] == limit
        assert torch.equal(found.maps[k], maps[order, k])
        large = F.interpolate(maps[order, k][:, None], size=16, mode="bilinear", align_corners=False)[:, 0]
        lit = found.regions(torch.arange(5) + 5 * k, (16, 16))
        for one, own in zip(lit, large, strict=True):
            assert one.any() and torch.equal(one, (own > limit) | (own == own.max()))
    some = milan_regions.survey(Copy(maps), images, ["maps"], units=[2, 0], top=5)["maps"]
    assert torch.equal(some.image, found.image[[2, 0]]) and torch.equal(some.threshold, found.threshold[[2, 0]])


def test_thresholds_of_sampled_positions_are_near(smooth, monkeypatch):
    maps, images = smooth
    whole = milan_regions.survey(Copy(maps), images, ["maps"], quantile=0.1)["maps"]
    monkeypatch.setattr(milan_regions, "SAMPLE", 40 * 4 * 32)
    half = milan_regions.survey(Copy(maps), images, ["maps"], quantile=0.1)["maps"]
    torch.testing.assert_close(half.threshold, whole.threshold, atol=0.03, rtol=0)
    assert not torch.equal(half.threshold, whole.threshold) and torch.equal(half.image, whole.image)


def test_a_class_token_is_no_place():
    tokens = torch.rand(2, 3, 17)
    assert torch.equal(milan_regions.square(tokens, "blocks.0").flatten(2), tokens[:, :, 1:])
    assert milan_regions.square(tokens[:, :, :16], "blocks.0").shape == (2, 3, 4, 4)


def test_features_are_averages_over_regions(scenes):
    network, images = milan.encoder(), scenes.pixels()[:6]
    maps = torch.rand(2, 3, 8, 8, generator=generator(0))
    image = torch.tensor([[4, 0, 1], [0, 5, 2]])
    exemplars = milan_regions.Exemplars(image, maps, torch.tensor([0.7, 0.8]), torch.ones(2, dtype=torch.bool))
    (found,) = milan_regions.region_features(network, images, [exemplars])
    with torch.no_grad(), record(network, ["block1", "block5"]) as kept:
        network(zoo.normalise(network, images[[5]]))
    lit = exemplars.regions(torch.tensor([4]), (64, 64)).float()
    for tap, part in (("block1", found[1, 1, :24]), ("block5", found[1, 1, -192:])):
        share = F.avg_pool2d(lit, 64 // math.isqrt(kept[tap].shape[2])).flatten()
        torch.testing.assert_close(part, kept[tap][0] @ (share / share.sum()), rtol=1e-4, atol=1e-5)


def whole_regions(scenes, category, word, top=15):
    """Let exemplars be the images that show most of a word, and their regions exactly its pixels."""
    labels = {c.name: c for c in milan_words.region_categories(scenes)}[category]
    masks = (labels.labels == 1 + labels.words.index(word)).float()
    image = masks.sum((1, 2)).topk(top).indices
    threshold, fires = torch.tensor([0.5]), torch.ones(1, dtype=torch.bool)
    return milan_regions.Exemplars(image[None], masks[image][None], threshold, fires)


@pytest.mark.parametrize(("category", "word", "field"), [
    ("noun", "zebra", "thing"), ("family", "vehicle", "thing"), ("part", "wheel", "part"),
    ("texture", "spotted", "texture"), ("colour", "red", "colour"), ("place", "on snow", "place"),
])  # fmt: skip
def test_true_captions_say_what_the_regions_show(scenes, category, word, field):
    exemplars = whole_regions(scenes, category, word)
    (account,) = milan_data.told(exemplars, scenes, milan_words.region_categories(scenes))
    found = getattr(account, field)
    assert found == word or (category == "family" and found in world.NOUNS and word in world.parents(found))
    assert account.ground == (category == "place")
    said = milan_words.captions(account, generator(0), 40)
    assert any(word in caption or found in caption for caption in said) and all(said)
    assert all(set(caption.split()) <= set(account.all().split()) | {"thing"} for caption in said)
    tokenise(said, zoo.card("simulator")["arguments"]["words"])


def test_people_always_say_something():
    nothing = milan_words.Account("", "", "", "", "", False)
    assert set(milan_words.captions(nothing, generator(0), 20)) == {"thing"}
    red = replace(nothing, colour="red")
    assert set(milan_words.captions(red, generator(0), 20)) == {"red thing"}
    two = replace(nothing, thing="car and bus", part="wheel")
    assert milan_words.phrase(two, [True] * 5) == "wheel"
    assert milan_words.phrase(two, [False] * 5) == "car and bus"


def small_captioner(words=("a", "b", "c"), features=4):
    torch.manual_seed(0)
    model = milan_net.Captioner(features, words, width=8, hidden=8).eval().requires_grad_(False)
    for part in model.parameters():
        part.mul_(4)  # so that sentences differ in likelihood
    return model


@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
def test_the_search_finds_the_best_of_all_sentences(monkeypatch, weight):
    monkeypatch.setattr(milan_net, "LONGEST", 3)
    model, features = small_captioner(), torch.randn(5, 6, 4, generator=generator(0))
    every = [words for n in (1, 2, 3) for words in itertools.product((1, 2, 3), repeat=n)]
    tokens = torch.tensor([[*words, *[0] * (4 - len(words))] for words in every])
    best = []
    for one in features:
        before = milan_net.given(tokens, model.start)
        own = milan_net.likelihood(model(one.expand(len(tokens), -1, -1), before)[0], tokens)
        usual = milan_net.likelihood(model.language(before), tokens)
        best.append(" ".join("abc"[i - 1] for i in every[int((own - weight * usual).argmax())]))
    assert milan_net.write(model, features, beam=60, weight=weight) == best


def test_a_captioner_learns_what_its_examples_say():
    account = milan_words.Account("", "", "zebra", "", "", False)
    facts = [account, replace(account, thing="car")] * 20
    features = torch.randn(40, 15, 6, generator=generator(0))
    features[::2, :, 0] += 4
    recipe = {**milan_train.RECIPE, "steps": 60, "batch": 16, "rate": 1e-2, "people": 2, "width": 16, "hidden": 16}
    torch.manual_seed(0)
    model = milan_train.fit(milan_data.Examples(features, facts), recipe)
    assert milan_net.write(model, features[:2], beam=4) == ["zebra", "car"]
    assert milan_train.scores(model, milan_data.Examples(features, facts)) == {"true": 1.0, "told": 1.0}


def test_the_shipped_captioner_is_small_and_uses_the_simulators_words_only():
    card = milan.card()
    assert card["bytes"] < 1_000_000 and card["minutes"] <= 8
    assert set(card["words"]) <= set(zoo.card("simulator")["arguments"]["words"])
    explained = {"resnet50", "resnet18", "vgg16", "vit_b_16", "vit_l_32"}
    assert not explained & {card["encoder"], *card["recipe"]["networks"]}


@pytest.mark.parametrize(("category", "word"), [
    ("noun", "zebra"), ("part", "wheel"), ("texture", "striped"), ("colour", "red"), ("place", "on snow"),
])  # fmt: skip
def test_a_unit_that_copies_a_mask_is_named_after_it(scenes, category, word):
    labels = {c.name: c for c in milan_words.region_categories(scenes)}[category]
    masks = (labels.labels == 1 + labels.words.index(word)).float()
    maps = torch.stack([F.avg_pool2d(masks, 4), torch.zeros(len(masks), 16, 16)], 1)
    maps[:, 0] += 0.05 * torch.randn(maps[:, 0].shape, generator=generator(0))
    said = milan.describe(Copy(maps), numbered(scenes.pixels()), "maps")
    assert word in said[0] and said[1] == ""


def test_bad_input_is_refused_in_one_sentence(smooth):
    maps, images = smooth
    network = Copy(maps)
    with pytest.raises(ValueError, match="pool has 1 position, not a square map, .* name a tap before the pooling"):
        milan.describe(network, images, "pool")
    with pytest.raises(IndexError, match="unit 4 doesn't exist: maps has units 0 to 3"):
        milan.describe(network, images, "maps", units=[1, 4])
    with pytest.raises(ValueError, match="the 15 highest images of each unit are asked for; there are 10"):
        milan.describe(network, images[:10], "maps")
    with pytest.raises(ValueError, match="quantile is a share between 0 and 1, got 2"):
        milan.describe(network, images, "maps", quantile=2)
    with pytest.raises(ValueError, match="beam is 1 or more and weight is not negative, got 0 and 0.2"):
        milan_net.write(small_captioner(), torch.zeros(1, 2, 4), beam=0)
    network.given[3, 1, 0, 0] = math.nan
    with pytest.raises(ValueError, match="the activations of maps has a value that is no number"):
        milan.describe(network, images, "maps")


def test_weights_that_are_not_the_cards_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(milan.weights, "FOLDER", tmp_path)
    milan.captioner.cache_clear()
    with pytest.raises(FileNotFoundError, match="captioner are missing: .* run `make zoo`"):
        milan.captioner()
    (tmp_path / "milan.json").write_text('{"sha256": "0"}')
    (tmp_path / "milan.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="sha256 differs"):
        milan.captioner()
