"""Judging pictures drawn from features: agreement, anchors, settings, colours, whereabouts, what survives."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

pytest.importorskip("diffusers")

from tiny import Net, pictures

from sightglass.invert import alike, codec, colours, control, judge, prompts, sample, settings, survive, whereabouts
from sightglass.invert import base as bases
from sightglass.invert import pairs as twos
from sightglass.world import TASKS, draw


@pytest.fixture(scope="module")
def net() -> Net:
    return Net().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def inverter() -> control.Inverter:
    """Make a tiny inverter whose control isn't zero any more."""
    base = bases.build(codec.fit(pictures(12), channels=12), prompts.world_words(), size=16, widths=(8, 16))
    made = control.build(bases.freeze(base), (6, 2, 2), "late", hidden=8)
    made.control.eval().requires_grad_(False)
    for i, value in enumerate(made.control.parameters()):
        value.add_(0.05 * torch.randn(value.shape, generator=torch.Generator().manual_seed(i)))
    return made


@pytest.fixture(scope="module")
def own(inverter, net) -> judge.Judge:
    return judge.of(inverter, net, pictures(12))


# ------------------------------------------------------------------ judge


def test_originals_agree_with_themselves(own):
    found = judge.judged(own, pictures(12))
    alive = own.maps.norm(dim=1) > 0  # a position where nothing fires has no direction
    torch.testing.assert_close(found.cosine, alive.float().mean((1, 2)))
    assert found.match(1).all() and torch.equal(found.vectors, own.vectors)


def test_cosine_and_rank_are_as_defined(own, net):
    images, drawn = pictures(12), pictures(12, seed=1)
    found = judge.judged(own, drawn)
    first, second = (net.late(net.early((x - 0.5) / 0.25).relu()) for x in (images, drawn))
    by_hand = [[F.cosine_similarity(first[i, :, y, x], second[i, :, y, x], dim=0) for y in (0, 1) for x in (0, 1)]
               for i in range(12)]  # fmt: skip
    torch.testing.assert_close(found.cosine, torch.tensor(by_hand).mean(1))
    answer, answers = net((images - 0.5) / 0.25).argmax(1), net((drawn - 0.5) / 0.25)
    for k in (1, 2, 5):
        inside = (answers.topk(k).indices == answer[:, None]).any(1)
        assert torch.equal(found.match(k), inside)


def test_equal_outputs_dont_count_as_a_match():
    assert judge.ranks(torch.zeros(3, 4), torch.tensor([0, 1, 3])).tolist() == [0, 1, 3]


def test_floor_pairs_everyone_with_another(own):
    found = judge.floor(own, seed=3)
    assert sorted(found.vectors[:, 0].tolist()) == sorted(own.vectors[:, 0].tolist())
    assert not (found.vectors == own.vectors).all(1).any()
    assert found.cosine.mean() < judge.judged(own, pictures(12)).cosine.mean()


def test_anchors_are_zero_and_one(own, inverter):
    low, high = judge.floor(own), judge.ceiling(own, inverter.base, pictures(12))
    assert judge.between(low, low, high) == 0 and judge.between(high, low, high) == 1
    with pytest.raises(ValueError, match="isn't higher"):
        judge.between(low, high, low)


def test_matrix_has_each_networks_own_verdict_on_its_diagonal(own):
    other = judge.appoint(Net(1).eval(), pictures(12), "late")
    sets = {"a": pictures(12, seed=1), "b": pictures(12, seed=2)}
    found = judge.matrix({"a": own, "b": other}, sets)
    assert torch.equal(found["b", "a"].cosine, judge.judged(own, sets["b"]).cosine)
    assert judge.summary(found["a", "a"]) == judge.summary(judge.judged(own, sets["a"]))


def test_summary_gives_means_and_their_errors():
    found = judge.Judged(torch.tensor([0.2, 0.4, 0.6, 0.8]), torch.tensor([0, 0, 1, 7]), torch.zeros(4, 2))
    told = judge.summary(found, (5, 1))
    assert told["top-5"] == (0.75, pytest.approx(math.sqrt(0.75 * 0.25 / 4)))
    assert told["top-1"][0] == 0.5 and told["cosine"] == pytest.approx((0.5, 0.2581989 / 2))


