"""Folder trees and .npz files as classes, members and pixels; what can't be read is named with its path."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..names import unknown
from .npz import arrays, npz_classes, rows
from .record import Edition
from .surroundings import existing, place

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff")
# A split the tree doesn't have is looked for under the names that data sets give it.
ALIASES = {
    "train": ("train",),
    "val": ("val", "valid", "validation", "test"),
    "test": ("test", "val", "valid", "validation"),
}
IMAGENETTE = {"imagenette2": "full", "imagenette2-320": "320px", "imagenette2-160": "160px"}
HELD = 5  # in an undivided tree every fifth image of a class is kept for val and test


def root(edition: Edition) -> Path:
    """Find the image folder or file of an edition, fetched first where the file names a download."""
    path = place(edition.pictures.root, edition.file, "images: root")
    if not path.exists() and edition.pictures.download:
        fetch_imagenette(path)
    return existing(edition.pictures.root, edition.file, "images: root")


def fetch_imagenette(path: Path) -> None:
    """Fetch Imagenette into a folder whose name says its size."""
    if path.name not in IMAGENETTE:
        raise ValueError(f"images: root is {path}; to fetch Imagenette, name it {' or '.join(IMAGENETTE)}")
    from torchvision.datasets import Imagenette

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        Imagenette(path.parent, split="train", size=IMAGENETTE[path.name], download=True)
    except (OSError, RuntimeError) as error:
        raise RuntimeError(f"{path.name} could not be fetched into {path}: {error}") from None


def source(edition: Edition, split: str) -> tuple[Path, str]:
    """Find the folder or file of a split, and which share of it ("" for all) the split is."""
    base, named = root(edition), edition.pictures.splits
    if split in named:
        path = base / suffixed(edition, named[split])
        if not path.exists():
            raise FileNotFoundError(f"{edition.file.name}: images: split {split} is {path}, and nothing is there")
        return path, ""
    divided = present(edition, base) if base.is_dir() and not named else {}
    if split in divided:
        return divided[split], ""
    valid = named or divided or ALIASES
    if split not in valid:
        raise ValueError(f"{base}: {unknown('split', split, valid)}")
    if base.is_dir() and edition.pictures.source == "npz":
        raise FileNotFoundError(f"{base} has none of train.npz, val.npz, test.npz")
    return base, "train" if split == "train" else "test"


def suffixed(edition: Edition, name: str) -> str:
    """Complete a split's name to a file name where splits are .npz files."""
    return name if edition.pictures.source == "folder" or name.endswith(".npz") else f"{name}.npz"


def present(edition: Edition, base: Path) -> dict[str, Path]:
    """List the splits that a folder divides itself into, under any of their usual names."""
    found = {}
    for split, names in ALIASES.items():
        paths = [base / suffixed(edition, name) for name in names]
        here = [path for path in paths if path.exists()]
        if here:
            found[split] = here[0]
    return found


def where(edition: Edition, split: str, label: int | None = None) -> str:
    """Name the place a split (or one class of it) is read from, for error sentences."""
    path, share = source(edition, split)
    if label is not None and edition.pictures.source == "folder":
        path = path / list(classes(edition))[label]
    return f"{path} ({share} share)" if share else str(path)


def classes(edition: Edition) -> dict[str, str]:
    """Map folder names (or label numbers) to readable names, in label order."""
    split = "train" if not edition.pictures.splits else next(iter(edition.pictures.splits))
    path, _ = source(edition, split)
    if edition.pictures.source == "npz":
        return npz_classes(path, list(edition.pictures.classes.values()))
    if not path.is_dir():
        raise ValueError(f"{edition.file.name}: images: root is {path}, expected a folder of class folders")
    folders = sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        raise ValueError(f"{path} has no class folders: expected one folder of images per class")
    if edition.pictures.classes:
        missing = [c for c in edition.pictures.classes if c not in folders]
        if missing:
            found = ", ".join(folders[:8])
            raise ValueError(f"{path} lacks the class folders {', '.join(missing[:5])}; it has {found}")
        return edition.pictures.classes
    known = wordnet(folders)
    return {name: known[name][1] if known else name for name in folders}


def wordnet(folders: object) -> dict[str, tuple[int, str]]:
    """Look WordNet ids up in ImageNet-1k: folder -> (output, name); empty when any folder is no such id."""
    names = list(folders)
    if not all(re.fullmatch(r"n\d{8}", name) for name in names):
        return {}
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    order = {name: i for i, name in enumerate(info.label_names())}
    if not all(name in order for name in names):
        return {}
    return {name: (order[name], info.label_name_to_description(name).split(",")[0]) for name in names}


def members(edition: Edition, split: str, *, only: list[int] | None = None) -> list[list]:
    """List the images of each class (paths, or rows of an .npz); ``only`` leaves the other classes unread."""
    path, share = source(edition, split)
    found = []
    for label, folder in enumerate(classes(edition)):
        if only is not None and label not in only:
            found.append([])
            continue
        items = rows(path, label) if edition.pictures.source == "npz" else files(path / folder)
        found.append(divide(items, share))
    return found


def divide(items: list, share: str) -> list:
    """Take one share of a class: a fixed shuffle's every fifth item for test, the others for train."""
    if not share:
        return items
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(len(items))).tolist()
    held = set(order[::HELD])
    return [item for i, item in enumerate(items) if (i in held) == (share == "test")]


def files(folder: Path) -> list[Path]:
    """List a class folder's images, sorted."""
    if not folder.is_dir():
        raise FileNotFoundError(f"the class folder {folder} is missing")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise ValueError(f"the class folder {folder} has no images (looked for {', '.join(SUFFIXES)})")
    return found


def pixels(edition: Edition, split: str, items: list) -> Tensor:
    """Read images, each resized by its shorter side and cropped at the centre: float (n,3,s,s) in [0,1]."""
    resize = edition.pictures.resize or edition.size
    out = torch.empty(len(items), 3, edition.size, edition.size)
    stored = arrays(source(edition, split)[0])[0] if edition.pictures.source == "npz" else None
    for i, item in enumerate(items):
        image = read(item) if stored is None else Image.fromarray(stored[item])
        out[i] = torch.from_numpy(crop(image, edition.size, resize)).permute(2, 0, 1) / 255
    return out


def read(path: Path) -> Image.Image:
    """Open one image file as RGB."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path} can't be read as an image ({error}): replace or remove it") from None


def crop(image: Image.Image, size: int, resize: int) -> np.ndarray:
    """Resize the shorter side and cut the centre, as torchvision does: uint8 (size,size,3)."""
    width, height = image.size
    short = min(width, height)
    if short != resize:
        image = image.resize((resize * width // short, resize * height // short), Image.Resampling.BILINEAR)
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return np.array(image.crop((left, top, left + size, top + size)))
