"""The world: same pixels whatever the batch, masks that agree with the drawing, edits that change one thing."""

import os
import subprocess
import sys
from dataclasses import fields, replace

import pytest
import torch

from sightglass import world
from sightglass.world import splits
from sightglass.world.dice import Dice
from sightglass.world.planning import HARD
from sightglass.world.vocabulary import KIND_NOUN, TABLE, article, membership


@pytest.fixture(scope="module")
def scenes():
    return world.draw(world.plan(range(240), 11))


def test_dice_are_even_named_and_independent_of_the_batch():
    index = torch.arange(20_000)
    dice = Dice.of(0, index)
    u = dice.uniform("u", shape=(1,)).squeeze(1)
    assert abs(u.mean() - 0.5) < 0.01 and abs(u.var() - 1 / 12) < 0.003
    z = dice.normal("z", shape=(1,)).squeeze(1)
    assert abs(z.mean()) < 0.03 and abs(z.std() - 1) < 0.03
    other = dice.uniform("v", shape=(1,)).squeeze(1)
    assert abs(torch.corrcoef(torch.stack([u, other, u.roll(1)])) - torch.eye(3)).max() < 0.03
    assert torch.equal(Dice.of(0, index[700:703]).uniform("u", shape=(1,)).squeeze(1), u[700:703])
    assert not torch.equal(Dice.of(1, index).uniform("u", shape=(1,)).squeeze(1), u)


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_pixels_and_truth_are_the_same_for_any_batch_size(scenes, batch):
    plan = world.plan(range(120), 11)
    parts = world.Scenes.cat([world.draw(plan[rows]) for rows in torch.arange(120).split(batch)])
    for field in fields(parts):
        assert torch.equal(getattr(parts, field.name), getattr(scenes, field.name)[:120]), field.name


def test_another_seed_or_index_is_another_image():
    first, again, other = (world.draw(world.plan(torch.tensor([i]), s)).image for i, s in ((0, 1), (24, 1), (0, 2)))
    assert not torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("size", [32, 96])
def test_a_drawing_means_the_same_at_another_size(scenes, size):
    drawn = world.draw(world.plan(range(48), 11), size)
    assert drawn.image.shape[-2:] == (size, size) and torch.equal(drawn.kind, scenes.kind[:48])
    share = lambda s: (s.instance == 1).float().mean((1, 2))  # noqa: E731
    assert (share(drawn) - share(scenes[:48])).abs().max() < 0.05


def test_masks_agree_with_the_drawing():
    """What changes when the object goes is what the mask says, but for antialiased rims and glass."""
    plan = world.plan(range(240), 3, clean=True)
    with_object = world.draw(plan)
    far_away = replace(plan, pose=plan.pose + torch.tensor([99.0, 0, 0]))
    empty = world.draw(far_away)
    assert int((empty.instance > 0).sum()) == 0
    changed = (with_object.image != empty.image).any(1)
    assert changed[with_object.instance == 1].float().mean() > 0.99
    glass = torch.tensor([world.NOUNS[k] in ("candle", "lighthouse") for k in plan.label])
    outside = changed & (with_object.instance == 0)
    assert outside[~glass].float().mean() < 0.06  # rims


def test_part_masks_lie_in_the_objects_and_are_what_vanishes():
    plan = world.plan(torch.tensor([world.NOUNS.index("car")]) + 24 * torch.arange(6), 4, clean=True)
    whole, without = world.draw(plan), world.draw(world.edit(plan, without="wheel"))
    wheel = whole.part == 1 + world.PARTS.index("wheel")
    assert wheel.flatten(1).sum(1).min() > 20 and (whole.instance[wheel] == 1).all()
    assert not (without.part == 1 + world.PARTS.index("wheel")).any()
    near = torch.nn.functional.max_pool2d(wheel[:, None].float(), 5, 1, 2)[:, 0] > 0
    assert not ((whole.image != without.image).any(1) & ~near).any()


def test_an_edit_changes_one_thing(scenes):
    plan = world.plan(range(48), 11)
    snow = world.draw(world.edit(plan, background="snow"))
    for name in ("instance", "part", "texture", "label", "kind", "second"):
        assert torch.equal(getattr(snow, name), getattr(scenes, name)[:48]), name
    clean = world.plan(range(48), 11, clean=True)
    a, b = world.draw(clean), world.draw(world.edit(clean, background="night"))
    inside = a.instance == 1
    inner = -torch.nn.functional.max_pool2d(-inside[:, None].float(), 3, 1, 1)[:, 0] > 0
    same = (a.image == b.image).all(1)[inner]
    assert same.float().mean() > 0.98  # hairlines between two shapes let the background through


def test_texture_and_colour_edits_reach_the_truth():
    zebra = world.plan(24 * torch.arange(12), 2, clean=True)
    concept = lambda plan, name: world.draw(plan).concept[:, world.CONCEPTS.index(name)].float().mean()  # noqa: E731
    assert concept(zebra, "striped") == 1 and concept(world.edit(zebra, texture="plain"), "striped") == 0
    assert concept(world.edit(zebra, texture="spots"), "spotted") == 1
    car = world.plan(world.NOUNS.index("car") + 24 * torch.arange(12), 2, clean=True)
    for colour in ("red", "blue", "green"):
        assert concept(world.edit(car, kind=f"{colour} car"), colour) == 1
    assert concept(world.edit(car, colour="purple"), "purple") == 1


