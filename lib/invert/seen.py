"""What networks and codecs make of the training pictures: computed once for them and their mirror images, and kept.

A table lies in the cache folder, in half precision, and is read where it lies: rows that a step needs, no more. It
belongs to a network and a tap, or a codec, and to pictures: an inverter of maps and one of means share theirs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from ..world.splits import cache_folder
from .base import Base
from .codec import pixels_in
from .encoder import features, sized
from .pictures import Shown, taken

BUDGET = 2e9  # bytes; larger tables aren't made
BATCH = 64
LARGEST = torch.finfo(torch.float16).max


def keep(given: Shown, model: nn.Module, tap: str, *, budget: float = BUDGET, progress: bool = False) -> Shown:
    """Return pictures with their features at a tap (2, n, c, h, w), or as they are when those exceed the budget."""
    known = f"{model!r} {getattr(model, 'pretrained_cfg', '')} {tap}"
    found = table(given, lambda x: features(model, x, tap), lambda: name(given, model, known), budget, progress)
    return dataclasses.replace(given, maps=found)


def keep_latents(given: Shown, base: Base, *, budget: float = BUDGET, progress: bool = False) -> Shown:
    """Return pictures with their latents (2, n, c, h, w), or as they are when those exceed the budget."""
    known = f"{type(base.codec).__name__} {base.size}"
    found = table(given, lambda x: packed(base, x), lambda: name(given, base.codec, known), budget, progress)
    return dataclasses.replace(given, latents=found)


def table(given: Shown, see: Callable[[Tensor], Tensor], name: Callable[[], str], budget: float, progress: bool):
    """Return what `see` makes of pictures and their mirror images, by a file of that name; None beyond the budget."""
    from filelock import FileLock

    shape = (2, len(given), *see(taken(given, torch.tensor([0]))).shape[1:])
    if 2 * np.prod(shape) > budget:
        return None
    path = cache_folder() / "features" / f"{name()}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):  # two trainings, or two processes of one, make it once
        if not path.exists():
            part = path.with_name(f".{path.name}.part")
            fill(np.lib.format.open_memmap(part, "w+", np.float16, shape), given, see, progress=progress)
            os.replace(part, path)
    return np.load(path, mmap_mode="r")


def fill(found: np.ndarray, given: Shown, see: Callable[[Tensor], Tensor], *, progress: bool = False) -> None:
    """Write what `see` makes of all pictures, and of all mirrored, into a table (2, n, c, h, w)."""
    from tqdm.auto import tqdm

    parts = torch.arange(len(given)).split(BATCH)
    for mirrored in (0, 1):
        for rows in tqdm(parts, desc=f"seeing {mirrored + 1} of 2", disable=not progress, mininterval=5):
            images = taken(given, rows, torch.full((len(rows),), bool(mirrored)))
            found[mirrored, rows[0] : rows[-1] + 1] = half(see(images)).cpu().numpy()
    found.flush()


def maps(given: Shown, model: nn.Module, tap: str, rows: Tensor, mirrored: Tensor) -> Tensor:
    """Return the features of pictures by number, mirrored or not, (b, c, h, w): from the table, else computed now.

    Both come with half precision's rounding, so that it makes no difference which.
    """
    if given.maps is not None:
        return read(given.maps, rows, mirrored)
    device = next(model.parameters()).device
    with torch.autocast(device.type, enabled=False):
        return half(features(model, taken(given, rows, mirrored), tap)).float()


def latents(given: Shown, base: Base, rows: Tensor, mirrored: Tensor) -> Tensor:
    """Return the latents of pictures by number, mirrored or not, (b, c, h, w): from the table, else computed now."""
    if given.latents is not None:
        return read(given.latents, rows, mirrored).to(base.device)
    with torch.autocast(base.device.type, enabled=False):
        return half(packed(base, taken(given, rows, mirrored))).float()


@torch.no_grad()
def packed(base: Base, images: Tensor) -> Tensor:
    """Pack images (n, 3, s, s) in [0, 1] at the base's size."""
    return base.codec.pack(pixels_in(sized(images, base.size)).to(base.device))


def read(found: np.ndarray, rows: Tensor, mirrored: Tensor) -> Tensor:
    """Return rows of a table, (b, c, h, w)."""
    return torch.from_numpy(found[mirrored.long().numpy(), rows.numpy()]).float()


def half(found: Tensor) -> Tensor:
    """Round to half precision, what is too large for it to its largest number."""
    return found.clamp(-LARGEST, LARGEST).half()


def name(given: Shown, model: nn.Module, known: str) -> str:
    """Name the table of pictures and a model by their content, and by what else is known of it."""
    found = hashlib.sha256(known.encode())
    contents = list(model.state_dict().values())
    if isinstance(given.images, Tensor):
        contents.append(given.images)
    else:
        found.update(given.images.known.encode())
    for value in contents:
        content = value.detach().cpu().contiguous()
        found.update(str(tuple(content.shape)).encode())
        found.update(content.reshape(-1).view(torch.uint8).numpy() if content.numel() else b"")
    return found.hexdigest()[:24]
