"""Networks of an edition, made by the zoo, torchvision, open_clip or diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..names import unknown
from .record import Edition, Network
from .surroundings import existing

if TYPE_CHECKING:
    from torch import nn


def build(edition: Edition, role: str) -> nn.Module:
    """Build the network of a role: eval mode, frozen, with mean and std, on the edition's device."""
    if role not in edition.networks:
        raise ValueError(unknown(f"network of the {edition.name} edition", role, edition.networks))
    spec = edition.networks[role]
    model = MAKERS[package(spec)](edition, spec)
    if spec.kind == "diffusion":
        return model.to(edition.device)
    if spec.mean:
        known = getattr(model, "pretrained_cfg", None) or {}
        model.pretrained_cfg = {**known, "mean": spec.mean, "std": spec.std}
    if not getattr(model, "pretrained_cfg", None):
        raise ValueError(
            f"{edition.file.name}: networks: {role}: it says nothing of its pixel scale, "
            "add mean: [..] and std: [..] (three values each)"
        )
    return model.to(edition.device).eval().requires_grad_(False)


def package(spec: Network) -> str:
    """Tell which package builds a network; the zoo stands on timm."""
    if spec.kind == "diffusion":
        return "diffusers"
    if spec.name.startswith("torchvision/"):
        return "torchvision"
    own = spec.architecture or spec.builder or spec.name.startswith("world/")
    return "open_clip" if spec.kind == "image-text" and not own else "timm"


def files(edition: Edition, spec: Network) -> dict[str, Path]:
    """Find the files and folders that a network's entry names: text -> path, each of them there."""
    from ..zoo.loading import is_path

    named = [spec.builder.rpartition(":")[0], spec.weights if spec.architecture or spec.builder else ""]
    named += [spec.name] if spec.name.startswith("${") or is_path(spec.name) else []
    return {text: existing(text, edition.file, f"networks: {spec.role}") for text in named if text}


def from_zoo(edition: Edition, spec: Network) -> nn.Module:
    """Take a world, timm or hub network, a folder, a checkpoint, or what a function of the user's makes."""
    from .. import zoo

    found = files(edition, spec)
    file, _, function = spec.builder.rpartition(":")
    builder = f"{found[file]}:{function}" if file else ""
    name = spec.name or spec.weights
    how = {"architecture": spec.architecture, "arguments": spec.arguments, "builder": builder}
    return zoo.model(str(found.get(name, name)), **how)


def from_torchvision(edition: Edition, spec: Network) -> nn.Module:
    """Take a torchvision network with the weights its entry names."""
    from torchvision import models

    weights = torchvision_weights(spec)
    try:
        model = models.get_model(spec.name.removeprefix("torchvision/"), weights=weights, **spec.arguments)
    except OSError as error:
        raise RuntimeError(f"{spec.name} could not be fetched from {weights.url}: {error}") from None
    transform = weights.transforms()
    model.pretrained_cfg = {"mean": tuple(transform.mean), "std": tuple(transform.std)}
    return model


def torchvision_weights(spec: Network) -> object:
    """Find the weights of a torchvision network: those its entry names, or the first published ones."""
    from torchvision import models

    name, wanted = spec.name.removeprefix("torchvision/"), spec.weights or "IMAGENET1K_V1"
    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(unknown("torchvision network", name, known))
    choices = models.get_model_weights(name)
    if wanted not in choices.__members__:
        raise ValueError(unknown(f"weights of {spec.name}", wanted, choices.__members__))
    return choices[wanted]


def from_open_clip(edition: Edition, spec: Network) -> nn.Module:
    """Take an image-text network from open_clip."""
    from .openclip import fetch

    return fetch(spec.name, spec.weights)


def from_diffusers(edition: Edition, spec: Network) -> object:
    """Take a diffusion pipeline from a hub id or folder."""
    from diffusers import DiffusionPipeline

    name = str(files(edition, spec).get(spec.name, spec.name))
    try:
        return DiffusionPipeline.from_pretrained(name.removeprefix("hf-hub:"), **spec.arguments)
    except OSError as error:
        reason = " ".join(str(error).split())[:200]
        raise RuntimeError(f"diffusers could not give {name}: {reason}; with a network at hand: "
                           f"hf download {name.removeprefix('hf-hub:')}") from None  # fmt: skip


MAKERS = {
    "timm": from_zoo,
    "torchvision": from_torchvision,
    "open_clip": from_open_clip,
    "diffusers": from_diffusers,
}
