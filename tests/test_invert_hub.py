"""Bases from the hub: a tiny random pipeline, saved here, goes the way that MiniSD goes."""

import string

import pytest
import torch

pytest.importorskip("transformers")

import sightglass as sg
from sightglass.invert import control, hub, pictures, prompts, ready, sample, train
from sightglass.zoo import shipped

EDITION = """
title: tiny
size: 48
images: {{source: world}}
networks:
  mine: {{builder: "{here}/net.py:make", mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}}
  tiny: {{name: "{here}/pipe", kind: diffusion}}
inverters:
  mine: {{tap: "0", base: tiny, size: 64, drawing: {{steps: 3, solver: ddim, guidance: 1.75}}}}
"""
NET = """
import torch
def make():
    torch.manual_seed(5)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 6, 12, 12), torch.nn.Flatten(), torch.nn.Linear(96, 4))
"""


def words_of():
    """Return a tokenizer of single characters, and a text encoder of 8 numbers a token."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = [*string.ascii_lowercase, *",-."]
    names = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={name: i for i, name in enumerate(names)}, merges=[], model_max_length=77)
    size = dict(hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    end = len(names) - 1
    config = CLIPTextConfig(vocab_size=len(names), eos_token_id=end, bos_token_id=end - 1, pad_token_id=end, **size)
    return tokenizer, CLIPTextModel(config)


@pytest.fixture(scope="module")
def ed(tmp_path_factory):
    """Save a tiny random pipeline, a network and an edition of both; load the edition."""
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    here = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=64, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, cross_attention_dim=8,
        attention_head_dim=2, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    blocks = dict(down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
    vae = AutoencoderKL(block_out_channels=(8,) * 4, latent_channels=4, norm_num_groups=4, **blocks)
    schedule = PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True,
                             set_alpha_to_one=False, steps_offset=1)  # fmt: skip
    tokenizer, encoder = words_of()
    StableDiffusionPipeline(
        vae=vae, text_encoder=encoder, tokenizer=tokenizer, unet=unet, scheduler=schedule, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(here / "pipe")  # fmt: skip
    (here / "net.py").write_text(NET)
    (here / "tiny.yaml").write_text(EDITION.format(here=here))
    return sg.load(str(here / "tiny.yaml"), device="cpu")


@pytest.fixture(scope="module")
def base(ed):
    """Read the base through the edition."""
    return ready.base(ed, "mine")


@pytest.fixture(scope="module")
def inverter(base):
    """Make an inverter whose control isn't zero any more."""
    made = control.build(base, (6, 4, 4), "0", hidden=8)
    made.control.eval().requires_grad_(False)
    for i, value in enumerate(made.control.parameters()):
        value.add_(0.05 * torch.randn(value.shape, generator=torch.Generator().manual_seed(i)))
    return made


def test_a_pipeline_becomes_a_base(base):
    assert base.shape == (4, 8, 8) and base.size == 64  # the edition's word, not the 64 x 64 latents of its file
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    torch.testing.assert_close(base.codec.pack(x), base.codec.vae.encode(x).latent_dist.mode() * 0.18215)
    assert base.codec.decode(base.codec.pack(x)).sample.shape == x.shape
    vectors = base.prompts([hub.PROMPT, "", "a zebra"])
    both = torch.cat([prompts.special(which, 1) for which in (prompts.ANY, prompts.NOTHING)])
    assert vectors.shape == (3, 77, 8) and torch.equal(base.prompts(both), vectors[:2])
    assert (vectors[2] - vectors[0]).abs().max() > 1e-3


def test_noise_is_that_of_the_schedule(base):
    way, z, e = base.noising, torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)
    clock, levels = way.clock(50, "ddim", 1.0)
    assert clock.timesteps.tolist() == list(range(981, 0, -20))  # the authors' grid
    assert way.told(torch.tensor(levels)).tolist() == clock.timesteps.tolist()
    level = torch.tensor([0.1, 0.5, 0.9])
    noisy = way.mix(z, e, level)
    torch.testing.assert_close(noisy, clock.add_noise(z, e, way.told(level)))
    torch.testing.assert_close(way.clean(noisy, way.aim(z, e, level), level), z, atol=1e-3, rtol=1e-3)
    assert way.at(10) < way.at(1) < way.at(0.1)
    other = hub.noising(dict(clock.config) | {"prediction_type": "v_prediction"})
    torch.testing.assert_close(other.aim(z, e, level), clock.get_velocity(z, e, way.told(level)))
    torch.testing.assert_close(other.clean(noisy, other.aim(z, e, level), level), z, atol=1e-3, rtol=1e-3)
    with pytest.raises(ValueError, match="shift is 1, found 4"):
        way.clock(5, "ddim", 4)


@pytest.mark.parametrize(("solver", "guidance"), [("ddim", 1.0), ("ddim", 1.75), ("dpm", 1.75)])
def test_diffusers_own_pipeline_draws_the_same(base, inverter, solver, guidance):
    maps = torch.randn(2, 6, 4, 4)
    pipe = hub.pipeline(inverter, solver=solver)
    pipe.set_progress_bar_config(disable=True)
    asked = dict(prompt_embeds=base.prompts([hub.PROMPT] * 2), negative_prompt_embeds=base.prompts([""] * 2))
    theirs = pipe(
        **asked, image=inverter.control.encoder(maps), latents=sample.noise(base.shape, [3, 4]), num_inference_steps=4,
        guidance_scale=guidance, controlnet_conditioning_scale=0.8, output_type="pt",
    ).images  # fmt: skip
    way = dict(steps=4, solver=solver, guidance=guidance, strength=0.8)
    mine = sample.reconstruct(inverter, maps, seeds=[3, 4], **way)
    torch.testing.assert_close(mine, theirs.float(), atol=1e-4, rtol=0)
    alone = sample.reconstruct(inverter, maps[1:], seeds=4, **way)
    torch.testing.assert_close(alone, mine[1:], atol=1e-4, rtol=0)


