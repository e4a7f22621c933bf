"""The inverters' core: codec, prompts, base, encoder, control, sampling. Nothing here is trained."""

import dataclasses
import json

import pytest
import torch

pytest.importorskip("diffusers")

from tiny import Net, pictures

from sightglass import names, zoo
from sightglass.invert import base as bases
from sightglass.invert import codec, control, encoder, flow, prompts, sample
from sightglass.invert.autoencoder import Autoencoder, even_out, unlike
from sightglass.zoo import shipped
from sightglass.zoo.taps import record


@pytest.fixture(scope="module")
def base() -> bases.Base:
    """Make a tiny untrained base of the world's words."""
    made = bases.build(codec.fit(pictures(), channels=12), prompts.world_words(), size=16, widths=(8, 16))
    return bases.freeze(made)


@pytest.fixture(scope="module")
def inverter(base) -> control.Inverter:
    """Make a tiny inverter whose control isn't zero any more."""
    made = control.build(base, (6, 2, 2), "block5", hidden=8)
    made.control.eval().requires_grad_(False)
    for i, value in enumerate(made.control.parameters()):
        value.add_(0.02 * torch.randn(value.shape, generator=torch.Generator().manual_seed(i)))
    return made


# ------------------------------------------------------------------ codec


def left(made, images: torch.Tensor) -> float:
    """Measure in decibels what is left of images after packing."""
    with torch.no_grad():
        drawn = made.decode(made.pack(codec.pixels_in(images))).sample / 2 + 0.5
    return codec.decibels(drawn, images).mean().item()


def test_codec_keeps_everything_with_all_components():
    x = torch.rand(8, 3, 8, 8) * 2 - 1
    whole = codec.fit((x + 1) / 2, patch=2, channels=12)
    torch.testing.assert_close(whole.decode(whole.encode(x).latents).sample, x, atol=1e-4, rtol=0)


def test_codec_error_is_the_variance_it_leaves_out():
    images = torch.rand(200, 3, 8, 8)
    few = codec.fit(images, channels=24)
    left = codec.patches(images * 2 - 1, 4).flatten(0, 2).double()
    values = torch.linalg.eigvalsh(torch.cov(left.T))  # ascending: the first 24 are left out
    x = codec.pixels_in(images)
    error = (few.unpack(few.pack(x)) - x).square().mean().item()
    assert error == pytest.approx(values[:24].sum().item() / 48, rel=5e-3)


def test_codec_latents_have_deviation_one_and_more_channels_are_better():
    images = pictures(64)
    latents = codec.fit(images, channels=12).pack(codec.pixels_in(images))
    assert latents.std().item() == pytest.approx(1, abs=0.02)
    found = [left(codec.fit(images, channels=k), images) for k in (4, 12, 24)]
    assert found == sorted(found) and found[-1] > 30


def test_codec_on_the_world_keeps_30_db():
    from sightglass import world

    images = world.draw(world.split_plan("train", range(24)), maps=False).image
    assert left(codec.fit(images), images.float() / 255) > 28


def test_codec_refuses_odd_sizes_and_reads_as_diffusers_model(tmp_path):
    made = codec.fit(pictures(), channels=12)
    with pytest.raises(ValueError, match="4 divides"):
        made.encode(torch.zeros(1, 3, 10, 10))
    made.save_pretrained(tmp_path)
    again = codec.PatchCodec.from_pretrained(tmp_path)
    assert torch.equal(again.basis, made.basis) and len(again.config.block_out_channels) == 3


def test_autoencoder_folds_pixels_evens_latents_out_and_refuses_odd_sizes():
    torch.manual_seed(0)
    made, x = Autoencoder(4, (8, 16)), codec.pixels_in(pictures(32))
    assert made.patch == 4 and made.eval().pack(x).shape == (32, 4, 4, 4)
    assert made.unpack(made.pack(x)).shape == x.shape
    z = even_out(made, x, batch=32).pack(x)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.std((0, 2, 3)), torch.ones(4), atol=1e-2, rtol=0)
    with pytest.raises(ValueError, match="4 divides"):
        made.pack(torch.zeros(1, 3, 10, 10))


def test_distance_in_the_eyes_of_a_network_is_zero_for_the_same_and_grows():
    distance, x = unlike(Net(), ("early", "late")), pictures(4)
    near, far = (distance((x + amount * torch.randn_like(x)).clamp(0, 1), x) for amount in (0.05, 0.3))
    assert distance(x, x) == 0 and 0 < near < far
    eyes = Net()
    with record(eyes, ["early"]) as kept:
        eyes(zoo.normalise(eyes, torch.cat([x, x.flip(-1)])))
    one, other = kept["early"].chunk(2)
    told = unlike(Net(), ("early",))(x, x.flip(-1))
    torch.testing.assert_close(told, (one - other).square().mean() / other.square().mean())


