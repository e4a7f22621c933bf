"""The base: a small diffusion model that draws the world, from captions or from none.

diffusers' UNet on the codec's latents. A prompt reaches it twice, by cross-attention on the coarse grid and, pooled,
beside the noise level in every block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from ..zoo import shipped
from ..zoo.weights import fill
from . import codec as patches
from . import flow, prompts
from .autoencoder import Autoencoder
from .codec import PatchCodec

NAME, MADE_BY = "base", "python -m sightglass invert train base"
Codec = PatchCodec | Autoencoder
CODECS = {"patches": patches.of, "autoencoder": Autoencoder}  # by what a card calls them


@dataclass(frozen=True, eq=False)
class Base:
    """A drawing model: network, codec, the words of its prompts, the side of its pictures, its card.

    `noising` says how its pictures become noise; `text`, when it has one, turns captions or word numbers into vectors.
    """

    unet: UNet2DConditionModel
    codec: Codec
    words: tuple[str, ...]
    size: int
    facts: dict = field(default_factory=dict)
    noising: flow.Noising = field(default=flow.FLOW, compare=False)  # the card says which, where it matters
    text: Callable[[Sequence[str] | Tensor], Tensor] | None = field(default=None, compare=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the shape of a picture's latents."""
        return (self.unet.config.in_channels, *[self.unet.config.sample_size] * 2)

    @property
    def device(self) -> torch.device:
        """Return where its weights are."""
        return next(self.unet.parameters()).device

    def prompts(self, said: Sequence[str] | Tensor) -> Tensor:
        """Turn captions, or word numbers (n, tokens, words), into vectors (n, tokens, width)."""
        if self.text:
            return self.text(said).to(self.device)
        ids = said if isinstance(said, Tensor) else prompts.read(said, self.words)
        return prompts.embed(ids, self.unet.config.cross_attention_dim).to(self.device)

    def to(self, device: str | torch.device) -> Base:
        """Move the weights to a device."""
        self.unet.to(device)
        self.codec.to(device)
        return self


def network(grid: int, channels: int, wide: int, widths: Sequence[int] = (64, 96)) -> UNet2DConditionModel:
    """Build the UNet for latents (channels, grid, grid) and prompts of width `wide`, attention on the coarsest grid."""
    more, least = len(widths) - 1, 2 ** (len(widths) - 1)
    if grid % least:
        raise ValueError(f"{len(widths)} widths halve the grid {more} times: its side must be a multiple of {least}, "
                         f"found {grid}")  # fmt: skip
    return UNet2DConditionModel(
        sample_size=grid, in_channels=channels, out_channels=channels, block_out_channels=tuple(widths),
        layers_per_block=1, norm_num_groups=8, cross_attention_dim=wide, addition_embed_type="text",
        attention_head_dim=4,  # diffusers takes it for the number of heads
        down_block_types=("DownBlock2D",) * more + ("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",) + ("UpBlock2D",) * more,
    )  # fmt: skip


def build(
    codec: Codec, words: Sequence[str], *, size: int = 64, widths: Sequence[int] = (64, 96), seed: int = 0
) -> Base:
    """Make an untrained base for pictures of `size` pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = network(size // codec.patch, codec.arguments["channels"], prompts.width(words), widths)
    return Base(unet, codec, tuple(words), size)


def velocity(base: Base, noisy: Tensor, level: Tensor, prompt: Tensor, residuals: tuple | None = None) -> Tensor:
    """Predict what the model aims at, the world's a velocity, at noisy latents (n, c, h, w) of levels (n,).

    `residuals` are a control's.
    """
    down, middle = residuals or (None, None)
    return base.unet(
        noisy, base.noising.told(level), prompt, down_block_additional_residuals=down,
        mid_block_additional_residual=middle, return_dict=False,
    )[0]  # fmt: skip


def save(base: Base, path: Path, facts: dict) -> dict:
    """Write a base to `path`.safetensors in float16 with its card; return the card."""
    shape = {"size": base.size, "widths": list(base.unet.config.block_out_channels), "words": list(base.words)}
    state = shipped.joined(unet=base.unet, codec=base.codec)
    return shipped.save(path, state, {"family": "base", **shape, "codec": told(base.codec), **facts})


def load(name: str | Path = NAME, made_by: str = MADE_BY) -> Base:
    """Read a base by name or path, in eval mode with frozen weights; `made_by` is the command that trains it."""
    facts, state = shipped.read(name, made_by)
    if facts.get("family") != "base":
        raise ValueError(f"{str(name)!r} is no base but of the family {facts.get('family')!r}; run `{made_by}`")
    made = build(codec_of(facts, state, name), facts["words"], size=facts["size"], widths=facts["widths"])
    fill(made.unet, shipped.part(state, "unet"), name)
    freeze(made)
    return Base(made.unet, made.codec, made.words, made.size, facts)


def told(codec: Codec) -> dict:
    """Return what a card says of a codec."""
    return {"kind": "patches" if isinstance(codec, PatchCodec) else "autoencoder", **codec.arguments}


def codec_of(facts: dict, state: dict[str, Tensor], name: str | Path) -> Codec:
    """Return the codec in the file of a codec or a base."""
    arguments = dict(facts["codec"])
    made = CODECS[arguments.pop("kind")](**arguments)
    fill(made, shipped.part(state, "codec"), name)
    return made.eval().requires_grad_(False)


def codec_named(name: str | Path) -> Codec:
    """Return the codec in the file of a codec or a base, by name or path."""
    facts, state = shipped.read(name, f"{MADE_BY[:-5]} codec")
    if "codec" not in facts:
        raise ValueError(f"{str(name)!r} has no codec, it is of the family {facts.get('family')!r}; "
                         f"run `{MADE_BY[:-5]} codec`, or take --codec patches, which needs no training")  # fmt: skip
    return codec_of(facts, state, name)


def freeze(base: Base) -> Base:
    """Put a base into eval mode with frozen weights."""
    base.unet.eval().requires_grad_(False)
    base.codec.eval()
    return base
