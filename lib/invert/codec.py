"""Pictures as small grids of numbers: the principal components of square patches, found without training.

The simplest thing that can stand where an autoencoder stands in latent diffusion: nothing to train, good for small
pictures and for trying things. `autoencoder` has the one that learns.
"""

from __future__ import annotations

import logging
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

# diffusers warns of every model that isn't one of its own
logging.getLogger("diffusers").setLevel(logging.ERROR)


class PatchCodec(ModelMixin, ConfigMixin):
    """Patches of `patch` x `patch` pixels as `latent_channels` numbers of similar size, and back.

    `whiten` says how far the components' sizes are evened out: 0 leaves them, 1 makes all alike. Pipelines read
    `scaling_factor` and the length of `block_out_channels`, which is 1 + log2(patch).
    """

    @register_to_config
    def __init__(self, patch: int = 4, latent_channels: int = 24, scaling_factor: float = 1.0,
                 block_out_channels: tuple[int, ...] = (0, 0, 0), whiten: float = 0.5):  # fmt: skip
        super().__init__()
        wide = 3 * patch * patch
        if not 0 < latent_channels <= wide:
            raise ValueError(f"patches of {patch} pixels have 1 to {wide} components, found {latent_channels}")
        self.register_buffer("mean", torch.zeros(wide))
        self.register_buffer("basis", torch.eye(wide, latent_channels))
        self.register_buffer("scale", torch.ones(latent_channels))

    @property
    def patch(self) -> int:
        """Return the pixels a side of one latent position."""
        return self.config.patch

    @property
    def arguments(self) -> dict:
        """Return what makes another one like this."""
        own = self.config
        return {"patch": own.patch, "channels": own.latent_channels, "whiten": own.whiten}

    def encode(self, x: Tensor) -> SimpleNamespace:
        """Turn pixels (n, 3, h, w) in [-1, 1] into `.latents` (n, channels, h / patch, w / patch)."""
        return SimpleNamespace(latents=self.pack(x))

    def decode(self, z: Tensor, return_dict: bool = True, generator: torch.Generator | None = None):
        """Turn latents into `.sample`, pixels (n, 3, h, w) in [-1, 1]."""
        pixels = self.unpack(z).clamp(-1, 1)
        return SimpleNamespace(sample=pixels) if return_dict else (pixels,)

    def pack(self, x: Tensor) -> Tensor:
        """Turn pixels (n, 3, h, w) in [-1, 1] into latents (n, channels, h / patch, w / patch)."""
        z = (patches(x, self.config.patch) - self.mean) @ self.basis / self.scale
        return z.permute(0, 3, 1, 2).contiguous()

    def unpack(self, z: Tensor) -> Tensor:
        """Turn latents back into pixels (n, 3, h, w), unclamped."""
        flat = (z.permute(0, 2, 3, 1) * self.scale) @ self.basis.T + self.mean
        return F.pixel_shuffle(flat.permute(0, 3, 1, 2), self.config.patch)


def patches(x: Tensor, patch: int) -> Tensor:
    """Cut pixels (n, 3, h, w) into patches (n, h / patch, w / patch, 3 patch^2)."""
    return F.pixel_unshuffle(checked(x, patch), patch).permute(0, 2, 3, 1)


def checked(x: Tensor, patch: int) -> Tensor:
    """Return pixels (n, 3, h, w) when patches fill them."""
    if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] % patch or x.shape[3] % patch:
        raise ValueError(f"expected images (n, 3, h, w) with sides that {patch} divides, found {tuple(x.shape)}")
    return x


def pixels_in(images: Tensor) -> Tensor:
    """Turn images in [0, 1] (or bytes) into pixels in [-1, 1]."""
    return images.float() / 127.5 - 1 if images.dtype == torch.uint8 else images * 2 - 1


def of(*, patch: int, channels: int, whiten: float) -> PatchCodec:
    """Make a codec that hasn't seen pictures yet."""
    return PatchCodec(patch, channels, block_out_channels=tuple([0] * patch.bit_length()), whiten=whiten)


@torch.no_grad()
def fit(images: Tensor, *, patch: int = 4, channels: int = 24, whiten: float = 0.5) -> PatchCodec:
    """Find the components of images (n, 3, h, w) in [0, 1] or bytes; latents come out with deviation 1 overall."""
    codec = of(patch=patch, channels=channels, whiten=whiten)
    flat = patches(pixels_in(images), patch).flatten(0, 2).double()
    values, vectors = torch.linalg.eigh(torch.cov((flat - flat.mean(0)).T))
    spread = values.flip(0)[:channels].clamp_min(1e-8).sqrt()
    scale = spread**whiten
    codec.mean.copy_(flat.mean(0))
    codec.basis.copy_(vectors.flip(1)[:, :channels])
    codec.scale.copy_(scale * (spread / scale).square().mean().sqrt())
    return codec.eval()


def decibels(drawn: Tensor, images: Tensor) -> Tensor:
    """Measure the peak signal to noise ratio of drawn images (n, 3, h, w) in [0, 1], (n,)."""
    return -10 * (drawn - images).square().flatten(1).mean(1).clamp_min(1e-12).log10()