# ------------------------------------------------------------------ prompts


def test_every_caption_of_the_world_is_read():
    from sightglass import world

    scenes = world.draw(world.split_plan("pairs", range(48)), 8, maps=False)
    words = prompts.world_words()
    for caption, ids in zip(world.captions(scenes, 3), prompts.read(world.captions(scenes, 3), words), strict=True):
        said = {words[i - 3] for i in ids.flatten().tolist() if i >= 3}
        spoken = " ".join(said).split()  # a place is one word of several
        left_out = [word for word in caption.split() if word not in (*spoken, "a", "an", "and")]
        assert not left_out and all(word in caption for word in said), caption


def test_colour_and_size_stay_with_their_object():
    words = prompts.world_words()
    ids = prompts.read(["a small red car and a zebra on grass"], words)[0]
    named = [[words[i - 3] for i in row.tolist() if i >= 3] for row in ids]
    assert named == [["small", "red", "car"], ["zebra"], ["on grass"]]
    vectors = prompts.embed(ids[None], prompts.width(words))[0]
    assert vectors.shape == (3, 64) and torch.equal((vectors > 0).sum(1), torch.tensor([3, 1, 1]))


def test_unknown_words_are_named():
    with pytest.raises(ValueError, match="zebbra.*zebra"):
        prompts.read(["a zebbra on grass"], prompts.world_words())
    with pytest.raises(ValueError, match="at most 2 objects"):
        prompts.read(["a car and a bus and a cat"], prompts.world_words())


def test_prompts_are_forgotten_as_often_as_asked():
    ids = prompts.read(["a red car on grass"] * 4000, prompts.world_words())
    left = prompts.forget(ids, torch.Generator().manual_seed(0), share=0.4, nothing=0.1, token=0.0)
    shares = [(left[:, 0, 0] == which).float().mean().item() for which in (prompts.ANY, prompts.NOTHING)]
    assert shares == pytest.approx([0.4, 0.1], abs=0.03)
    assert torch.equal(left[left[:, 0, 0] > 3], ids[left[:, 0, 0] > 3])


# ------------------------------------------------------------------ flow and sampling


def test_levels_are_even_and_shift_prefers_noise():
    draws = torch.Generator().manual_seed(0)
    even = flow.levels(1000, draws)
    assert even.mean().item() == pytest.approx(0.5, abs=1e-3)
    # sigma' = 4 sigma / (1 + 3 sigma): half of them above 0.8
    assert (flow.levels(1000, draws, shift=4) > 0.8).float().mean().item() == pytest.approx(0.5, abs=2e-3)


def test_velocity_points_from_noise_to_the_picture():
    z, noise, level = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4), torch.tensor([0.2, 0.9])
    noisy = flow.mix(z, noise, level)
    torch.testing.assert_close(flow.clean(noisy, noise - z, level), z)
    assert torch.equal(flow.FLOW.aim(z, noise, level), noise - z)


@pytest.mark.parametrize("solver", sample.ORDERS)
def test_solvers_follow_a_known_path(solver):
    """Of pictures that are normal with deviation 0.5, z = noise goes to 0.5 noise: the drift is known."""
    deviation = 0.5

    def drift(z, level):
        s = level.view(-1, 1, 1, 1)
        spread = (1 - s) ** 2 * deviation**2 + s**2
        return z * (s - (1 - s) * deviation**2) / spread

    start = torch.randn(4, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    errors = []
    for steps in (8, 32):
        end = sample.solve(drift, start, sample.How(steps=steps, solver=solver))
        errors.append((end - deviation * start).abs().max().item())
    assert errors[1] < errors[0] / 2 and errors[1] < {"dpm": 0.08, "ddim": 0.3}[solver]


def test_a_seed_draws_the_same_picture_in_any_batch(base):
    together = sample.sample(base, seeds=[3, 7, 5], steps=2)
    alone = sample.sample(base, seeds=[7], steps=2)
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=0)
    assert torch.equal(together, sample.sample(base, seeds=[3, 7, 5], steps=2))
    assert (together[0] - together[1]).abs().max() > 0.05
    assert together.shape == (3, 3, 16, 16) and together.min() >= 0 and together.max() <= 1