def test_distance_takes_more_images_than_features():
    real = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    assert judge.distance(real, real) == pytest.approx(0, abs=1e-9)
    assert judge.distance(real + 2, real) == pytest.approx(6 * 4, rel=1e-4)
    with pytest.raises(ValueError, match="more than 6 images, found 6"):
        judge.distance(real[:6], real)


def test_spread_is_zero_for_equal_pictures(own):
    cosines, pixels = judge.spread(own, [pictures(12, seed=1)] * 3)
    assert torch.equal(cosines[0], cosines[2]) and pixels.abs().max() < 1e-6
    assert judge.spread(own, [pictures(12, seed=1), pictures(12, seed=2)])[1].mean() > 0.1


def test_judge_brings_pictures_to_its_own_size(net):
    large = pictures(4, 32)
    assert judge.appoint(net, large, "late", size=16).maps.shape == (4, 6, 2, 2)


def test_judge_refuses_other_pictures_and_other_networks(own, inverter):
    with pytest.raises(ValueError, match="saw 12 originals, found 5"):
        judge.judged(own, pictures(5))
    known = control.Inverter(inverter.base, inverter.control, "late", (6, 2, 2), {"network": "?", "model": "mine"})
    with pytest.raises(ValueError, match="trained for 'mine'"):
        judge.of(known, Net(1), pictures(12))


# ------------------------------------------------------------------ settings


def verdict(cosine: float, ranks: list[int]) -> judge.Judged:
    return judge.Judged(torch.full((len(ranks),), cosine), torch.tensor(ranks), torch.zeros(len(ranks), 1))


SWEEPS = {
    "a": {(1.0, 1.0): verdict(0.3, [0, 0, 9, 9]), (1.0, 2.0): verdict(0.2, [0, 0, 0, 9]),
          (2.0, 1.0): verdict(0.1, [0, 9, 9, 9])},
    "b": {(1.0, 1.0): verdict(0.5, [0, 0, 0, 0]), (1.0, 2.0): verdict(0.4, [9, 9, 9, 0]),
          (2.0, 1.0): verdict(0.1, [9, 9, 9, 9])},
}  # fmt: skip


def test_best_setting_keeps_most_answers_and_common_one_loses_least():
    assert settings.best(SWEEPS["a"]) == (1.0, 2.0) and settings.best(SWEEPS["b"]) == (1.0, 1.0)
    assert settings.common(SWEEPS) == ((1.0, 1.0), {"a": 0.25, "b": 0.0})
    assert settings.agreement(SWEEPS["b"]) == pytest.approx(1)
    assert settings.agreement(SWEEPS["a"]) == pytest.approx(0.5)  # 1 - 6 (1 + 1) / (3 8)


def test_sweep_draws_each_setting_as_if_alone(inverter, own):
    found = settings.sweep(inverter, own, strengths=(0.5, 1.0), guidances=(1.0, 2.0), steps=2)
    alone = sample.reconstruct(inverter, own.maps, steps=2, strength=0.5, guidance=2.0)
    assert list(found) == [(0.5, 1.0), (0.5, 2.0), (1.0, 1.0), (1.0, 2.0)]
    assert torch.equal(found[0.5, 2.0].cosine, judge.judged(own, alone).cosine)
    assert not torch.equal(found[0.5, 2.0].cosine, found[1.0, 2.0].cosine)


# ------------------------------------------------------------------ colours


