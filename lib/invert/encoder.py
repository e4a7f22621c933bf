"""Features at a tap as maps (n, c, h, w), and the encoder that brings them to the grid of the drawing model."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from ..zoo import normalise
from ..zoo.taps import record


class FeatureEncoder(ModelMixin, ConfigMixin):
    """Feature maps (n, c, h, w) to (n, hidden, grid, grid): standardise, pool or not, enlarge, convolve, SiLU.

    Two more convolutions, the last of zeros, are the first part of diffusers' ControlNet.
    """

    @register_to_config
    def __init__(self, channels: int, hidden: int = 40, grid: int = 8, pooled: bool = False):
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("spread", torch.ones(1, channels, 1, 1))
        self.conv = nn.Conv2d(channels, hidden, 3, padding=1)

    def forward(self, features: Tensor, drop: Tensor | None = None) -> Tensor:
        """Encode features; where `drop` (n,) is true, as if every channel were at its mean."""
        x = (features - self.mean) / self.spread
        if self.config.pooled:
            x = x.mean((2, 3), keepdim=True)
        if drop is not None:
            x = x.masked_fill(drop.view(-1, 1, 1, 1), 0.0)
        x = F.interpolate(x, size=(self.config.grid,) * 2, mode="bilinear", align_corners=False)
        return F.silu(self.conv(x))


@torch.no_grad()
def measure(encoder: FeatureEncoder, features: Tensor) -> FeatureEncoder:
    """Set an encoder's mean and spread per channel from features (n, c, h, w); dead channels keep their scale."""
    flat = features.transpose(0, 1).flatten(1)
    spread = flat.std(1)
    floor = 0.05 * spread.mean().clamp_min(1e-6)  # a channel that hardly ever fires isn't blown up
    encoder.mean.copy_(flat.mean(1).view(1, -1, 1, 1))
    encoder.spread.copy_(spread.clamp_min(floor).view(1, -1, 1, 1))
    return encoder


def side(positions: int, height: int, width: int, prefix: int = 1) -> tuple[int, int, int]:
    """Find the grid (h, w) of so many positions on images (height, width), and the tokens before it."""
    for first in dict.fromkeys((0, prefix, 1)):
        h = round(((positions - first) * height / width) ** 0.5) if positions > first else 0
        if h and h * round(h * width / height) == positions - first:
            return h, round(h * width / height), first
    return 0, 0, 0


@torch.no_grad()
def features(model: nn.Module, images: Tensor, tap: str, *, batch: int = 256) -> Tensor:
    """Return a network's features of images (n, 3, s, s) in [0, 1] at a tap, (n, c, h, w); class tokens are left out.

    A tap without positions (`penultimate`, `logits`) gives (n, c, 1, 1).
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"features are those of a torch network with layers, found a {type(model).__name__}")
    found, device = [], next(model.parameters()).device
    images = sized(images, taken(model))
    for part in images.split(batch):
        with record(model, tap) as kept:
            model(normalise(model, part.to(device)))
        found.append(as_map(kept[tap], part.shape[2:], tap, getattr(model, "num_prefix_tokens", 1)))
    return torch.cat(found)


def taken(model: nn.Module) -> int:
    """Return the side in pixels of the only images that a network of timm takes, 0 when it takes others too."""
    known = getattr(model, "pretrained_cfg", None) or {}
    if not known.get("fixed_input_size"):
        return 0
    own = getattr(getattr(model, "patch_embed", None), "img_size", None)  # as built, whatever it was trained on
    return (own or known["input_size"])[-1]


def sized(images: Tensor, side: int) -> Tensor:
    """Bring images (n, 3, h, w) in [0, 1] to squares of a side in pixels; 0 leaves them."""
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(f"expected images (n, 3, h, w) in [0, 1], found {images.dtype} {tuple(images.shape)}")
    if not side or images.shape[-2:] == (side, side):
        return images
    return F.interpolate(images.float(), size=(side, side), mode="bilinear", align_corners=False, antialias=True)


def as_map(value: Tensor, size: tuple[int, int], tap: str, prefix: int = 1) -> Tensor:
    """View what a tap gave, (n, c, positions), as maps (n, c, h, w)."""
    h, w, first = side(value.shape[2], *size, prefix)
    if not h:
        raise ValueError(f"{tap}: {value.shape[2]} positions are no grid on images of {size[0]} x {size[1]} pixels; "
                         "take a tap of maps, such as block5")  # fmt: skip
    return value[:, :, first:].unflatten(2, (h, w))
