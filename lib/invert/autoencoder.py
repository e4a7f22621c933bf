"""Pictures as small grids of numbers, by a small autoencoder: the diffusion model draws these, the decoder the lines.

diffusers' own encoder and decoder of latent diffusion, on pixels folded 2 x 2. Latents have mean 0 and deviation 1 in
each channel, and the decoder learns with noise on them, so that near latents mean near pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import Decoder, Encoder
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from ..zoo import normalise
from ..zoo.taps import record
from .codec import checked

FOLD = 2  # pixels a side that are folded into channels first: four times cheaper, as good


class Autoencoder(ModelMixin, ConfigMixin):
    """Pixels (n, 3, h, w) in [-1, 1] as latents (n, channels, h / patch, w / patch), and back."""

    @register_to_config
    def __init__(self, channels: int = 24, widths: tuple[int, ...] = (32, 64, 96)):
        super().__init__()
        levels = len(widths)
        shared = {"block_out_channels": tuple(widths), "layers_per_block": 1, "norm_num_groups": 8,
                  "mid_block_add_attention": False}  # fmt: skip
        self.encoder = Encoder(3 * FOLD**2, channels, ("DownEncoderBlock2D",) * levels, double_z=False, **shared)
        self.decoder = Decoder(channels, 3 * FOLD**2, ("UpDecoderBlock2D",) * levels, **shared)
        self.even = nn.BatchNorm2d(channels, affine=False, momentum=0.01)

    @property
    def patch(self) -> int:
        """Return the pixels a side of one latent position."""
        return FOLD * 2 ** (len(self.config.widths) - 1)

    @property
    def arguments(self) -> dict:
        """Return what makes another one like this."""
        return {"channels": self.config.channels, "widths": list(self.config.widths)}

    def pack(self, x: Tensor) -> Tensor:
        """Turn pixels into latents."""
        return self.even(self.encoder(F.pixel_unshuffle(checked(x, self.patch), FOLD)))

    def unpack(self, z: Tensor) -> Tensor:
        """Turn latents into pixels, unclamped."""
        return F.pixel_shuffle(self.decoder(z), FOLD)

    def decode(self, z: Tensor) -> SimpleNamespace:
        """Turn latents into `.sample`, pixels in [-1, 1]."""
        return SimpleNamespace(sample=self.unpack(z).clamp(-1, 1))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Pack pixels, put noise of the latents' shape on them, unpack."""
        return self.unpack(self.pack(x) + noise)


@torch.no_grad()
def even_out(codec: Autoencoder, pixels: Tensor, *, batch: int = 256) -> Autoencoder:
    """Measure anew over pixels (n, 3, h, w) what makes latents' means 0 and deviations 1: training drifts."""
    codec.even.reset_running_stats()
    codec.even.momentum = None  # the plain average over all batches
    codec.train()
    for part in pixels.split(batch):
        codec.pack(part)
    return codec.eval()


def unlike(eyes: nn.Module, taps: tuple[str, ...]) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a distance of images (n, 3, s, s) in [0, 1] in the eyes of a network: relative error, summed over taps."""

    def seen(images: Tensor) -> dict[str, Tensor]:
        with record(eyes, list(taps)) as kept:
            eyes(normalise(eyes, images))
        return dict(kept)

    def distance(drawn: Tensor, images: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = seen(images)
        found = seen(drawn)
        return sum((found[t] - wanted[t]).square().mean() / wanted[t].square().mean() for t in taps)

    return distance