def test_probe_finds_what_features_hold_and_nothing_else():
    images = torch.rand(80, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    patches = F.adaptive_avg_pool2d(images, 2)
    grey = patches.mean(1, keepdim=True)
    noise = torch.randn(80, 4, 2, 2, generator=torch.Generator().manual_seed(1))
    both, light, none = (colours.probe(x, images) for x in (torch.cat([patches, noise], 1), grey, noise))
    assert min(both.luminance, both.chroma) > 0.99
    assert light.luminance > 0.99 and light.chroma < 0.1 and none.luminance < 0.1
    assert len(both.rows) == 20


def test_an_ideal_drawing_keeps_as_much_colour_as_the_probe_explains():
    draws = torch.Generator().manual_seed(0)
    known, rest, again = (torch.randn(4000, 3, 1, 1, generator=draws) for _ in range(3))
    truth, drawn = known + rest, known + again  # drawn from the posterior: half of the variance is known
    assert colours.kept(truth, drawn, (1, 1)) == pytest.approx((0.5, 0.5), abs=0.05)
    assert colours.probe(known, truth).chroma == pytest.approx(0.5, abs=0.05)


# ------------------------------------------------------------------ whereabouts


def test_centre_of_a_block_is_its_middle():
    maps = torch.zeros(2, 8, 8)
    maps[0, 2:4, 4:8] = 3.0
    assert whereabouts.centre(maps).tolist() == [[0.5, -0.25], [0.0, 0.0]]


def test_object_is_found_where_it_moved():
    net = nn.Sequential(nn.Conv2d(3, 2, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(128, 2, bias=False)).eval()
    net.pretrained_cfg = dict(mean=(0.0,) * 3, std=(1.0,) * 3)
    for value in net.parameters():
        nn.init.constant_(value.requires_grad_(False), 0.0 if value.ndim == 1 else 0.1)
    images = torch.zeros(2, 3, 32, 32)
    images[:, :, 8:12, 4:8] = 1.0
    far = whereabouts.moved(net, images, images.roll(8, 3), torch.zeros(2, dtype=torch.long), tap="0")
    torch.testing.assert_close(far, torch.full((2,), 0.5))  # 8 of 32 pixels


# ------------------------------------------------------------------ what survives


@pytest.fixture(scope="module")
def given() -> twos.Pairs:
    return twos.pairs(8)


def test_pairs_differ_in_one_thing_only(given):
    first, second = given.scenes[given.first], given.scenes[given.second]
    assert set(given.names) == set(twos.ATTRIBUTES)
    assert torch.equal(given.seeds[given.first], given.seeds[given.second])
    assert torch.equal(first.index, second.index)
    keep = {"noun": "label", "colour": "kind", "place": "background", "count": "count"}
    for name, field in keep.items():
        rows = given.of(name)
        assert (getattr(first, field)[rows] != getattr(second, field)[rows]).all(), name
        others = torch.tensor(
            [each not in (name, *({"noun", "colour"} if field == "kind" else ())) for each in given.names]
        )
        assert torch.equal(getattr(first, field)[others], getattr(second, field)[others]), name
    rows = given.of("position")
    shift = whereabouts.centre((first.instance == 1).float()) - whereabouts.centre((second.instance == 1).float())
    assert (shift[rows, 0].abs() > 0.1).all() and (shift[rows, 1].abs() < 0.1).all()
    area = (first.instance == 1).sum((1, 2)) / (second.instance == 1).sum((1, 2))
    assert (area[given.of("size")].log().abs() > 0.15).all()
    gone = [((first.part[i] > 0) & (second.part[i] != first.part[i])).any() for i in given.of("part").tolist()]
    assert all(gone) and (first.texture[given.of("texture")] != second.texture[given.of("texture")]).any()


def test_originals_survive_and_blind_pictures_are_at_chance(given):
    images = given.scenes.pixels()
    for by in alike.VIEWS:
        whole, blind = (
            survive.survived(given, images, by=by),
            survive.survived(given, images[:1].expand_as(images), by=by),
        )
        for name in twos.ATTRIBUTES:
            torch.testing.assert_close(whole[name].gain, torch.ones(len(whole[name])), atol=1e-3, rtol=0)
            assert whole[name].nearer.min() == 1 and whole[name].told.min() == 1
            assert blind[name].told.mean() == 0.5 and blind[name].nearer.mean() == 0.5  # exactly


def test_habits_and_exchanged_pictures_get_no_credit(given):
    images = given.scenes.pixels()
    habit = images.clone()
    habit[given.second] = images[given.first]  # always draws the first of the two
    swapped = images.clone()
    rows = given.of("colour")
    swapped[given.second[rows]] = images[given.first[rows]]
    swapped[given.first[rows]] = images[given.second[rows]]
    found = survive.survived(given, habit)["place"]
    assert found.told.mean() == 0.5 and found.nearer.tolist() == [[1.0, 0.0]] * len(found)
    one = twos.pairs(8, attributes=["colour"])
    both = one.scenes.pixels()
    crossed = both.clone()
    crossed[one.first], crossed[one.second] = both[one.second], both[one.first]
    assert survive.survived(one, crossed)["colour"].told.max() == 0


def test_squared_distances_say_the_same_as_the_line(given):
    drawn = (given.scenes.pixels() + 0.2 * torch.randn(given.scenes.image.shape)).clamp(0, 1)
    found = survive.survived(given, drawn, by="pixels")["part"]
    for row, k in enumerate(given.of("part").tolist()):
        a, b = given.scenes.pixels()[given.first[k]], given.scenes.pixels()[given.second[k]]
        near = [(drawn[given.first[k]] - end).square().sum() for end in (a, b)]
        assert found.nearer[row, 0] == float(near[0] < near[1])


def test_looks_dont_mind_where_stripes_fall_and_pixels_do():
    x = torch.arange(64) * (2 * math.pi / 8)
    waves = [torch.sin(x + phase).expand(3, 64, 64) for phase in (0.0, math.pi)]
    images = torch.stack([*waves, waves[0].mT.contiguous()]) / 2 + 0.5
    vectors, _ = alike.view("looks", images)
    shifted, turned = ((vectors[0] - vectors[k]).square().sum() for k in (1, 2))
    assert shifted < 0.1 * turned
    with pytest.raises(ValueError, match="look the same"):
        alike.view("looks", images[:1].expand(3, -1, -1, -1))
    vectors, _ = alike.view("pixels", images)
    assert (vectors[0] - vectors[1]).square().sum() > (vectors[0] - vectors[2]).square().sum()


def test_what_is_redrawn_by_chance_is_still_told(given):
    """The same things drawn with other chance, as an ideal reconstruction from a coarse layer would be."""
    from dataclasses import replace

    from sightglass.world import Plan
    from sightglass.world.dice import Dice

    start = twos.base_plan(12, 0, False)
    other, there = twos.place(start, draw(start), Dice(start.keys))
    plans = Plan.cat([start, other])
    n = torch.arange(12)
    both = twos.Pairs(draw(plans), n, n + 12, ("place",) * 12, torch.cat([n, n]))
    anew = draw(replace(plans, keys=Dice(plans.keys).child("anew").keys)).pixels()
    assert there.all() and survive.survived(both, anew)["place"].told.mean() > 0.9


def test_features_respond_to_what_they_see(given):
    class Colour(nn.Module):
        pretrained_cfg = dict(mean=(0.0,) * 3, std=(1.0,) * 3)

        def __init__(self):
            super().__init__()
            self.one, self.all = nn.Conv2d(3, 1, 1), nn.AvgPool2d(64)
            nn.init.constant_(self.one.weight, 1.0)

        def forward(self, x):
            return self.all(self.one(x))

    found = survive.responds(Colour().requires_grad_(False), given, ["one", "all"])
    assert found["all"]["light"] > 3 * found["all"]["position"]  # the mean doesn't know where
    assert found["one"]["position"] > 3 * found["all"]["position"]


def test_redrawn_pictures_share_noise_and_classifiers_answer(net):
    given = twos.pairs(4, attributes=["place"])
    base = bases.build(codec.fit(given.scenes.pixels(), channels=8), prompts.world_words(), size=64, widths=(8, 16))
    made = control.build(bases.freeze(base), (6, 8, 8), "late", hidden=8)
    drawn = survive.redrawn(made, net, given, steps=1)  # a control of zeros: features change nothing
    assert torch.equal(drawn[given.first], drawn[given.second])
    assert survive.survived(given, drawn)["place"].told.mean() == 0.5
    places = nn.Sequential(nn.AvgPool2d(64), nn.Flatten(), nn.Linear(3, len(TASKS["places"]))).eval()
    places.pretrained_cfg = net.pretrained_cfg
    told = survive.knows({"places": places}, given.scenes, {"drawn": drawn})["places"]
    answers = places((given.scenes.pixels() - 0.5) / 0.25).argmax(1)
    assert told["originals"] == pytest.approx((answers == given.scenes.background).float().mean().item())
    assert set(told) == {"originals", "drawn"}


def test_unknown_names_are_answered_with_valid_ones(given):
    with pytest.raises(KeyError, match="colour"):
        twos.pairs(2, attributes=["color"])
    with pytest.raises(ValueError, match="looks"):
        survive.survived(given, given.scenes.pixels(), by="look")
    with pytest.raises(ValueError, match="scenes, found 1 pictures"):
        survive.survived(given, given.scenes.pixels()[:1])
