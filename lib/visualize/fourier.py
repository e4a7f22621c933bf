"""Activation maximisation in Fourier space: a free spectrum (Fourier), or its phase alone (MACO).

Random crops of one canvas are shown to the network and their mean activation is raised. Settings of "paper" are those
of the VITAL paper's section A.1; steps, number of crops and decay, on which it is silent, are Horama's.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..zoo import normalise
from .optimise import Callback, Job, descend, prepare
from .presets import settings

# `crop` is the mean and spread of a crop's side, as a share of the canvas; `noise` is in normalised pixels; `contrast`
# is the deviation before the sigmoid. A quarter of 64 pixels shows nothing, so the world's crops are large.
FOURIER = {
    "paper": dict(steps=1000, lr=1.0, crops=6, crop=(0.25, 0.1), noise=0.1, contrast=1.0, decay=1.5),
    "world": dict(steps=100, lr=0.3, crops=1, crop=(0.7, 0.15), noise=0.1, contrast=3.0, decay=1.5),
}
MACO = {
    "paper": dict(steps=1000, lr=1.0, crops=6, crop=(0.25, 0.1), noise=0.1, contrast=1.0, magnitude=None),
    "world": dict(steps=100, lr=0.3, crops=1, crop=(0.7, 0.15), noise=0.1, contrast=3.0, magnitude=None),
}
# Square root of the colour covariance of photographs, normalised: rows are brightness, blue-yellow, green-magenta.
COLOURS = ((0.5628, 0.5845, 0.5845), (0.1948, 0.0, -0.1948), (0.0433, -0.1082, 0.0649))


def correlate(x: Tensor, *, back: bool = False) -> Tensor:
    """Mix decorrelated channels (n, 3, h, w) into colours, or take colours apart again."""
    matrix = torch.tensor(COLOURS, dtype=x.dtype, device=x.device)
    return torch.einsum("nchw,cd->ndhw", x, matrix.inverse() if back else matrix)


def standardised(x: Tensor) -> Tensor:
    """Give each row mean 0 and deviation 1."""
    axes = tuple(range(1, x.ndim))
    return (x - x.mean(axes, keepdim=True)) / (x.std(axes, keepdim=True) + 1e-5)


def unit_sized(x: Tensor) -> Tensor:
    """Give each row a mean square of 1 and leave its mean where it is."""
    return x / (x.square().mean(tuple(range(1, x.ndim)), keepdim=True).sqrt() + 1e-5)


def decay_scale(size: int, power: float) -> Tensor:
    """Return 1 / frequency ** power, the slope of photographs, for the half spectrum: (size, size // 2 + 1)."""
    down, across = torch.fft.fftfreq(size), torch.fft.rfftfreq(size)
    frequency = (down[:, None].square() + across.square()).sqrt()
    return size / frequency.clamp(min=1 / size) ** power


def mean_spectrum(images: Tensor) -> Tensor:
    """Average the magnitudes of images (n, 3, s, s) in [0, 1], decorrelated: (3, s, s // 2 + 1)."""
    return torch.fft.rfft2(correlate(images - 0.5, back=True)).abs().mean(0)


def resized_spectrum(magnitude: Tensor, size: int) -> Tensor:
    """Read a magnitude (3, s, s // 2 + 1) at the frequencies of another size, odd or even: (3, size, size // 2 + 1)."""
    old = magnitude.shape[1]
    if magnitude.shape[2] != old // 2 + 1:
        raise ValueError(f"a magnitude is (3, s, s // 2 + 1), as mean_spectrum gives it; got {tuple(magnitude.shape)}")
    centred = magnitude.roll(old // 2, 1)[None]  # the lowest frequencies side by side
    down = (torch.fft.fftfreq(size) * old + old // 2) / (old - 1) * 2 - 1
    across = torch.fft.rfftfreq(size) * old / (old // 2) * 2 - 1
    places = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1)[None].to(magnitude)
    return F.grid_sample(centred, places, padding_mode="border", align_corners=True)[0]


def mirrored(phase: Tensor, width: int) -> Tensor:
    """Make phases (n, 3, h, w // 2 + 1) odd where a frequency's mirror image is stored too.

    Otherwise the inverse transform would average the two and change their magnitude. Where a frequency is its own
    mirror image, only the cosine of its phase remains.
    """
    columns = [0, width // 2] if width % 2 == 0 else [0]
    rows = torch.arange(phase.shape[2], device=phase.device)
    partner = -rows % len(rows)
    both = phase[..., columns]
    odd = torch.where((rows == partner)[:, None], both, (both - both[..., partner, :]) / 2)
    return phase.index_copy(-1, torch.tensor(columns, device=phase.device), odd)


def phase_image(phase: Tensor, magnitude: Tensor) -> Tensor:
    """Turn phases and a magnitude (3, s, s // 2 + 1) into decorrelated channels (n, 3, s, s)."""
    size = magnitude.shape[1]
    return torch.fft.irfft2(torch.polar(magnitude.expand_as(phase), mirrored(phase, size)), s=(size, size))


def views(x: Tensor, job: Job, how: dict) -> Tensor:
    """Crop every image at its seed's random places, at the network's size: (rows * crops, 3, side, side)."""
    parts = []
    for part, generator in zip(x.chunk(len(job.generators)), job.generators, strict=True):
        boxes = [box(x.shape[-1], how["crop"], generator) for _ in range(how["crops"])]
        cut = [part[..., top : top + side, left : left + side] for top, left, side in boxes]
        parts.append(torch.stack([fitted(c, job.side) for c in cut], 1))
    return torch.cat(parts).flatten(0, 1)


def box(size: int, crop: tuple[float, float], generator: torch.Generator) -> tuple[int, int, int]:
    """Draw a square inside the canvas: top, left and side in pixels, places near the middle more often."""
    share, down, across = torch.randn(3, generator=generator).tolist()
    side = round(size * min(max(crop[0] + crop[1] * share, 0.05), 1.0))
    top, left = (min(max(round(size * (0.5 + 0.15 * c) - side / 2), 0), size - side) for c in (down, across))
    return top, left, side


def fitted(x: Tensor, side: int) -> Tensor:
    """Resize images to the network's size without aliasing."""
    return x if x.shape[-1] == side else F.interpolate(x, (side, side), mode="bilinear", antialias=True)


def ascend(job: Job, how: dict, start: Tensor, paint: Callable[[Tensor], Tensor], callback: Callback | None) -> Tensor:
    """Raise the mean activation of random views of the canvas that `paint` makes from the parameters."""

    def loss_of(parameters: Tensor, step: int) -> Tensor:
        canvas = normalise(job.model, paint(parameters))
        noise = job.draw(*canvas.shape[1:], by=torch.rand) * 2 - 1
        return -job.score(views(canvas + how["noise"] * noise, job, how), how["crops"])

    found = descend(start, loss_of, steps=how["steps"], rate=lambda step: how["lr"], callback=callback)
    return job.finished(paint(found))


def fourier(
    model: nn.Module, target: Sequence[int] | Tensor, references: Tensor | None = None, *, size: int | None = None,
    steps: int | None = None, seed: int | Sequence[int] = 0, preset: str = "world", at: str = "logits",
    callback: Callback | None = None, **options,
) -> Tensor:  # fmt: skip
    """Maximise channels or directions at a tap over a free spectrum, low frequencies first.

    Returns (k, 3, size, size) in [0, 1] for one seed, (seeds, k, 3, size, size) for several; of the references only
    the size is used. Options override the preset: steps, lr, crops, crop, noise, contrast, decay.
    """
    job = prepare(model, target, references, size=size, seed=seed, at=at)
    how = settings(model, preset, options | ({} if steps is None else {"steps": steps}), method="fourier",
                   presets=FOURIER, exceptions={})  # fmt: skip
    scale = decay_scale(job.size, how["decay"]).to(job.target.device)

    def paint(spectrum: Tensor) -> Tensor:
        waves = torch.fft.irfft2(torch.view_as_complex(spectrum) * scale, s=(job.size, job.size))
        return torch.sigmoid(correlate(unit_sized(waves) * how["contrast"]))

    return ascend(job, how, job.draw(3, *scale.shape, 2), paint, callback)


def maco(
    model: nn.Module, target: Sequence[int] | Tensor, references: Tensor | None = None, *, size: int | None = None,
    steps: int | None = None, seed: int | Sequence[int] = 0, preset: str = "world", at: str = "logits",
    callback: Callback | None = None, **options,
) -> Tensor:  # fmt: skip
    """Maximise channels or directions at a tap over the phase alone; the magnitude is that of real images.

    Returns (k, 3, size, size) in [0, 1] for one seed, (seeds, k, 3, size, size) for several. Options override the
    preset: steps, lr, crops, crop, noise, contrast, and magnitude, the `mean_spectrum` of any images; without one it is
    that of all references together, so that an image depends on what else is in its batch.
    """
    job = prepare(model, target, references, size=size, seed=seed, at=at)
    how = settings(model, preset, options | ({} if steps is None else {"steps": steps}), method="maco",
                   presets=MACO, exceptions={})  # fmt: skip
    if how["magnitude"] is None and references is None:
        raise ValueError("maco needs references (k, n, 3, h, w) for its magnitude, or magnitude=mean_spectrum(images)")
    magnitude = mean_spectrum(references.flatten(0, 1)) if how["magnitude"] is None else how["magnitude"]
    magnitude = resized_spectrum(magnitude, job.size).to(job.target.device)

    def paint(phase: Tensor) -> Tensor:
        waves = phase_image(standardised(phase), magnitude)
        return torch.sigmoid(correlate(standardised(waves) * how["contrast"]))

    return ascend(job, how, job.draw(*magnitude.shape), paint, callback)
