"""Looks at a training: sheets of pictures beside the truth, and errors on pictures it never sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import prompts
from .autoencoder import Autoencoder
from .base import Base, velocity
from .codec import decibels, pixels_in
from .control import Inverter
from .encoder import sized
from .pictures import Shown
from .sample import noise, reconstruct, sample

RATIOS = (10, 2, 1, 0.5, 0.1)  # signal to noise
PROBED = 32
WIDE = 8
SHAKEN = 0.3  # noise on latents that a decoder should bear


def sheet(rows: Sequence[Tensor], path: Path, *, scale: int = 2) -> None:
    """Write rows of images (n, 3, s, s) in [0, 1] as one picture, a line of white between them."""
    from PIL import Image

    wide = max(map(len, rows))
    full = [torch.cat([row.cpu(), torch.ones(wide - len(row), *row.shape[1:])]) for row in rows]
    framed = F.pad(torch.stack(full), (1, 1, 1, 1), value=1.0)
    whole = framed.permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2)
    image = Image.fromarray((whole.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST).save(path)


@contextmanager
def evaluated(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode for a while."""
    before = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(before)


def errors(base: Base, given: Shown, steered=None) -> dict[str, float]:
    """Measure 1000 x squared error of the guessed picture, in pixels of [-1, 1], at five ratios of signal to noise.

    `steered(noisy, level, prompt)` gives a control's residuals; captions are left out.
    """
    pixels = pixels_in(sized(given.images[:PROBED].float() / 255, base.size))
    n, found = len(pixels), {}
    z, pixels = base.codec.pack(pixels.to(base.device)), pixels.to(base.device)
    prompt, start = base.prompts(prompts.special(prompts.ANY, n)), noise(base.shape, range(n)).to(base.device)
    for ratio in RATIOS:
        level = torch.full((n,), base.noising.at(ratio), device=base.device)
        noisy = base.noising.mix(z, start, level)
        pace = velocity(base, noisy, level, prompt, steered(noisy, level, prompt) if steered else None)
        back = base.codec.unpack(base.noising.clean(noisy, pace, level))
        found[f"error at {ratio}"] = round(1000 * (back - pixels).square().mean().item(), 3)
    return found


def look_at_codec(codec: Autoencoder, given: Shown, path: Path) -> dict[str, float]:
    """Draw pictures and what is left of them after packing, without and with noise; return decibels."""
    truth = given.images.float().to(codec.device) / 255
    with evaluated(codec):
        z = codec.pack(pixels_in(truth))
        start = noise(tuple(z.shape[1:]), range(len(z))).to(z)
        plain, shaken = (codec.decode(z + amount * start).sample / 2 + 0.5 for amount in (0, SHAKEN))
    parts = (images[: 3 * WIDE].split(WIDE) for images in (truth, plain, shaken))
    sheet([row for three in zip(*parts, strict=True) for row in three], path)
    found = {"decibels": plain, f"decibels at {SHAKEN}": shaken}
    return {name: round(decibels(images, truth).mean().item(), 2) for name, images in found.items()}


def look_at_base(base: Base, given: Shown, path: Path) -> dict[str, float]:
    """Draw captions under the pictures they were written for, then anything; return errors."""
    n = min(3 * WIDE, len(given))
    truth = given.images[:n].float() / 255
    captioned = sample(base, given.said[:n, 0], seeds=range(n))
    free = sample(base, seeds=range(100, 100 + 2 * WIDE))
    pairs = [row for two in zip(truth.split(WIDE), captioned.split(WIDE), strict=True) for row in two]
    sheet([*pairs, *free.split(WIDE)], path)
    if given.captions:
        path.with_name("captions.txt").write_text("\n".join(given.captions[:n]) + "\n")
    return errors(base, given)


def look_at_inverter(inverter: Inverter, model: nn.Module, given: Shown, path: Path) -> dict[str, float]:
    """Draw pictures from features under the pictures they are of, from two seeds; return errors and cosine."""
    truth = given.images[: 2 * WIDE].float() / 255
    seen = inverter.features(model, given.images[: max(PROBED, 2 * WIDE)].float() / 255)
    maps = seen[: 2 * WIDE]
    first, second = (reconstruct(inverter, maps, seeds=seed) for seed in (0, 1))
    truth = sized(truth, inverter.base.size)
    sheet([row for three in zip(*(p.split(WIDE) for p in (truth, first, second)), strict=True) for row in three], path)
    again = inverter.features(model, first)

    def steered(noisy: Tensor, level: Tensor, prompt: Tensor):
        return inverter.control(noisy, level, prompt, seen[:PROBED])

    cosine = F.cosine_similarity(maps, again, dim=1).mean().item()
    return errors(inverter.base, given, steered) | {"cosine": round(cosine, 4)}
