"""What is trained here, and how: codec and base on pictures and captions, an inverter on pictures and features."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

from . import base as bases
from . import flow, looks, loop, pictures, prompts, seen
from .autoencoder import Autoencoder, unlike
from .base import Base
from .codec import pixels_in
from .control import Control, Inverter, fingerprint
from .encoder import measure

COMMON = {
    "batch": 32, "rate": 1e-3, "warm_up": 300, "cool": 0.35, "decay": 0.01, "betas": (0.9, 0.99), "clip": 1.0,
    "average": 0.999, "seed": 0,
}  # fmt: skip
RECIPES = {
    "codec": COMMON | {
        "steps": 9_000, "batch": 16, "rate": 2e-3, "cool": 0.5, "noise": 0.15, "squared": 0.1, "eyes": 0.1,
    },
    # most pictures without a caption: that is how inverters use it
    "base": COMMON | {
        "steps": 19_000, "batch": 64, "rate": 1.5e-3, "average": 0.9995, "shift": 2.0, "any": 0.45, "nothing": 0.1,
    },
    # features matter at much noise; prompt and features are left out together
    "inverter": COMMON | {"steps": 6_000, "shift": 4.0, "drop": 0.15, "seed": 1},
    # the paper's, on a model from the hub: one rate throughout, no averaging
    "hub": COMMON | {
        "steps": 480_000, "batch": 8, "rate": 1e-5, "warm_up": 1, "cool": 0.0, "betas": (0.9, 0.999), "average": 0.0,
        "shift": 1.0, "drop": 0.15, "seed": 1,
    },
}  # fmt: skip
MEASURED = 1024  # pictures behind the encoder's mean and spread
LEARNT_BY = ("block1", "block2", "block3")  # taps of the network in whose eyes drawn pictures must look right


def codec_job(folder: Path, codec: Autoencoder, given: pictures.Shown, unseen: pictures.Shown, recipe: dict,
              eyes: nn.Module) -> loop.Job:  # fmt: skip
    """Make the job of training an autoencoder: right in pixels, and in the eyes of a network."""
    distance, side = unlike(eyes, LEARNT_BY), given.images.shape[-1] // codec.patch
    shape = (recipe["batch"], codec.arguments["channels"], side, side)

    def loss(net: nn.Module, draws: torch.Generator) -> Tensor:
        rows, _, mirrored = pictures.chosen(given, recipe["batch"], draws)
        images = pictures.taken(given, rows, mirrored).to(codec.device)
        noise = recipe["noise"] * torch.randn(shape, generator=draws).to(images)
        drawn, pixels = net(pixels_in(images), noise), pixels_in(images)
        missed = (drawn - pixels).abs().mean() + recipe["squared"] * (drawn - pixels).square().mean()
        return missed + recipe["eyes"] * distance(drawn / 2 + 0.5, images)

    def look(path: Path) -> dict[str, float]:
        return looks.look_at_codec(codec, unseen, path)

    return loop.Job("codec", folder, codec, loss, look, recipe, {"eyes": fingerprint(eyes)})


def base_job(folder: Path, base: Base, given: pictures.Shown, unseen: pictures.Shown, recipe: dict) -> loop.Job:
    """Make the job of training a base."""

    def loss(net: nn.Module, draws: torch.Generator) -> Tensor:
        rows, tale, mirrored = pictures.chosen(given, recipe["batch"], draws)
        said = prompts.forget(given.said[rows, tale], draws, share=recipe["any"], nothing=recipe["nothing"])
        z = seen.latents(given, base, rows, mirrored)
        level, noise = noised(z, draws, recipe["shift"])
        pace = bases.velocity(
            dataclasses.replace(base, unet=net), base.noising.mix(z, noise, level), level, base.prompts(said)
        )
        return missed(pace, base.noising.aim(z, noise, level))

    # that of patches is found anew each time, to the last bit only on one machine
    about = {"codec": fingerprint(base.codec) if isinstance(base.codec, Autoencoder) else "patches"}
    return loop.Job("base", folder, base.unet, loss, lambda path: looks.look_at_base(base, unseen, path), recipe, about)


def inverter_job(folder: Path, inverter: Inverter, model: nn.Module, given: pictures.Shown, unseen: pictures.Shown,
                 recipe: dict) -> loop.Job:  # fmt: skip
    """Make the job of training an inverter on a frozen base; its encoder learns the features' scale first."""
    base, first = inverter.base, torch.arange(min(MEASURED, len(given)))
    measure(inverter.control.encoder, seen.maps(given, model, inverter.tap, first, first < 0))

    def loss(net: Control, draws: torch.Generator) -> Tensor:
        rows, _, mirrored = pictures.chosen(given, recipe["batch"], draws)
        z = seen.latents(given, base, rows, mirrored)
        level, noise = noised(z, draws, recipe["shift"])
        drop = torch.rand(len(rows), generator=draws) < recipe["drop"]
        some, none = (prompts.special(which, len(rows)) for which in (prompts.ANY, prompts.NOTHING))
        prompt = base.prompts(torch.where(drop.view(-1, 1, 1), none, some))
        maps = seen.maps(given, model, inverter.tap, rows, mirrored).to(z.device)
        noisy = base.noising.mix(z, noise, level)
        steer = net(noisy, level, prompt, maps, drop.to(z.device))
        return missed(bases.velocity(base, noisy, level, prompt, steer), base.noising.aim(z, noise, level))

    def look(path: Path) -> dict[str, float]:
        return looks.look_at_inverter(inverter, model, unseen, path)

    about = {"model": fingerprint(model), "tap": inverter.tap, "base": fingerprint(base.unet)}
    about["kind of features"] = "means" if inverter.pooled else "maps"
    return loop.Job(folder.name, folder, inverter.control, loss, look, recipe, about)


def noised(z: Tensor, draws: torch.Generator, shift: float) -> tuple[Tensor, Tensor]:
    """Return noise levels (n,) for latents (n, c, h, w), and noise."""
    level = flow.levels(len(z), draws, shift=shift)
    return level.to(z), torch.randn(z.shape, generator=draws).to(z)


def missed(predicted: Tensor, aim: Tensor) -> Tensor:
    """Measure the mean squared error of a prediction."""
    return (predicted.float() - aim).square().mean()
