"""Results that several notebooks need, computed once: `kept(vital, model, target, references, steps=100)`.

A result is kept under a key made of the function's code (its file and all that it imports), its arguments and the
weights of the networks among them. Files lie beside the world's in the cache folder and are written whole or not at
all; a result that can't be kept is still returned.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ..files import write
from ..world.splits import cache_folder
from .imports import reached

LIB = Path(__file__).parents[1]


def kept(make: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return `make(*arguments, **options)`, a tensor or a dict or tuple of tensors, from the cache where it is known.

    Callbacks aren't part of the key, and aren't called when the result was kept.
    """
    name = key(make, arguments, options)
    known = read(make, name)
    return keep(make, name, make(*arguments, **options)) if known is None else known


def kept_each(
    make: Callable[..., Tensor], model: nn.Module, target: Sequence[int] | Tensor, references: Tensor, **options: Any
) -> Tensor:  # fmt: skip
    """Return one image per target (k, 3, s, s); those that aren't known are made in one batch, and each is kept.

    For methods whose images don't depend on what else is in the batch. DeepInversion's do: give it to `kept`, and give
    MACO a magnitude.
    """
    target = torch.as_tensor(target)
    common = key(make, (model,), options)
    names = [digest([common, described(pair)]) for pair in zip(target, references, strict=True)]
    images = [read(make, name) for name in names]
    missing = [k for k, image in enumerate(images) if image is None]
    if missing:
        for k, image in zip(missing, make(model, target[missing], references[missing], **options), strict=True):
            images[k] = keep(make, names[k], image.cpu())
    return torch.stack(images)


def place(make: Callable[..., Any], name: str) -> Path:
    """Return the file of a result."""
    return cache_folder() / "kept" / f"{make.__name__}-{name}.safetensors"


def read(make: Callable[..., Any], name: str) -> Any:
    """Return a result that was kept, or None."""
    try:
        return unpacked(load_file(place(make, name)))
    except (OSError, SafetensorError):
        return None


def keep(make: Callable[..., Any], name: str, result: Any) -> Any:
    """Write a result and hand it on; a full or locked disk is only a warning."""
    try:
        write(place(make, name), save(packed(result)))
    except OSError as error:
        warnings.warn(f"a result of {make.__name__} wasn't kept: {error}", stacklevel=3)
    return result


def key(make: Callable[..., Any], arguments: tuple, options: dict) -> str:
    """Return the name that a result is kept under."""
    source = Path(inspect.getfile(make))
    files = reached(LIB, {source}) if source.is_relative_to(LIB) else []
    code = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files] or [inspect.getsource(make)]
    options = {name: value for name, value in options.items() if name != "callback"}
    return digest([make.__qualname__, code, described(arguments), described(options), torch.__version__])


def digest(content: list) -> str:
    """Shorten anything that JSON can write to a name."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


def described(value: Any) -> Any:
    """Turn an argument into something that JSON can write: tensors and networks by their content.

    Records are described by their fields, but for those that they aren't compared by.
    """
    if isinstance(value, Tensor):
        kept = value.detach().cpu().contiguous()
        content = kept.reshape(-1).view(torch.uint8).numpy().tobytes() if kept.numel() else b""
        return [str(kept.dtype), list(kept.shape), str(value.device), hashlib.sha256(content).hexdigest()]
    if isinstance(value, nn.Module):
        return [repr(value), described(value.state_dict())]
    if isinstance(value, dict):
        return [[str(name), described(item)] for name, item in value.items()]
    if isinstance(value, list | tuple | range):
        return [described(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        told = {f.name: described(getattr(value, f.name)) for f in fields(value) if f.compare}
        return [type(value).__qualname__, told]
    raise TypeError(f"kept() can't tell {type(value).__name__} arguments apart; give tensors, networks, numbers, texts")


def packed(result: Any) -> dict[str, Tensor]:
    """Name the tensors of a result; a bare tensor goes by "" and members of a tuple by number."""
    parts = {"": result} if isinstance(result, Tensor) else result
    parts = {f"#{i}": part for i, part in enumerate(parts)} if isinstance(parts, tuple) else parts
    return {name: part.detach().cpu().contiguous() for name, part in parts.items()}


def unpacked(parts: dict[str, Tensor]) -> Any:
    """Undo `packed`."""
    if set(parts) == {""}:
        return parts[""]
    if all(name.startswith("#") for name in parts):
        return tuple(parts[f"#{i}"] for i in range(len(parts)))
    return parts
