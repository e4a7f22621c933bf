"""Training the base and inverters: schedule, checkpoints, the command line, at sizes of seconds."""

import dataclasses
import json

import pytest
import torch

pytest.importorskip("accelerate")

from sightglass.invert import base as bases
from sightglass.invert import checkpoint, codec, control, diary, jobs, loop, pictures, prompts, sample, seen, train

TINY = jobs.RECIPES["base"] | {"batch": 4, "rate": 2e-3, "warm_up": 2, "steps": 6}


def shown(n: int = 24) -> pictures.Shown:
    """Return pictures of the world at 16 px with their captions."""
    from sightglass import world

    scenes = world.draw(world.split_plan("train", range(n)), 16, maps=False)
    tales, words = world.captions(scenes, 0), prompts.world_words()
    return pictures.Shown(scenes.image, prompts.read(tales, words)[:, None], words, tuple(tales))


@pytest.fixture(scope="module")
def given() -> pictures.Shown:
    """Draw the pictures once."""
    return shown()


def tiny(given: pictures.Shown, widths=(8, 16)) -> bases.Base:
    """Make a tiny untrained base for pictures."""
    return bases.build(codec.fit(given.images, channels=12), given.words, size=16, widths=widths)


def trained(folder, given, *, stop_after: int = 99, rate: float = 2e-3, **limits):
    """Train a tiny base, cut off after some steps; return state and base."""
    from accelerate import Accelerator

    recipe = TINY | {"rate": rate}
    base = tiny(given)
    job, taken = jobs.base_job(folder, base, given, given, recipe), iter(range(stop_after + 1))
    plan = loop.Plan(every=100, **limits)
    state = loop.run(job, Accelerator(cpu=True), plan, stop=lambda: next(taken) >= stop_after)
    return state, base


def test_a_training_that_was_cut_off_ends_at_the_same_loss(tmp_path, given):
    whole, base = trained(tmp_path / "whole", given, steps=6)
    cut, _ = trained(tmp_path / "cut", given, steps=6, stop_after=3)
    assert cut["step"] == 3 and (tmp_path / "cut/checkpoint/state.json").exists()
    again, same = trained(tmp_path / "cut", given, steps=6)
    assert again["losses"] == whole["losses"] and len(whole["losses"]) == 6
    for name, value in base.unet.state_dict().items():
        assert torch.equal(value, same.unet.state_dict()[name]), name
    done, _ = trained(tmp_path / "cut", given, steps=6)
    assert done["step"] == 6 and done["losses"] == whole["losses"]


def test_sheets_and_log_are_written(tmp_path, given):
    from PIL import Image

    trained(tmp_path, given, steps=2)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 2 and {f"error at {ratio}" for ratio in (10, 0.1)} < set(lines[-1])
    sheet = Image.open(tmp_path / "sheet-000002.png")
    assert sheet.size == (8 * 18 * 2, 8 * 18 * 2)  # three rows of truth, three of captions, two of anything
    assert (tmp_path / "captions.txt").read_text().splitlines()[0] == given.captions[0]


def test_a_killed_checkpoint_leaves_the_one_before(tmp_path, given):
    trained(tmp_path, given, steps=2)
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.old")  # killed between the two renames
    (tmp_path / "checkpoint.part").mkdir()
    state, _ = trained(tmp_path, given, steps=3)
    assert state["step"] == 3 and len(state["losses"]) == 3


def test_a_checkpoint_of_another_shape_is_named(tmp_path, given):
    from accelerate import Accelerator

    trained(tmp_path, given, steps=1)
    base = tiny(given, (8, 24))
    job = jobs.base_job(tmp_path, base, given, given, TINY)
    with pytest.raises(ValueError, match="training of another shape.*--afresh"):
        loop.run(job, Accelerator(cpu=True), loop.Plan(steps=2))


def test_a_checkpoint_of_another_training_or_damaged_is_named(tmp_path, given):
    from accelerate import Accelerator

    def go_on(**about):
        job = dataclasses.replace(jobs.base_job(tmp_path, tiny(given), given, given, TINY), about=about)
        return loop.run(job, Accelerator(cpu=True), loop.Plan(steps=1))

    assert go_on(model="a", tap="b")["step"] == 1
    with pytest.raises(ValueError, match="training with another model; take another --folder"):
        go_on(model="c", tap="b")
    weights = tmp_path / "checkpoint/optimizer.bin"
    weights.write_bytes(weights.read_bytes()[:99])
    with pytest.raises(ValueError, match="or damaged .*--afresh"):
        go_on(model="a", tap="b")
    (tmp_path / "checkpoint/state.json").write_text('{"step"')
    with pytest.raises(ValueError, match="state.json is damaged; .*--afresh"):
        go_on(model="a", tap="b")


def test_learning_rate_rises_stays_and_falls():
    recipe = {"warm_up": 10, "cool": 0.4}
    shares = [loop.share(step, 100, recipe) for step in range(100)]
    assert shares[0] == pytest.approx(0.1) and shares[9:60] == [1.0] * 51
    assert shares[60:] == sorted(shares[60:], reverse=True) and 0 < shares[-1] < 0.05
    assert loop.share(5000, None, recipe) == 1.0


