"""Pictures of a concept: what the iERFs of its exemplars hold, and where in the images that is, as small data URIs."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from ...plot.cells import as_pixels, resized

CELL, ACROSS, MOST = 72, 5, 10  # pixels of an exemplar, exemplars in a row, and in all
HELD = 0.8  # share of an iERF's positive mass that is lit
GREY, CONTRAST = 150, 0.28  # the rest of an image: this grey, and so much of its own light and shade
QUALITY = 68  # of the encoder, 0 to 100
LEAST = 0.14  # of an image's width: the smallest crop


def sprites(images: Any, maps: Any = None) -> tuple[str, str, int]:
    """Encode the first ten exemplars as two sprites of five in a row: crops around iERFs, whole images with them lit.

    images: (m, 3, s, s); maps: iERFs (m, s, s), None where the whole image counts. Also returns how many there are.
    """
    pixels = [as_pixels(image) for image in images[:MOST]]
    if not pixels:
        raise ValueError("a concept has no exemplar to show; leave it out of `exemplars`")
    masks = [np.ones(p.shape[:2]) for p in pixels] if maps is None else list(lit(maps[:MOST]))
    if len(masks) != len(pixels) or any(m.shape != p.shape[:2] for m, p in zip(masks, pixels, strict=False)):
        raise ValueError(
            f"{len(pixels)} exemplars of {pixels[0].shape[:2]} pixels need iERFs of the same size, "
            f"found {len(masks)} of {masks[0].shape if masks else ()}"
        )
    whole = [veiled(p, m) for p, m in zip(pixels, masks, strict=True)]
    cut = [w[box(m)] for w, m in zip(whole, masks, strict=True)]
    return encoded(sheet(cut)), "" if maps is None else encoded(sheet(whole)), len(pixels)


def lit(maps: Any, held: float = HELD) -> np.ndarray:
    """Turn iERFs (m, s, s) into soft masks in [0, 1]: 1 where the largest values hold a share of the positive mass."""
    from scipy.ndimage import gaussian_filter

    maps = np.asarray(maps.detach().cpu() if hasattr(maps, "detach") else maps, dtype=float)
    if maps.ndim != 3:
        raise ValueError(f"iERFs are (exemplars, height, width), found {maps.shape}")
    masks = []
    for values in maps.clip(min=0):
        if not values.sum() > 0:
            raise ValueError("an exemplar's iERF is nowhere positive, so there is nothing to show of it")
        smooth = gaussian_filter(values, maps.shape[-1] / 48)
        ranked = np.sort(smooth.ravel())[::-1]
        level = ranked[np.searchsorted(ranked.cumsum(), held * ranked.sum())]
        masks.append((2 * smooth / level - 1).clip(0, 1))
    return np.stack(masks)


def veiled(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Turn an image (h, w, 3) pale and grey outside a mask (h, w), so that black and white objects both stand out."""
    shade = GREY + CONTRAST * (pixels.mean(2, keepdims=True) - 128) + 40
    return (shade + mask[..., None] * (pixels - shade)).clip(0, 255).round().astype(np.uint8)


def box(mask: np.ndarray) -> tuple[slice, slice]:
    """Find the square around what a mask lights, inside the image."""
    (height, width), found = mask.shape, []
    spans = []
    for axis in (1, 0):
        used = np.flatnonzero((mask >= 0.5).any(axis))
        spans.append((used[0], used[-1] + 1))
    least = max(LEAST * min(height, width), *(high - low for low, high in spans))
    side = min(int(np.ceil(least)) + 2, height, width)
    for (low, high), size in zip(spans, (height, width), strict=True):
        start = min(max(round((low + high - side) / 2), 0), size - side)
        found.append(slice(start, start + side))
    return found[0], found[1]


def sheet(cells: list[np.ndarray]) -> np.ndarray:
    """Lay pictures (h, w, 3) out five in a row: bytes (h, w, 3)."""
    rows, across = -(-len(cells) // ACROSS), min(len(cells), ACROSS)
    whole = np.full((rows * CELL, across * CELL, 3), GREY, np.uint8)
    for i, cell in enumerate(cells):
        small = resized(cell, CELL)
        y, x = i // ACROSS * CELL + (CELL - len(small)) // 2, i % ACROSS * CELL + (CELL - small.shape[1]) // 2
        whole[y : y + len(small), x : x + small.shape[1]] = small
    return whole


def encoded(pixels: np.ndarray) -> str:
    """Encode bytes (h, w, 3) as a data URI."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def decoded(uri: str) -> np.ndarray:
    """Read a data URI back: bytes (h, w, 3)."""
    from PIL import Image

    data = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def portrait_of(image: Any, side: int = 192) -> str:
    """Encode one image (3, s, s) as large as the image that is explained is shown on a fine screen."""
    return encoded(resized(as_pixels(image), side))
