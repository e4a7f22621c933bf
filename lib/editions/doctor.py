"""List what an edition needs as found or missing, with how to get it; nothing is downloaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

from ..names import DATA, ROOT, name_in, name_of, unknown
from . import networks
from .gives import missing
from .record import Edition, Inverter, Network
from .surroundings import place, resolve


class Need(NamedTuple):
    """One thing an edition needs, its state ("found" or "missing"), and how to get it."""

    need: str
    state: str
    how: str


PIP = {"open_clip": "open_clip_torch", "PIL": "pillow"}
WEIGHT_FILES = (
    "model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.bin",
    "model_index.json",
)  # fmt: skip


def doctor(edition: str | Path) -> list[Need]:
    """Check the packages, device, folders and networks of an edition."""
    from .spec import read

    found = read(edition)
    return [
        *packages(found),
        device(found),
        images(found),
        *folders(found),
        *(network(found, spec) for spec in found.networks.values()),
        *(need for entry in found.inverters.values() for need in inverters(found, entry)),
    ]


def packages(edition: Edition) -> list[Need]:
    """Check the packages that the edition's images and networks take."""
    used = {networks.package(spec) for spec in edition.networks.values()}
    used |= {"torchvision"} if edition.pictures.download else set()
    needs = []
    for name in ["torch", "numpy", "PIL", *sorted(used)]:
        here = importlib.util.find_spec(name) is not None
        needs.append(Need(f"package {name}", *state(here, f"pip install {PIP.get(name, name)}")))
    return needs


def state(here: bool, how: str) -> tuple[str, str]:
    """Pair a state with how to get it, empty when it is there."""
    return ("found", "") if here else ("missing", how)


def device(edition: Edition) -> Need:
    """Check the device that the edition names."""
    try:
        return Need(f"device {edition.device}", "found", f"{resolve(edition.device)} will be used")
    except RuntimeError as error:
        return Need(f"device {edition.device}", "missing", f"{error}; or write device: auto")


def images(edition: Edition) -> Need:
    """Check that the pictures are there and have classes."""
    if edition.pictures.source == "world":
        return Need("images (drawn by the world)", "found", "")
    need = f"images {edition.pictures.root}"
    try:
        path = place(edition.pictures.root, edition.file, "images: root")
        if edition.pictures.download and not path.exists():
            return Need(need, "missing", f"the first load fetches {edition.pictures.download} to {path}")
        return Need(need, "found", f"{len(edition.classes)} classes")
    except (ValueError, OSError) as error:
        return Need(need, "missing", str(error))


def folders(edition: Edition) -> list[Need]:
    """Check the extra data folders."""
    reasons = {name: missing(edition, name) for name in edition.folders}
    return [Need(f"folder {name}", *state(not why, why)) for name, why in reasons.items()]


def network(edition: Edition, spec: Network) -> Need:
    """Check one network: its files, or its place in the download caches."""
    need = f"network {spec.role} ({spec.name or spec.architecture or spec.builder})"
    try:
        here, how = (True, "") if networks.files(edition, spec) else cached(spec)
    except (ValueError, OSError) as error:
        here, how = False, str(error)
    return Need(need, *state(here, how))


def inverters(edition: Edition, entry: Inverter) -> list[Need]:
    """Check the weights that draw a network's features, from their maps and from their means."""
    found, train = [], f"python -m sightglass invert train --edition {edition.asked} --model {entry.role}"
    for pooled in (False, True):
        name = name_in(edition.name, name_of(entry.role, entry.tap, pooled=pooled))
        places = (DATA / "weights" / "world" / name, ROOT / "training" / name / name)
        here = any(place.with_name(f"{name}.safetensors").is_file() for place in places)
        found.append(Need(f"inverter {entry.role} {'pooled' if pooled else 'spatial'}",
                          *state(here, train + " --pooled" * pooled)))  # fmt: skip
    return found


def cached(spec: Network) -> tuple[bool, str]:
    """Look for a named network's weights: shipped with the book, or already downloaded."""
    maker = networks.package(spec)
    if spec.name.startswith("world/"):
        path = DATA / "weights" / "world" / f"{spec.name.removeprefix('world/')}.safetensors"
        return path.is_file(), "make zoo trains it"
    if maker == "torchvision":
        return torchvision_cached(spec)
    repo = hub_repo(spec, maker)
    if not repo:
        return False, f"{' '.join([spec.name, spec.weights])} is downloaded by {maker} at first use"
    from huggingface_hub import try_to_load_from_cache

    here = any(isinstance(try_to_load_from_cache(repo, name), str) for name in WEIGHT_FILES)
    return here, f"downloaded from the hub ({repo}) at first use; or: hf download {repo}"


def hub_repo(spec: Network, maker: str) -> str:
    """Find the hub repository of a name, "" when it has none."""
    if spec.name.startswith("hf-hub:") or maker == "diffusers":
        return spec.name.removeprefix("hf-hub:")
    if maker == "open_clip":
        import open_clip

        return (open_clip.get_pretrained_cfg(spec.name, spec.weights).get("hf_hub") or "").rstrip("/")
    import timm

    if spec.name not in timm.list_pretrained() and spec.name not in timm.list_models():
        raise ValueError(unknown("timm network", spec.name, timm.list_pretrained()))
    return getattr(timm.get_pretrained_cfg(spec.name), "hf_hub_id", "") or ""


def torchvision_cached(spec: Network) -> tuple[bool, str]:
    """Look for a torchvision network in torch's download cache."""
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(networks.torchvision_weights(spec).url).name
    return path.is_file(), f"downloaded by torchvision to {path} at first use"