def test_minutes_become_steps_at_the_measured_pace():
    recipe = {"cool": 0.4, "steps": 77}
    state = checkpoint.FRESH | {"step": 10, "seconds": 20.0}
    planned = [loop.planned(state, loop.Plan(*told), recipe) for told in ((None, 2), (5, 2), (None, None))]
    assert planned == [None, 5, 77]
    loop.replan(state, 2, 2.0, recipe)
    assert state["total"] == 10 + 50
    state |= {"step": 50}
    loop.replan(state, 2, 20.0, recipe)  # the rate falls already: the plan stays
    assert state["total"] == 60


def test_a_signal_ends_a_training_after_its_step():
    import os
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with train.asked_to_stop() as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_few_steps_lower_the_loss(tmp_path, given):
    state, _ = trained(tmp_path, given, steps=loop.AVERAGED, rate=1e-2)
    assert loop.mean(state["losses"][-10:]) < 0.93 * loop.mean(state["losses"][:5])


def test_commands_train_base_and_inverter(tmp_path, monkeypatch, capsys):
    """The two commands as one types them, on a few pictures of the world and its smallest network."""
    monkeypatch.setattr(pictures, "RANGES", {"base": (0, 32), "inverter": (32, 64), "val": (0, 16)})
    monkeypatch.setenv("SIGHTGLASS_CACHE", str(tmp_path / "cache"))
    common = ["--steps", "1", "--batch", "2", "--device", "cpu"]
    small = ["--widths", "8", "16", *common]
    told = ["--eyes", "resnet50", "--channels", "6", "--folder", str(tmp_path / "codec")]
    assert train.main(["codec", *told, *small]) == 0
    told = ["--codec", str(tmp_path / "codec"), "--folder", str(tmp_path / "base")]
    assert train.main(["base", *told, *small]) == 0
    inverter = ["inverter", "--model", "resnet50", "--base", str(tmp_path / "base"), *common]
    assert train.main([*inverter, "--folder", str(tmp_path / "inv")]) == 0
    assert train.main([*inverter, "--folder", str(tmp_path / "pooled"), "--tap", "penultimate", "--pooled"]) == 0
    assert "invert_resnet50_block5: 1 steps" in capsys.readouterr().out
    from sightglass import zoo

    base, net = bases.load(tmp_path / "base"), zoo.model("world/resnet50")
    made = control.load(tmp_path / "inv", base=base)
    x = pictures.shown("world", "val", 2).images.float() / 255
    drawn = sample.reconstruct(made, made.features(net, x), steps=2)
    assert drawn.shape == (2, 3, 64, 64) and made.facts["network"] == control.fingerprint(net)
    assert control.load(tmp_path / "pooled", base=base).pooled
    with pytest.raises(ValueError, match="penultimate has no positions"):
        train.main([*inverter, "--folder", str(tmp_path / "odd"), "--tap", "penultimate"])


def test_the_books_command_trains_and_says_what_is_wrong(tmp_path, monkeypatch, capsys):
    """`python -m sightglass invert train`, cut off by a signal and gone on with."""
    import os
    import signal

    from sightglass.press import cli
    from sightglass.zoo import shipped, weights

    monkeypatch.setattr(pictures, "RANGES", {"base": (0, 8), "val": (0, 4)})
    monkeypatch.setattr(shipped, "TRAINING", tmp_path)
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "none")
    monkeypatch.setenv("SIGHTGLASS_CACHE", str(tmp_path / "cache"))
    assert cli.main(["invert", "train", "--model", "resnet50"]) == 2
    assert cli.main(["invert", "learn"]) == 2
    found = capsys.readouterr().err.splitlines()
    assert "'base' isn't trained yet" in found[0] and "run `python -m sightglass invert train base`" in found[0]
    assert "`invert train base` what it steers" in found[1] and len(found) == 2
    with pytest.raises(SystemExit):
        cli.main(["invert", "train", "base", "--steps", "0"])
    assert "--steps must be above 0, not 0" in capsys.readouterr().err
    for wrong, said in ((["bass"], "unknown model to train 'bass': did you mean base"),
                        (["base", "--rate", "nan"], "--rate must be above 0, not nan"),
                        (["codec", "--widths", "8", "12"], "--widths must be multiples of 8, not 12")):  # fmt: skip
        with pytest.raises(SystemExit):
            cli.main(["invert", "train", *wrong])
        assert said in capsys.readouterr().err
    words = ["invert", "train", "base", "--codec", "patches", "--steps", "2", "--batch", "2", "--widths", "8", "16"]
    words += ["--device", "cpu"]
    advance = loop.advance

    def cut(*given):
        os.kill(os.getpid(), signal.SIGTERM)
        return advance(*given)

    monkeypatch.setattr(loop, "advance", cut)
    assert cli.main([*words, "--ship"]) == 130
    assert "stopped at step 1 of 2; the same command goes on" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()  # what isn't finished isn't shipped
    monkeypatch.setattr(loop, "advance", advance)
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert "base: goes on from step 1" in said and "base: 2 steps" in said and bases.load().facts["steps"] == 2


