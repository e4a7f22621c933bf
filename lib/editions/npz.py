"""Images and labels from an .npz file, read once and checked; nothing in it is unpickled."""

from functools import lru_cache
from pathlib import Path

import numpy as np


def npz_classes(path: Path, given: list[str]) -> dict[str, str]:
    """Name the labels of an .npz file: as the edition says, as its key ``classes`` says, or by number."""
    _, labels, names = arrays(path)
    count = int(labels.max()) + 1
    titles = given or names or [f"class {i}" for i in range(count)]
    if len(titles) < count:
        raise ValueError(f"{path} has labels up to {count - 1}, but {len(titles)} class names are given")
    return {str(i): title for i, title in enumerate(titles)}


def rows(path: Path, label: int) -> list[int]:
    """List the rows of an .npz that carry a label."""
    return np.flatnonzero(arrays(path)[1] == label).tolist()


@lru_cache(maxsize=4)
def arrays(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Read an .npz: images uint8 (n,h,w,3), labels (n,), class names (empty when it has none)."""
    try:
        with np.load(path, allow_pickle=False) as data:
            held = {key: data[key] for key in data.files}
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} can't be read as an .npz file ({error})") from None
    if not {"images", "labels"} <= held.keys():
        raise ValueError(f"{path} has the keys {', '.join(held) or 'none'}; expected images and labels")
    images, labels = held["images"], held["labels"].astype(int)
    if images.ndim == 4 and images.shape[1] == 3 and images.shape[3] != 3:
        images = images.transpose(0, 2, 3, 1)
    if images.ndim != 4 or images.shape[3] != 3 or labels.shape != images.shape[:1] or not len(labels):
        found = f"images are {held['images'].shape} and labels {labels.shape}"
        raise ValueError(f"{path}: {found}; expected (n,h,w,3) and (n,)")
    if images.dtype != np.uint8:
        if not (np.isfinite(images).all() and 0 <= images.min() and images.max() <= 1):
            raise ValueError(f"{path}: images of type {images.dtype} must lie in [0,1], or be uint8")
        images = (images * 255).round().astype(np.uint8)
    return images, labels, [str(c) for c in held.get("classes", [])]
