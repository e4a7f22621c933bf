"""Train what draws an edition's pictures, codec and base, or an inverter of any network on it.

    python -m sightglass invert train codec --fuse
    python -m sightglass invert train base --codec codec
    python -m sightglass invert train --model resnet50 --tap block5

The same command goes on where it was cut off. A folder (training/... unless told) holds the checkpoint, the log, sheets
of pictures, one every few hundred steps, and at the end the weights; `--ship` also puts them beside the networks'. On
many devices: `accelerate launch -m sightglass invert train ...`.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from ..names import name_in, name_of
from ..zoo import shipped, weights
from . import base as bases
from . import checkpoint, control, diary, loop, pictures, ready, seen
from . import codec as patches
from .autoencoder import Autoencoder, even_out
from .codec import pixels_in
from .encoder import features
from .jobs import RECIPES, base_job, codec_job, inverter_job
from .options import parse

SHOWN = 48  # pictures of the val split that a training is looked at with
EVENED = 4096  # pictures that set the mean and the spread of a codec's latents


def train_codec(options: argparse.Namespace, accelerator) -> tuple[dict, bool]:
    """Train an autoencoder as the command line says and write it; return its card, and whether it was asked to stop."""
    recipe, unseen = chosen(options, "codec"), pictures.shown(options.edition, "val", SHOWN)
    eyes = network(options.edition, options.eyes).to(accelerator.device)
    given = pictures.shown(options.edition, "base", options.images)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe["seed"])
        codec = Autoencoder(options.channels, tuple(options.widths)).to(accelerator.device)
    job = codec_job(options.folder, codec, given, unseen, recipe, eyes)
    facts = {"family": "codec", "edition": options.edition, "eyes": options.eyes, "codec": bases.told(codec)}
    facts |= {"recipe": recipe | {"images": len(given)}}

    def save(path: Path, end: dict) -> dict:
        even_out(codec, pixels_in(given.images[:EVENED]).to(codec.device))
        return shipped.save(path, shipped.joined(codec=codec), facts | end)

    return trained(job, options, accelerator, save)


def train_base(options: argparse.Namespace, accelerator) -> tuple[dict, bool]:
    """Train a base as the command line says and write it; return its card, and whether it was asked to stop."""
    recipe, unseen = chosen(options, "base"), pictures.shown(options.edition, "val", SHOWN)
    found = None if options.codec == "patches" else bases.codec_named(options.codec)
    given = pictures.shown(options.edition, "base", options.images)
    found, shape = found or patches.fit(given.images[:EVENED]), {"size": given.images.shape[-1], "seed": recipe["seed"]}
    base = bases.build(found, given.words, widths=options.widths, **shape).to(accelerator.device)
    given = seen.keep_latents(given, base, budget=options.budget * 1e9, progress=accelerator.is_main_process)
    facts = {"edition": options.edition, "recipe": recipe | {"images": len(given)}}
    job = base_job(options.folder, base, given, unseen, recipe)
    return trained(job, options, accelerator, lambda path, end: bases.save(base, path, facts | end))


def train_inverter(options: argparse.Namespace, accelerator) -> tuple[dict, bool]:
    """Train an inverter as the command line says and write it; return its card, and whether it was asked to stop."""
    base, model = steered(options).to(accelerator.device), network(options.edition, options.model)
    model = model.to(accelerator.device)
    recipe = chosen(options, "hub" if base.facts.get("family") == "hub" else "inverter")
    unseen = pictures.shown(options.edition, "val", SHOWN)
    shape = tuple(features(model, pictures.taken(unseen, torch.tensor([0])), options.tap).shape[1:])
    inverter = control.build(base, shape, options.tap, pooled=options.pooled, seed=recipe["seed"])
    looked = {"facts": {"pixels": unseen.images.shape[-1]}, "drawing": getattr(listed(options), "drawing", {})}
    inverter = dataclasses.replace(inverter.to(accelerator.device), **looked)  # so far what is wrong is said at once
    given = pictures.shown(options.edition, "inverter", options.images)
    kept = {"budget": options.budget * 1e9, "progress": accelerator.is_main_process}
    given = seen.keep_latents(seen.keep(given, model, options.tap, **kept), base, **kept)
    facts = inverter.facts | {"edition": options.edition, "model": options.model, "recipe": recipe,
                              "network": control.fingerprint(model), "images": len(given)}  # fmt: skip
    job = inverter_job(options.folder, inverter, model, given, unseen, recipe)
    return trained(job, options, accelerator, lambda path, end: control.save(inverter, path, facts | end))


def steered(options: argparse.Namespace) -> bases.Base:
    """Return the base that is named, or that of the edition."""
    from .. import editions

    if options.base:
        return bases.load(options.base)
    return ready.base(editions.load(options.edition, device="cpu"), options.model)


def network(edition: str, name: str) -> nn.Module:
    """Return a network by its role in an edition, or by any name or path that the zoo knows."""
    from .. import editions, zoo

    given = editions.load(edition, device="cpu")
    return given.model(name) if name in given.networks else zoo.model(name)


def chosen(options: argparse.Namespace, what: str) -> dict:
    """Return a recipe with what the command line changes."""
    own = {key: getattr(options, key) for key in ("batch", "rate", "seed") if getattr(options, key) is not None}
    return RECIPES[what] | own


def named(options: argparse.Namespace, what: str) -> str:
    """Name the file of a base or an inverter."""
    from ..editions.spec import read

    name = name_of(options.model, options.tap, pooled=options.pooled) if what == "inverter" else what
    return name_in(read(options.edition).name, name)


def listed(options: argparse.Namespace):
    """Return what the edition's file says of the network's inverter, or None."""
    from ..editions.spec import read

    return read(options.edition).inverters.get(options.model)


TRAIN = {"codec": train_codec, "base": train_base, "inverter": train_inverter}


def trained(
    job: loop.Job, options: argparse.Namespace, accelerator, save: Callable[[Path, dict], dict]
) -> tuple[dict, bool]:
    """Run a job as far as the command line says and write it; return its card, and whether it was asked to stop."""
    plan = loop.Plan(options.steps, options.minutes, options.every, options.fuse)
    with asked_to_stop() as asked:
        state = loop.run(job, accelerator, plan, stop=lambda: bool(asked), progress=accelerator.is_main_process)
    end = {"steps": state["step"], "minutes": round(state["seconds"] / 60, 1), "loss": state["loss"]}
    end["curve"] = diary.curve(job.folder)
    if not accelerator.is_main_process:
        return {}, bool(asked)
    name = named(options, options.what)
    card = save(options.folder / name, end)
    if options.ship and not asked:
        save(weights.FOLDER / name, end)
    return card | {"of": state["total"]}, bool(asked)


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """Collect the signals that ask for an end, for a step to be finished first."""
    asked: list[int] = []
    before = {k: signal.signal(k, lambda number, _: asked.append(number)) for k in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def told(options: argparse.Namespace, found: Path | None) -> str:
    """Say where a training lies, and from which step it goes on."""
    if found is None:
        return f"{named(options, options.what)}: log, sheets and weights come to {options.folder}"
    step = checkpoint.read(found)["step"]
    return f"{named(options, options.what)}: goes on from step {step} in {options.folder}"


def main(arguments: list[str] | None = None) -> int:
    """Train one model; Ctrl-C or a kill writes a checkpoint first."""
    from accelerate import Accelerator

    from ..editions.surroundings import resolve

    options = parse(sys.argv[1:] if arguments is None else arguments)
    if options.what == "inverter":
        options.tap = options.tap or getattr(listed(options), "tap", "block5")
    options.folder = (options.folder or shipped.TRAINING / named(options, options.what)).expanduser().resolve()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = resolve(options.device)
    wanted = {"auto": "bf16" if device.startswith("cuda") else "no"}.get(options.precision, options.precision)
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision=wanted)
    if options.afresh:
        shutil.rmtree(options.folder / "checkpoint", ignore_errors=True)
        shutil.rmtree(options.folder / "checkpoint.old", ignore_errors=True)
    accelerator.print(told(options, checkpoint.find(options.folder)))
    card, stopped = TRAIN[options.what](options, accelerator)
    if card and stopped:
        print(f"stopped at step {card['steps']} of {card['of']}; the same command goes on from there", flush=True)
    elif card:
        print(f"{card['name']}: {card['steps']} steps, {card['minutes']} min, {card['bytes'] / 1e6:.2f} MB in "
              f"{options.folder}", flush=True)  # fmt: skip
    return 130 if stopped else 0


if __name__ == "__main__":
    raise SystemExit(main())
