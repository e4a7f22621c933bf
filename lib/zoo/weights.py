"""Weights on disk: safetensors with a card for world networks, and careful reading of any checkpoint."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor, nn

from ..files import write
from ..names import DATA, unknown
from .families import FAMILIES, MEAN, SIZE, STD, construct, describe

FOLDER = DATA / "weights" / "world"
PICKLES = (".pt", ".pth", ".bin", ".ckpt")


def shipped() -> list[str]:
    """List the world networks whose weights and card are there."""
    return [name for name in FAMILIES if (FOLDER / f"{name}.json").exists()]


def card(name: str) -> dict:
    """Return the card of a world network."""
    if name not in FAMILIES:
        raise KeyError(unknown("world network", name, FAMILIES))
    path = FOLDER / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(f"the world network {name!r} isn't trained yet: no {path}; run `make zoo`")
    return json.loads(path.read_text())


def load_world(name: str) -> nn.Module:
    """Build a world network from its card and give it its weights, once their checksum is right."""
    facts, path = card(name), FOLDER / f"{name}.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"the weights of {name!r} are missing: no {path}; run `make zoo`")
    if checksum(path) != facts["sha256"]:
        raise ValueError(f"{path} is not the file of its card (sha256 differs); fetch it again or run `make zoo`")
    model = describe(construct(facts["architecture"], facts["arguments"]), facts["mean"], facts["std"])
    return fill(model, read_tensors(path), path)


def save_world(name: str, model: nn.Module, blueprint: tuple[str, dict], recipe: dict, scores: dict) -> dict:
    """Write float16 weights and their card, each under a temporary name first; return the card."""
    from safetensors.torch import save

    from .taps import taps

    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    check_finite(state, name)
    content = save({k: v.contiguous() for k, v in state.items()})
    entry, recipe = FAMILIES[name], dict(recipe)
    facts = {
        "name": name, "family": entry["family"], "task": entry["task"],
        "classes": task_classes(entry["task"]),
        "architecture": blueprint[0], "arguments": blueprint[1], "mean": MEAN, "std": STD, "size": SIZE,
        "taps": taps(model), "seed": recipe.pop("seed"), "minutes": recipe.pop("minutes"), "recipe": recipe,
        **scores, "parameters": sum(p.numel() for p in model.parameters()),
        "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content),
    }  # fmt: skip
    write(FOLDER / f"{name}.safetensors", content)
    return write_card(name, facts)


def write_card(name: str, facts: dict) -> dict:
    """Write the card of a world network and return what was written."""
    text = json.dumps(facts, indent=1)
    write(FOLDER / f"{name}.json", text + "\n")
    return json.loads(text)


def task_classes(task: str) -> list[str]:
    """Return the class names of a task; phrases have none of their own."""
    from .. import world

    return list(world.TASKS.get(task, ()))


def checksum(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors from .safetensors, or from .pt, .pth or .bin without unpickling anything but tensors."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is no whole safetensors file ({error})") from None
    if path.suffix not in PICKLES:
        raise ValueError(f"{path} is no checkpoint: expected .safetensors, {', '.join(PICKLES)}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle can fail in any way; its first line says which
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise ValueError(f"{path} can't be read as plain tensors ({reason}); save its state_dict() instead") from None
    return unwrap(state, path)


def unwrap(state: object, path: Path) -> dict[str, Tensor]:
    """Find the tensors in a checkpoint, under `state_dict` or `model` too, and drop DDP prefixes."""
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    tensors = {k: v for k, v in state.items() if isinstance(v, Tensor)} if isinstance(state, dict) else {}
    if not tensors:
        raise ValueError(f"{path} holds no tensors by name; save the network's state_dict()")
    return {k.removeprefix("module."): v for k, v in tensors.items()}


def check_finite(state: dict[str, Tensor], source: object) -> None:
    """Refuse weights with NaN or infinity."""
    bad = [k for k, v in state.items() if v.is_floating_point() and not v.isfinite().all()]
    if bad:
        raise ValueError(f"{source}: {len(bad)} of {len(state)} weights hold NaN or infinity, first {bad[0]!r}")


def fill(model: nn.Module, state: dict[str, Tensor], source: object) -> nn.Module:
    """Put tensors into a network, or say in one sentence which don't fit."""
    own = model.state_dict()
    missing, extra = [k for k in own if k not in state], [k for k in state if k not in own]
    odd = [k for k in own if k in state and state[k].shape != own[k].shape]
    wrong = [f"missing {few(missing)}"] * bool(missing) + [f"not wanted {few(extra)}"] * bool(extra)
    if odd:
        shapes = f"{tuple(state[odd[0]].shape)} in the file, {tuple(own[odd[0]].shape)} in the network"
        wrong.append(f"of another shape {few(odd)} ({shapes})")
    if wrong:
        raise ValueError(f"{source} doesn't fit {type(model).__name__}: {'; '.join(wrong)}")
    check_finite(state, source)
    model.load_state_dict({k: v.to(own[k].dtype) for k, v in state.items()})
    return model


def few(keys: list[str]) -> str:
    """Name the first keys and count the rest."""
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