# ------------------------------------------------------------------ features computed once


@pytest.fixture
def eye(given, tmp_path, monkeypatch):
    """Return a base, a network of 6 x 2 x 2 features on 16 px and the job that inverts it."""
    monkeypatch.setenv("SIGHTGLASS_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(3)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, 4), torch.nn.ReLU(), torch.nn.Conv2d(4, 6, 2, 2)).eval()
    net.pretrained_cfg = dict(mean=(0.5,) * 3, std=(0.25,) * 3)
    return net.requires_grad_(False), bases.freeze(tiny(given))


def invert(folder, given, eye, *, pooled: bool = False) -> list[float]:
    """Train a tiny inverter for three steps; return its losses."""
    from accelerate import Accelerator

    net, base = eye
    recipe = jobs.RECIPES["inverter"] | {"batch": 8, "warm_up": 1, "rate": 0.1}
    inverter = control.build(base, (6, 2, 2), "2", pooled=pooled, hidden=8)
    job = jobs.inverter_job(folder, inverter, net, given, given, recipe)
    return loop.run(job, Accelerator(cpu=True), loop.Plan(steps=4))["losses"]


def test_losses_are_the_same_with_latents_computed_once(tmp_path, given, monkeypatch):
    monkeypatch.setenv("SIGHTGLASS_CACHE", str(tmp_path))
    table = seen.keep_latents(given, tiny(given))
    assert table.latents.shape == (2, len(given), 12, 4, 4) and given.latents is None
    plain, kept = (trained(tmp_path / str(i), some, steps=4)[0] for i, some in enumerate((given, table)))
    assert plain["losses"] == kept["losses"]


def test_a_card_keeps_the_curve_with_every_look(tmp_path, given, monkeypatch):
    monkeypatch.setattr(loop, "AVERAGED", 2)
    monkeypatch.setattr(diary, "CURVE", 3)
    state, _ = trained(tmp_path, given, steps=12)
    points = diary.curve(tmp_path)
    assert [point["step"] for point in points] == [2, 6, 10, 12]
    assert points[-1]["loss"] == pytest.approx(state["loss"], rel=1e-4) and "error at 10" in points[-1]
    assert diary.curve(tmp_path / "nowhere") == []


@pytest.mark.parametrize("pooled", [False, True])
def test_losses_are_the_same_with_features_computed_once(tmp_path, given, eye, pooled):
    stored = seen.keep(given, eye[0], "2")
    assert stored.maps.shape == (2, 24, 6, 2, 2) and stored.maps.dtype == "float16"
    often, once = (invert(tmp_path / what, one, eye, pooled=pooled) for what, one in (("a", given), ("b", stored)))
    assert once == pytest.approx(often, rel=1e-5)
    wrong = dataclasses.replace(stored, maps=stored.maps[::-1])  # mirror images for images
    assert invert(tmp_path / "c", wrong, eye, pooled=pooled) != pytest.approx(often, rel=1e-5)


def test_pictures_on_the_disk_are_trained_on_where_they_lie(tmp_path, eye, given, monkeypatch):
    """An edition's files are read batch by batch, with the losses of the same pictures in the memory."""
    from PIL import Image

    monkeypatch.setenv("SIGHTGLASS_CACHE", str(tmp_path / "cache"))
    for i, image in enumerate(given.images):
        place = tmp_path / "data" / "train" / ("ant", "bee")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(place / f"{i:03}.png")
    (tmp_path / "own.yaml").write_text(f"size: {given.images.shape[-1]}\nimages:\n  root: data\n")
    lying = pictures.shown(str(tmp_path / "own.yaml"), "inverter")
    held = dataclasses.replace(lying, images=lying.images[:])
    assert not isinstance(lying.images, torch.Tensor)
    assert torch.equal(*[images.sum((1, 2, 3)).sort().values for images in (held.images, given.images)])
    kept = seen.keep(lying, eye[0], "2")
    losses = [invert(tmp_path / str(i), one, eye) for i, one in enumerate((held, lying, kept))]
    assert losses[0] == losses[1] == pytest.approx(losses[2], rel=1e-5)


def test_features_are_read_where_they_lie_and_made_once(given, eye, monkeypatch):
    net, _ = eye
    first = seen.keep(given, net, "2")
    rows, mirrored = torch.tensor([5, 0, 5]), torch.tensor([False, True, True])
    table = seen.maps(first, net, "2", rows, mirrored)
    torch.testing.assert_close(table, seen.maps(given, net, "2", rows, mirrored), atol=1e-3, rtol=1e-3)
    monkeypatch.setattr(seen, "fill", None)  # a second time nothing is computed
    assert (seen.keep(given, net, "2").maps == first.maps).all()
    assert seen.keep(given, net, "2", budget=100).maps is None
    net[0].weight.mul_(2)
    with pytest.raises(TypeError, match="not callable"):  # another network has a table of its own
        seen.keep(given, net, "2")