def test_every_noun_shows_its_kinds_colour_and_some_parts():
    plan = world.plan(range(24 * 8), 5, clean=True, home=1.0)
    drawn = world.draw(plan)
    parts = drawn.concept[:, torch.tensor([c in world.PARTS for c in world.CONCEPTS])]
    assert parts.sum(1).min() >= 2
    assert drawn.concept[torch.arange(len(plan)), plan.label].all()
    assert set(drawn.part.unique().tolist()) >= set(range(1, len(world.PARTS) + 1)), "a part that no noun paints"


def test_shares_of_scenes():
    plan = world.plan(range(24_000), 0)
    home = torch.tensor([world.BACKGROUNDS.index(TABLE[n].home) for n in world.NOUNS])
    assert abs((plan.background == home[plan.label]).float().mean() - 0.82) < 0.01
    assert abs((plan.hard >= 0).float().mean() - 0.3) < 0.01
    assert (plan.second != plan.label).all() and (
        plan.second[(plan.hard == HARD.index("close")) | (plan.hard == HARD.index("far"))] < 0
    ).all()
    assert torch.equal(torch.tensor(KIND_NOUN)[plan.kind], plan.label)
    assert torch.bincount(plan.kind, minlength=len(world.KINDS)).min() > 50


def test_taxonomy_is_closed_and_has_no_circle():
    for name in (*world.NOUNS, *world.KINDS, *world.FAMILIES):
        above = world.parents(name)
        assert name not in above
        assert all(world.parents(p) <= above for p in above)
    assert world.parents("zebra") == {"mammal", "animal", "living thing"}
    assert world.parents("red car") >= {"car", "vehicle", "made thing"}
    assert membership().any(0).all() and len(set(world.CONCEPTS)) == len(world.CONCEPTS)


def test_captions_are_true(scenes):
    for caption, label, second in zip(world.captions(scenes), scenes.label, scenes.second, strict=True):
        assert world.NOUNS[label] in caption
        assert (second >= 0) == (" and " in caption)
        assert caption.startswith(article(caption.split(" ", 1)[1]))
    assert world.captions(scenes, 1) != world.captions(scenes, 2)


@pytest.mark.parametrize("name", list(splits.SPLITS))
def test_splits_are_what_they_say(name):
    plan = world.split_plan(name, range(240))
    styles = {list(splits.STYLES)[k] for k in plan.style.tolist()}
    assert styles == set(splits.SPLITS[name].styles)
    if name == "pairs":
        assert (plan.second >= 0).all()
    if name == "elsewhere":
        assert not any(
            world.BACKGROUNDS[b] == TABLE[world.NOUNS[k]].home for b, k in zip(plan.background, plan.label, strict=True)
        )
    assert sorted(r for s in world.PROBE_PARTS.values() for r in range(10_000)[s]) == list(range(10_000))


def test_cache_is_used_and_survives_a_kill_between_write_and_rename(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTGLASS_CACHE", str(tmp_path))
    code = "import os, signal; os.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
    code += "from sightglass import world; world.split('val', 24)"
    killed = subprocess.run([sys.executable, "-c", code], env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert killed.returncode == -9 and not list(tmp_path.rglob("*.safetensors")) and list(tmp_path.rglob("*.part"))
    first = world.split("val", 24)
    (path,) = tmp_path.rglob("*.safetensors")
    monkeypatch.setattr(splits, "draw_blocks", None)  # a second call that draws fails
    again = world.split("val", 24)
    assert path.exists() and torch.equal(first.image, again.image) and torch.equal(first.concept, again.concept)


def test_a_cache_that_cannot_be_written_is_said_and_the_images_come_anyway(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIGHTGLASS_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="can't keep drawn images"):
        assert len(world.split("val", 24)) == 24


def test_references_show_one_plain_object(monkeypatch):
    images = world.references(["zebra", "bus"], 3)
    assert images.shape == (2, 3, 3, 64, 64) and images.min() >= 0 and images.max() <= 1
    with pytest.raises(KeyError, match="no noun 'unicorn'.*zebra"):
        world.references(["unicorn"])


@pytest.mark.parametrize(("call", "message"), [
    (lambda: world.split("holiday"), "no split 'holiday'.*pairs"),
    (lambda: world.edit(world.plan(range(2)), background="moon"), "no background 'moon'.*snow"),
    (lambda: world.edit(world.plan(range(2)), without="nose ring"), "no part 'nose ring'.*wheel"),
    (lambda: world.draw(world.plan(range(1))).target("people"), "no task 'people'.*kinds"),
])  # fmt: skip
def test_unknown_names_are_answered_with_the_valid_ones(call, message):
    with pytest.raises(KeyError, match=message):
        call()
