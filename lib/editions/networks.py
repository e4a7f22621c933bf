"""Networks of an edition, made by the world, timm, torchvision, open_clip, a checkpoint or a function."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..names import unknown
from .surroundings import place

if TYPE_CHECKING:
    from torch import nn

    from .record import Edition, Network

FILES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


def build(edition: Edition, role: str) -> nn.Module:
    """Build the network of a role: eval mode, frozen, finite, with mean and std, on the edition's device."""
    if role not in edition.networks:
        raise ValueError(unknown(f"network of the {edition.name} edition", role, edition.networks))
    spec = edition.networks[role]
    model = MAKERS[way(spec)](edition, spec)
    if spec.kind == "diffusion":
        return model.to(edition.device)
    sound(f"{edition.file.name}: networks: {role}", model)
    if spec.mean:
        known = getattr(model, "pretrained_cfg", None) or {}
        model.pretrained_cfg = {**known, "mean": spec.mean, "std": spec.std}
    if not getattr(model, "pretrained_cfg", None):
        raise ValueError(
            f"{edition.file.name}: networks: {role}: it says nothing of its pixel scale, "
            "add mean: [..] and std: [..] (three values each)"
        )
    return model.to(edition.device).eval().requires_grad_(False)


def way(spec: Network) -> str:
    """Tell which of the makers builds a network."""
    if spec.kind == "diffusion":
        return "diffusion"
    if spec.builder:
        return "builder"
    if spec.name.startswith("torchvision/"):
        return "torchvision"
    if spec.kind == "image-text" and not spec.name.startswith("world/"):
        return "open_clip"
    return "checkpoint" if spec.architecture else "zoo"


def file(edition: Edition, role: str, text: str) -> Path:
    """Find a file or folder that a network's entry names."""
    path = place(text, edition.file, f"{edition.file.name}: networks: {role}")
    if not path.exists():
        raise FileNotFoundError(f"{edition.file.name}: networks: {role}: nothing at {path}")
    return path


def is_path(name: str) -> bool:
    """Tell a path from a timm name or hub id."""
    return name.startswith((".", "/", "~", "${")) or name.endswith(FILES)


def from_zoo(edition: Edition, spec: Network) -> nn.Module:
    """Take a world, timm or hub network, or a hub-shaped local folder."""
    from .. import zoo

    name = str(file(edition, spec.role, spec.name)) if is_path(spec.name) else spec.name
    return zoo.model(name, **({"arguments": spec.arguments} if spec.arguments else {}))


def from_checkpoint(edition: Edition, spec: Network) -> nn.Module:
    """Build a timm architecture and fill it from a weight file."""
    if not spec.weights:
        raise ValueError(f"{edition.file.name}: networks: {spec.role}: an architecture needs weights: a file")
    from .. import zoo

    path = file(edition, spec.role, spec.weights)
    return zoo.model(str(path), architecture=spec.architecture, arguments=spec.arguments)


def from_torchvision(edition: Edition, spec: Network) -> nn.Module:
    """Take a torchvision network with the weights its entry names (the first published ones by default)."""
    from torchvision import models

    name = spec.name.removeprefix("torchvision/")
    if name not in models.list_models(module=models):
        raise ValueError(unknown("torchvision network", name, models.list_models(module=models)))
    choices = models.get_model_weights(name)
    wanted = spec.weights or "IMAGENET1K_V1"
    if wanted not in choices.__members__:
        raise ValueError(unknown(f"weights of torchvision/{name}", wanted, choices.__members__))
    weights = choices[wanted]
    try:
        model = models.get_model(name, weights=weights, **spec.arguments)
    except OSError as error:
        raise RuntimeError(f"torchvision/{name} could not be fetched from {weights.url}: {error}") from None
    transform = weights.transforms()
    model.pretrained_cfg = {"mean": tuple(transform.mean), "std": tuple(transform.std), "architecture": name}
    return model


def from_builder(edition: Edition, spec: Network) -> nn.Module:
    """Call the user's own function ``file.py:function`` with the weight file, if any, and the arguments."""
    text, colon, function = spec.builder.rpartition(":")
    if not colon:
        where = f"{edition.file.name}: networks: {spec.role}"
        raise ValueError(f"{where}: builder is {spec.builder!r}, expected file.py:function")
    from .. import zoo

    builder = f"{file(edition, spec.role, text)}:{function}"
    weights = str(file(edition, spec.role, spec.weights)) if spec.weights else ""
    return zoo.model(weights, builder=builder, arguments=spec.arguments)


def from_open_clip(edition: Edition, spec: Network) -> nn.Module:
    """Take an image-text network from open_clip."""
    from .openclip import fetch

    return fetch(spec.name, spec.weights)


def from_diffusers(edition: Edition, spec: Network) -> object:
    """Take a diffusion pipeline from a hub id or folder."""
    from diffusers import DiffusionPipeline

    name = str(file(edition, spec.role, spec.name)) if is_path(spec.name) else spec.name
    try:
        return DiffusionPipeline.from_pretrained(name.removeprefix("hf-hub:"), **spec.arguments)
    except OSError as error:
        raise RuntimeError(f"diffusers could not give {name}: {error}") from None


def sound(where: str, model: object) -> None:
    """Refuse what is no network, and a network with weights that aren't finite."""
    from torch import nn

    if not isinstance(model, nn.Module):
        raise ValueError(f"{where}: the builder returned {type(model).__name__}, expected a torch.nn.Module")
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(f"{where}: {name} has values that are not finite, so its weights can't be used")


MAKERS = {
    "zoo": from_zoo,
    "checkpoint": from_checkpoint,
    "torchvision": from_torchvision,
    "builder": from_builder,
    "open_clip": from_open_clip,
    "diffusion": from_diffusers,
}
