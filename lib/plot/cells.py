"""Turn whatever a notebook has (tensors, arrays, nested lists, texts, gaps) into rows of cells of pixels."""

from typing import Any

import numpy as np


def arrange(images: Any, rows: int, columns: int) -> list[list[Any]]:
    """Put images into rows of cells: uint8 (h,w,3) arrays, texts, or None."""
    if is_nested(images):
        cells = [[as_pixels(image) for image in row] for row in images]
    else:
        flat = [as_pixels(image) for image in images]
        if not columns:
            columns = -(-len(flat) // rows) if rows else min(max(len(flat), 1), 8)
        cells = [flat[i : i + columns] for i in range(0, len(flat), columns)]
    widest = max((len(row) for row in cells), default=0)
    if not widest:
        raise ValueError("there are no images to draw")
    if (rows and len(cells) != rows) or (columns and widest > columns):
        raise ValueError(
            f"the images make {len(cells)} rows of {widest}, the labels {rows or 'any'} of {columns or 'any'}"
        )
    return [row + [None] * (widest - len(row)) for row in cells]


def is_nested(images: Any) -> bool:
    """Tell rows of images from a plain list of images."""
    if hasattr(images, "ndim"):
        return images.ndim == 5
    first = next((row for row in images if row is not None and not isinstance(row, str)), None)
    return isinstance(first, (list, tuple)) or getattr(first, "ndim", 0) == 4


def as_pixels(image: Any) -> Any:
    """Turn one image into uint8 (h,w,3): from (3,h,w), (h,w,3) or (h,w), floats in [0,1] or uint8."""
    if image is None or isinstance(image, str):
        return image
    array = np.asarray(image.detach().cpu() if hasattr(image, "detach") else image)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = array.transpose(1, 2, 0)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] not in (1, 3):
        raise ValueError(f"expected an image of shape (3,h,w), (h,w,3) or (h,w), got {array.shape}")
    if array.dtype != np.uint8:
        array = (np.nan_to_num(array.astype(float)).clip(0, 1) * 255).round().astype(np.uint8)
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """Fit an image into a square cell: small ones keep their hard pixels, large ones are averaged."""
    from PIL import Image

    height, width = image.shape[:2]
    scale = side / max(height, width)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    times = max(1, int(np.ceil(scale))) * 2 if scale > 1 else 1
    big = Image.fromarray(image).resize((width * times, height * times), Image.Resampling.NEAREST)
    return np.asarray(big.resize(target, Image.Resampling.BOX))
