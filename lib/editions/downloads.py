"""Data sets that torchvision can fetch; reached when an edition names one and its folder isn't there yet."""

from pathlib import Path

from ..names import unknown

IMAGENETTE = {"imagenette2": "full", "imagenette2-320": "320px", "imagenette2-160": "160px"}


def check(download: str, path: Path) -> str:
    """Return what a folder's name says is to be fetched."""
    if download != "imagenette":
        raise ValueError(unknown("download", download, ["imagenette"]))
    if path.name not in IMAGENETTE:
        raise ValueError(f"images: root is {path}; to fetch Imagenette, name it {' or '.join(IMAGENETTE)}")
    return IMAGENETTE[path.name]


def fetch(download: str, path: Path) -> None:
    """Fetch Imagenette into a folder whose name says its size."""
    size = check(download, path)
    from torchvision.datasets import Imagenette

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        Imagenette(path.parent, split="train", size=size, download=True)
    except (OSError, RuntimeError) as error:
        raise RuntimeError(f"Imagenette ({size}) could not be fetched into {path}: {error}") from None