def test_an_untrained_inverter_is_the_base_exactly(base):
    fresh = control.build(base, (6, 4, 4), "0")
    assert fresh.control.encoder.config.hidden == 512
    free = sample.sample(base, seeds=[1], steps=2, solver="ddim")
    drawn = sample.reconstruct(fresh, torch.randn(1, 6, 4, 4), seeds=1, steps=2, solver="ddim")
    torch.testing.assert_close(drawn, free, atol=1e-6, rtol=0)


def test_an_inverter_on_it_is_trained_and_read_as_the_edition_says(ed, tmp_path, monkeypatch):
    """Pictures have 48 pixels, drawn ones 64: the network sees 48 of both."""
    count = dict(base=4, inverter=6, val=4)

    def shown(edition, what, n=None):
        images = (torch.rand(count[what], 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 255).byte()
        return pictures.Shown(images, prompts.special(prompts.UNSAID, len(images))[:, None], ())

    monkeypatch.setattr(pictures, "shown", shown)
    monkeypatch.setattr(shipped, "TRAINING", tmp_path)
    monkeypatch.setattr(hub, "HIDDEN", 8)
    monkeypatch.setenv("SIGHTGLASS_CACHE", str(tmp_path / "cache"))
    words = ["--edition", str(ed.file), "--model", "mine", "--steps", "2", "--batch", "2", "--device", "cpu"]
    with pytest.raises(FileNotFoundError, match="'tiny_invert_mine_0' isn't trained.*invert train .*--model mine"):
        ready.inverter(ed, "mine")
    assert train.main(words) == 0
    with pytest.raises(FileNotFoundError, match="'tiny_invert_mine_1_pooled' isn't trained.*--tap 1 --pooled"):
        ready.inverter(ed, "mine", tap="1", pooled=True)
    on, there, absent = ready.found(ed, {"a": {"role": "mine"}, "b": {"role": "mine", "tap": "1"}})
    assert there["a"].base is on and set(there) == {"a"} and set(absent) == {"b"} and "isn't trained" in absent["b"]
    made, net = ready.inverter(ed, "mine"), ed.model("mine")
    assert made.facts["pixels"] == 48 and made.facts["recipe"]["rate"] == 1e-5 and made.drawing["steps"] == 3
    drawn = sample.reconstruct(made, made.features(net, torch.rand(2, 3, 48, 48)), seeds=[0, 1])
    assert drawn.shape == (2, 3, 64, 64) and made.features(net, drawn).shape == (2, 6, 4, 4)
    way = dict(steps=3, solver="ddim", guidance=1.75)
    bare = control.read("tiny_invert_mine_0", base=made.base)
    maps = torch.randn(1, 6, 4, 4)
    assert torch.equal(sample.reconstruct(made, maps), sample.reconstruct(bare, maps, **way))


def test_what_is_missing_is_one_sentence(ed, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    text = ed.file.read_text().replace(str(ed.file.parent / "pipe"), "nobody/no-such-model")
    (tmp_path / "gone.yaml").write_text(text)
    with pytest.raises(
        RuntimeError, match="could not give nobody/no-such-model.*hf download nobody/no-such-model"
    ) as e:
        hub.load(sg.load(str(tmp_path / "gone.yaml")), "tiny")
    assert "\n" not in str(e.value)
    with pytest.raises(ValueError, match="no diffusion network 'mine'; valid: .'tiny'."):
        hub.load(ed, "mine")
    with pytest.raises(ValueError, match="unknown inverter of the tiny edition 'other'"):
        ready.inverter(ed, "other")
    (tmp_path / "none.yaml").write_text("images: {source: world}\nnetworks: {resnet50: world/resnet50}\n")
    none = sg.load(str(tmp_path / "none.yaml"))
    assert none.gives("inverters") == "the none edition lists no inverters" and ed.gives("inverters") == ""
    with pytest.raises(ValueError, match="the none edition lists no inverters"):
        ready.inverter(none, "resnet50")
    assert ready.found(none, {"a": {"role": "resnet50"}}) == (None, {}, {"inverters": none.gives("inverters")})
    (tmp_path / "own.yaml").write_text(text.replace("base: tiny, size: 64, ", ""))
    with pytest.raises(FileNotFoundError, match="'own_base' isn't trained.*train base --edition .*own.yaml`"):
        ready.inverter(sg.load(str(tmp_path / "own.yaml")), "mine")
    (tmp_path / "way.yaml").write_text(text.replace("guidance", "guidence"))
    with pytest.raises(ValueError, match="unknown option of drawing 'guidence'"):
        ready.base(sg.load(str(tmp_path / "way.yaml")), "mine")
    with pytest.raises(ValueError, match="sides that 8 divides, found -64"):
        hub.load(ed, "tiny", size=-64)
    for entry, reason in (("{tapp: a}", "unknown key 'tapp'"), ("{base: mine}", "unknown diffusion network 'mine'")):
        (tmp_path / "odd.yaml").write_text(text.split("inverters:")[0] + f"inverters: {{mine: {entry}}}\n")
        with pytest.raises(ValueError, match=reason):
            sg.load(str(tmp_path / "odd.yaml"))


def test_world_inverters_are_listed():
    ed = sg.load("world", device="cpu")
    taps = {role: entry.tap for role, entry in ed.inverters.items()}
    assert taps == {"resnet50": "block5", "convnext_base": "block5", "swinv2_base": "block4"}
    assert set(taps) < set(ed.networks)
