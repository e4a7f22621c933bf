"""Bases of the paper's size: a latent diffusion model from the hub, drawn and trained with like the world's own.

The pipeline's parts become a `Base`: its autoencoder the codec, its text encoder the prompts, its schedule the noise.
Inverters on it are diffusers' ControlNet with our encoder, and `pipeline` hands them to diffusers' own pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from torch import Tensor, nn

from . import prompts
from .base import Base, freeze
from .control import Inverter
from .flow import STEPS, Noising

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline, StableDiffusionControlNetPipeline

    from ..editions import Edition

PROMPT = "a high-quality, detailed, and professional image"  # the paper's
HIDDEN, BATCH = 512, 8  # the paper's encoder; pictures drawn at a time
SOLVERS = {"ddim": DDIMScheduler, "dpm": DPMSolverMultistepScheduler}


class Latents(nn.Module):
    """A pipeline's autoencoder with the codec's functions: pixels in [-1, 1] to latents and back."""

    def __init__(self, vae: nn.Module):
        super().__init__()
        self.vae = vae

    @property
    def patch(self) -> int:
        """Return the pixels a side of one latent position."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def pack(self, x: Tensor) -> Tensor:
        """Turn pixels (n, 3, h, w) into latents, without the small noise that its training puts on them."""
        return self.vae.encode(x).latent_dist.mode() * self.vae.config.scaling_factor

    def unpack(self, z: Tensor) -> Tensor:
        """Turn latents into pixels, unclamped."""
        return self.vae.decode(z / self.vae.config.scaling_factor).sample

    def encode(self, x: Tensor) -> SimpleNamespace:
        """Turn pixels into `.latents`."""
        return SimpleNamespace(latents=self.pack(x))

    def decode(self, z: Tensor) -> SimpleNamespace:
        """Turn latents into `.sample`, pixels in [-1, 1]."""
        return SimpleNamespace(sample=self.unpack(z).clamp(-1, 1))


def load(edition: Edition, role: str, *, size: int = 0) -> Base:
    """Read the base that an edition names as a diffusion network; pictures have `size` pixels, as many as it says at 0.

    It is frozen and on the edition's device.
    """
    spec = edition.networks.get(role)
    if spec is None or spec.kind != "diffusion":
        known = [name for name, one in edition.networks.items() if one.kind == "diffusion"]
        raise ValueError(f"the {edition.name} edition has no diffusion network {role!r}; valid: {known or 'none'}")
    return wrap(edition.model(role), size=size, name=spec.name).to(edition.device)


def wrap(pipe: DiffusionPipeline, *, size: int = 0, name: str = "") -> Base:
    """Make a frozen base of the parts of a text-to-image pipeline."""
    codec, unet = Latents(pipe.vae.float().eval().requires_grad_(False)), pipe.unet.float()
    if size < 0 or size % codec.patch:
        raise ValueError(f"pictures of {name or 'this model'} have sides that {codec.patch} divides, found {size}")
    size = size or unet.config.sample_size * codec.patch
    unet.register_to_config(sample_size=size // codec.patch)
    facts = {"family": "hub", "name": name, "hidden": HIDDEN, "batch": BATCH}
    return freeze(Base(unet, codec, (), size, facts, noising(pipe.scheduler.config), text(pipe)))


def text(pipe: DiffusionPipeline) -> Callable[[Sequence[str] | Tensor], Tensor]:
    """Return what turns captions, or word numbers of ANY and NOTHING, into vectors (n, tokens, width)."""

    @torch.no_grad()
    def encoded(said: Sequence[str]) -> Tensor:
        return pipe.encode_prompt(list(said), "cpu", 1, do_classifier_free_guidance=False)[0].float()

    pipe.text_encoder.to("cpu").eval()
    special = encoded([PROMPT, ""])  # in the order of ANY and NOTHING

    def vectors(said: Sequence[str] | Tensor) -> Tensor:
        if not isinstance(said, Tensor):
            return encoded(said)
        if said.numel() and int(said[:, 0, 0].max()) > prompts.NOTHING:
            raise ValueError("a hub model reads captions as texts; only ANY and NOTHING are known to it by number")
        return special[said[:, 0, 0].cpu()]

    return vectors


def noising(config: dict) -> Noising:
    """Return how noise works in a pipeline, by the configuration of its scheduler; levels are steps / 1000."""
    kind, total = config.get("prediction_type", "epsilon"), config.get("num_train_timesteps", STEPS)
    if kind not in ("epsilon", "v_prediction"):
        raise ValueError(f"hub models predict epsilon or v_prediction, found {kind!r}")
    kept = DDIMScheduler.from_config(config).alphas_cumprod

    def told(level: Tensor) -> Tensor:
        return (level * total).round().long().clamp(0, total - 1)

    def parts(level: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is left of the picture, and the noise."""
        left = kept.to(level.device)[told(level)].view(-1, 1, 1, 1)
        return left.sqrt(), (1 - left).sqrt()

    def mix(z: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        signal, rest = parts(level)
        return signal * z + rest * noise

    def aim(z: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        signal, rest = parts(level)
        return noise if kind == "epsilon" else signal * noise - rest * z

    def clean(noisy: Tensor, predicted: Tensor, level: Tensor) -> Tensor:
        signal, rest = parts(level)
        return (noisy - rest * predicted) / signal if kind == "epsilon" else signal * noisy - rest * predicted

    def at(ratio: float) -> float:
        return ((kept / (1 - kept)).sqrt() - ratio).abs().argmin().item() / total

    def clock(steps: int, solver: str, shift: float) -> tuple[object, list[float]]:
        if shift != 1:
            raise ValueError(f"the steps of a hub model are spaced by its own schedule: shift is 1, found {shift}")
        made = SOLVERS[solver].from_config(config, clip_sample=False)
        made.set_timesteps(steps)
        return made, (made.timesteps / total).tolist()

    return Noising(mix, aim, clean, told, at, clock)


def pipeline(inverter: Inverter, *, solver: str = "ddim") -> StableDiffusionControlNetPipeline:
    """Return diffusers' own pipeline of an inverter on a hub model, to go on with there.

    Its `image` is `inverter.control.encoder(maps)`, its `prompt_embeds` are `inverter.base.prompts([PROMPT])`.
    """
    from diffusers import StableDiffusionControlNetPipeline

    if inverter.base.facts.get("family") != "hub":
        raise ValueError("this inverter is on a base of its own; the pipeline takes those on a hub model")
    return StableDiffusionControlNetPipeline(
        vae=inverter.base.codec.vae, text_encoder=None, tokenizer=None, unet=inverter.base.unet,
        controlnet=inverter.control.net, scheduler=inverter.base.noising.clock(50, solver, 1.0)[0],
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