def test_captions_change_pictures_and_guidance_1_is_no_guidance(base):
    said = ["a red car on grass", "a zebra"]
    plain, free = (sample.sample(base, what, seeds=[0, 0], steps=2) for what in (said, None))
    assert (plain - free).abs().max() > 1e-4
    assert torch.equal(plain, sample.sample(base, said, seeds=[0, 0], steps=2, guidance=1.0))
    assert (plain - sample.sample(base, said, seeds=[0, 0], steps=2, guidance=3.0)).abs().max() > 1e-4


def test_wrong_options_of_drawing_are_named(base):
    with pytest.raises(ValueError, match="solver 'euler'.*dpm, ddim"):
        sample.sample(base, seeds=[0], solver="euler")
    with pytest.raises(ValueError, match="stepps.*did you mean steps"):
        sample.sample(base, seeds=[0], stepps=3)
    with pytest.raises(ValueError, match="2 seeds and 1 captions"):
        sample.sample(base, ["a zebra"], seeds=[0, 1])


# ------------------------------------------------------------------ encoder


def test_features_have_the_layout_of_maps():
    import timm

    x, net = pictures(2, 16), Net()
    maps = encoder.features(net, x, "late")
    direct = net.late(net.early((x - 0.5) / 0.25).relu())
    torch.testing.assert_close(maps, direct)
    assert encoder.features(net, x, "head").shape == (2, 5, 1, 1)
    vit = timm.create_model("test_vit", img_size=32, num_classes=3).eval()
    tokens = encoder.features(vit, pictures(2, 32), "blocks.0")
    assert tokens.shape == (2, vit.embed_dim, 2, 2)


def test_channel_last_maps_are_turned():
    from timm.models.swin_transformer_v2 import SwinTransformerV2

    net = SwinTransformerV2(img_size=16, patch_size=2, embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=4)
    net.eval().pretrained_cfg = dict(mean=(0.5,) * 3, std=(0.25,) * 3)
    x = pictures(2, 16)
    direct = net.layers[1](net.layers[0](net.patch_embed((x - 0.5) / 0.25)))
    torch.testing.assert_close(encoder.features(net, x, "layers.1"), direct.permute(0, 3, 1, 2))
    net.pretrained_cfg |= {"fixed_input_size": True, "input_size": (3, 99, 99)}
    assert encoder.features(net, pictures(2, 20), "layers.1").shape == (2, 16, 4, 4)  # brought to the 16 it takes


def test_grids_and_tokens_before_them():
    assert encoder.side(16, 64, 64) == (4, 4, 0)
    assert encoder.side(65, 64, 64) == (8, 8, 1)
    assert encoder.side(69, 64, 64, prefix=5) == (8, 8, 5)
    assert encoder.side(32, 32, 64) == (4, 8, 0)
    with pytest.raises(ValueError, match="7 positions are no grid"):
        encoder.as_map(torch.zeros(1, 3, 7), (64, 64), "blocks.1")


def test_pooled_equals_spatial_on_constant_maps():
    spatial, pooled = (encoder.FeatureEncoder(6, 8, 8, pooled=p) for p in (False, True))
    pooled.load_state_dict(spatial.state_dict())
    vector = torch.randn(2, 6, 1, 1)
    constant = vector.expand(2, 6, 2, 2)
    torch.testing.assert_close(pooled(constant), spatial(constant))
    torch.testing.assert_close(pooled(vector), spatial(constant))
    varied = torch.randn(2, 6, 2, 2)
    assert (pooled(varied) - spatial(varied)).abs().max() > 1e-3


def test_encoder_standardises_and_drops_to_the_mean():
    made = encoder.FeatureEncoder(6, 8, 8)
    maps = torch.randn(50, 6, 2, 2) * torch.arange(1, 7).view(1, 6, 1, 1) + 3
    encoder.measure(made, maps)
    standard = (maps - made.mean) / made.spread
    assert standard.mean().abs() < 1e-4 and standard.std((0, 2, 3)).allclose(torch.ones(6), atol=1e-3)
    mean = made.mean.expand(50, 6, 2, 2)
    torch.testing.assert_close(made(maps, torch.ones(50, dtype=torch.bool)), made(mean))


# ------------------------------------------------------------------ control


def test_an_untrained_inverter_is_the_base_exactly(base):
    fresh = control.build(base, (6, 2, 2), "block5", hidden=8)
    maps = torch.randn(2, 6, 2, 2)
    free = sample.sample(base, seeds=[1, 2], steps=2)
    assert torch.equal(sample.reconstruct(fresh, maps, seeds=[1, 2], steps=2), free)
    assert torch.equal(fresh.control.net.conv_in.weight, base.unet.conv_in.weight)


def test_features_and_strength_change_what_is_drawn(base, inverter):
    maps = torch.randn(2, 6, 2, 2)
    drawn = sample.reconstruct(inverter, maps, steps=2)
    assert (drawn - sample.reconstruct(inverter, maps + 1, steps=2)).abs().max() > 1e-4
    free = sample.sample(base, seeds=[0, 0], steps=2)
    torch.testing.assert_close(sample.reconstruct(inverter, maps, steps=2, strength=0.0), free, atol=1e-5, rtol=0)
    far = [sample.reconstruct(inverter, maps, steps=2, guidance=2.0, against=what) for what in sample.AGAINST]
    assert (far[0] - far[1]).abs().max() > 1e-5


def test_gradients_reach_all_of_a_control_by_the_third_step(base):
    """Zero convolutions open one after the other: the first backward pass reaches them alone."""
    fresh = control.build(base, (6, 2, 2), "block5", hidden=8)
    opt = torch.optim.SGD(fresh.control.parameters(), 0.5)
    before = {k: v.clone() for k, v in base.unet.state_dict().items()}
    z, prompt = torch.randn(2, *base.shape), base.prompts(["a zebra", "a red car"])
    level, maps = torch.tensor([0.3, 0.9]), torch.randn(2, 6, 2, 2)
    reached = []
    for _ in range(4):
        steer = fresh.control(z, level, prompt, maps)
        opt.zero_grad()
        bases.velocity(base, z, level, prompt, steer).square().mean().backward()
        moved = {k: p.grad for k, p in fresh.control.named_parameters() if p.grad is not None}
        reached.append({k for k, slope in moved.items() if slope.abs().max() > 0})
        opt.step()
    assert all("controlnet_" in name for name in reached[0])
    assert "encoder.conv.weight" not in reached[1] and "encoder.conv.weight" in reached[-1]
    assert all(torch.equal(v, before[k]) for k, v in base.unet.state_dict().items())


def test_an_inverter_refuses_other_shapes_and_other_networks(base, inverter):
    with pytest.raises(ValueError, match=r"\('n', 6, 2, 2\), found \(1, 6, 3, 3\)"):
        sample.reconstruct(inverter, torch.zeros(1, 6, 3, 3))
    with pytest.raises(ValueError, match="head has no positions"):
        control.build(base, (5, 1, 1), "head")
    mine, other = Net(0), Net(1)
    known = dataclasses.replace(inverter, tap="late", facts={"network": control.fingerprint(mine), "model": "mine"})
    assert known.features(mine, pictures(2)).shape == (2, 6, 2, 2)
    with pytest.raises(ValueError, match="trained for 'mine'"):
        known.features(other, pictures(2))


@pytest.mark.parametrize(
    ("options", "reason"),
    [(dict(steps=2.5), "1 or more steps, found 2.5"), (dict(guidance=-1), "guidance .* of 0 or more, found -1"),
     (dict(strength=float("nan")), "strength .* found nan"), (dict(shift=0), "shift .* above 0, found 0"),
     (dict(seeds=1.5), "whole number as its seed"), (dict(seeds=[1, 2]), "found 2 for 1")],
)  # fmt: skip
def test_wrong_numbers_of_drawing_are_one_sentence(inverter, options, reason):
    with pytest.raises(ValueError, match=reason):
        sample.reconstruct(inverter, torch.randn(1, 6, 2, 2), **options)


def test_what_can_not_be_drawn_is_one_sentence(base, inverter):
    with pytest.raises(ValueError, match="NaN or infinity"):
        sample.reconstruct(inverter, torch.full((1, 6, 2, 2), float("nan")))
    with pytest.raises(TypeError, match="are a tensor .*found ndarray"):
        sample.reconstruct(inverter, torch.randn(1, 6, 2, 2).numpy())
    with pytest.raises(ValueError, match="seed, found"):
        sample.reconstruct(inverter, torch.randn(0, 6, 2, 2))
    with pytest.raises(ValueError, match="captions and seeds are lists"):
        sample.sample(base, "a zebra on sand", seeds=[0])
    with pytest.raises(ValueError, match="torch network with layers, found a Base"):
        encoder.features(base, pictures(2), "late")
    for images in (pictures(2)[0], (pictures(2) * 255).byte(), pictures(2)[:, :1]):
        with pytest.raises(ValueError, match=r"expected images \(n, 3, h, w\) in"):
            encoder.features(Net(), images, "late")
    drawn = [sample.reconstruct(inverter, torch.ones(1, 6, 2, 2, dtype=kind), steps=1)
             for kind in (torch.float32, torch.float64)]  # fmt: skip
    assert torch.equal(*drawn)


def test_cards_that_were_cut_off_are_one_sentence(base, tmp_path):
    bases.save(base, tmp_path / "base", {})
    weights = tmp_path / "base.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ValueError, match="sha256 differs"):
        bases.load(tmp_path)
    for text in ((tmp_path / "base.json").read_text()[:40], "[]", '{"lr": 1}'):
        (tmp_path / "base.json").write_text(text)
        with pytest.raises(ValueError, match="base.json is no card of weights.*invert train base"):
            bases.load(tmp_path)


def test_save_and_load_draw_the_same(base, inverter, tmp_path):
    folder = tmp_path / "one"
    card = bases.save(base, folder / "base", {"minutes": 0})
    again = bases.load(folder)
    half = bases.load(folder / "base")
    assert card["bytes"] < 2.2 * card["parameters"] + 40_000 and again.words == base.words
    drawn = sample.sample(again, ["a zebra on sand"], seeds=[0], steps=2)
    assert torch.equal(drawn, sample.sample(half, ["a zebra on sand"], seeds=[0], steps=2))
    torch.testing.assert_close(drawn, sample.sample(base, ["a zebra on sand"], seeds=[0], steps=2), atol=0.02, rtol=0)
    control.save(dataclasses.replace(inverter, base=again), tmp_path / "invert_mine", {"model": "mine"})
    read = control.load(tmp_path / "invert_mine", base=again)
    assert read.shape == (6, 2, 2) and not read.pooled and read.tap == "block5"
    maps = torch.randn(1, 6, 2, 2)
    torch.testing.assert_close(
        sample.reconstruct(read, maps, steps=2), sample.reconstruct(inverter, maps, steps=2), atol=0.03, rtol=0
    )


def test_weights_of_another_kind_or_altered_are_refused(base, inverter, tmp_path):
    bases.save(base, tmp_path / "base", {})
    control.save(inverter, tmp_path / "invert_mine", {})
    with pytest.raises(ValueError, match="no base"):
        bases.load(tmp_path / "invert_mine")
    with pytest.raises(ValueError, match="no inverter"):
        control.load(tmp_path / "base.json", base=base)
    with pytest.raises(FileNotFoundError, match="isn't trained yet.*invert train base"):
        bases.load("nowhere")
    card = json.loads((tmp_path / "base.json").read_text())
    (tmp_path / "base.json").write_text(json.dumps(card | {"sha256": "0"}))
    with pytest.raises(ValueError, match="sha256 differs"):
        bases.load(tmp_path / "base")
    facts = json.loads((tmp_path / "invert_mine.json").read_text())
    (tmp_path / "invert_mine.json").write_text(json.dumps(facts | {"base": "another"}))
    with pytest.raises(ValueError, match="another base"):
        control.load(tmp_path / "invert_mine", base=base)


def test_names_of_files():
    assert names.name_of("world/resnet50", "block5") == "invert_resnet50_block5"
    assert names.name_of("vit_b_16", "blocks.3", pooled=True) == "invert_vit_b_16_blocks_3_pooled"
    assert names.name_in("world", "base") == "base" and names.name_in("mine", "base") == "mine_base"
    assert shipped.part({"unet.a": 1, "codec.b": 2}, "unet") == {"a": 1}


def test_diffusers_own_pipeline_draws_the_same(base, inverter):
    """The stock ControlNet pipeline takes base, codec and control as they are."""
    pytest.importorskip("transformers")
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionControlNetPipeline

    clock = DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.0)
    pipe = StableDiffusionControlNetPipeline(
        vae=base.codec, text_encoder=None, tokenizer=None, unet=base.unet, controlnet=inverter.control.net,
        scheduler=clock, safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    maps = torch.randn(1, 6, 2, 2)
    theirs = pipe(
        prompt_embeds=base.prompts(prompts.special(prompts.ANY, 1)), image=inverter.control.encoder(maps),
        latents=sample.noise(base.shape, [4]), num_inference_steps=4, guidance_scale=1.0,
        controlnet_conditioning_scale=1.0, output_type="pt",
    ).images  # fmt: skip
    mine = sample.reconstruct(inverter, maps, seeds=4, steps=4)
    torch.testing.assert_close(mine, theirs.float(), atol=0.02, rtol=0)  # the pipeline rounds its time to whole steps
