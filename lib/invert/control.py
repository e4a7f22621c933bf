"""Inverters: a control network that steers the base by features, so that it draws what a network saw.

diffusers' ControlNet with a feature encoder in place of the image hint. Its last convolutions start at zero, so an
untrained inverter draws exactly what the base draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import ControlNetModel
from torch import Tensor, nn

from ..names import name_of
from ..zoo import shipped
from ..zoo.weights import fill
from . import base as bases
from .base import Base
from .encoder import FeatureEncoder, features, sized
from .flow import FLOW

MADE_BY = "python -m sightglass invert train --model MODEL --tap TAP"
HIDDEN = 40  # channels between the encoder and the ControlNet


class Control(nn.Module):
    """Encoder and ControlNet together: one thing to train, to wrap and to save."""

    def __init__(self, encoder: FeatureEncoder, net: ControlNetModel, told: Callable[[Tensor], Tensor] = FLOW.told):
        super().__init__()
        self.encoder, self.net, self.told = encoder, net, told

    def forward(self, noisy: Tensor, level: Tensor, prompt: Tensor, maps: Tensor, drop: Tensor | None = None,
                strength: float = 1.0) -> tuple[list[Tensor], Tensor]:  # fmt: skip
        """Return what to add to the base's skips and middle, for noisy latents (n, c, h, w) and feature maps."""
        return self.steer(noisy, level, prompt, self.encoder(maps, drop), strength)

    def steer(self, noisy: Tensor, level: Tensor, prompt: Tensor, encoded: Tensor, strength: float = 1.0):
        """Do the same from features that are encoded already: they stay the same through all steps of a sample."""
        return self.net(
            noisy, self.told(level), prompt, controlnet_cond=encoded, conditioning_scale=float(strength),
            return_dict=False,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Inverter:
    """A base, the control that steers it, the tap it was trained for, its card, and how it draws unless told."""

    base: Base
    control: Control
    tap: str
    shape: tuple[int, int, int]
    facts: dict = field(default_factory=dict)
    drawing: dict = field(default_factory=dict)

    @property
    def pooled(self) -> bool:
        """Tell whether it sees only the mean over positions."""
        return self.control.encoder.config.pooled

    def check(self, maps: Tensor) -> Tensor:
        """Return finite feature maps (n, c, h, w) when they have the shape that this inverter learnt from."""
        if not isinstance(maps, Tensor):
            raise TypeError(f"features are a tensor {('n', *self.shape)}, found {type(maps).__name__}")
        good = maps.ndim == 4 and maps.shape[1] == self.shape[0]
        if not good or (not self.pooled and tuple(maps.shape[1:]) != self.shape):
            raise ValueError(f"this inverter takes features of shape {('n', *self.shape)}, found {tuple(maps.shape)}")
        if not maps.isfinite().all():
            raise ValueError("these features hold NaN or infinity, which can't be drawn")
        return maps.float()

    def features(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return the features of images (n, 3, s, s) in [0, 1] that this inverter reads, of its own network only."""
        known = self.facts.get("network")
        if known and fingerprint(model) != known:
            raise ValueError(f"this inverter was trained for {self.facts.get('model')!r}, and this "
                             f"{type(model).__name__} has other weights; train one for it by `{MADE_BY}`")  # fmt: skip
        side = self.facts.get("pixels", 0)  # a drawn picture may be larger than what networks take
        return self.check(features(model, sized(images, side), self.tap))

    def to(self, device: str | torch.device) -> Inverter:
        """Move the weights to a device."""
        self.base.to(device)
        self.control.to(device)
        return self


def build(
    base: Base, shape: tuple[int, int, int], tap: str, *, pooled: bool = False, hidden: int = 0, seed: int = 0
) -> Inverter:
    """Make an untrained inverter for features (c, h, w) at a tap; it starts from the base's own weights."""
    if not pooled and shape[1] * shape[2] == 1:
        raise ValueError(f"{tap} has no positions: a spatial inverter needs a tap of maps, such as block5; "
                         "this one can be inverted pooled")  # fmt: skip
    hidden = hidden or base.facts.get("hidden", HIDDEN)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = FeatureEncoder(shape[0], hidden, base.shape[-1], pooled)
        net = ControlNetModel.from_unet(
            base.unet, conditioning_channels=hidden, conditioning_embedding_out_channels=(hidden,)
        )
    return Inverter(base, Control(encoder, net.requires_grad_(True), base.noising.told), tap, tuple(shape))


def fingerprint(model: nn.Module) -> str:
    """Name a network's weights by a few numbers of each, whatever device it is on."""
    found = hashlib.sha256()
    for name, value in model.state_dict().items():
        found.update(f"{name}{tuple(value.shape)}".encode())
        found.update(value.flatten()[:64].float().cpu().numpy().tobytes())
    return found.hexdigest()[:16]


def save(inverter: Inverter, path: Path, facts: dict) -> dict:
    """Write an inverter to `path`.safetensors in float16 with its card (without its base); return the card."""
    encoder = inverter.control.encoder.config
    shape = {"tap": inverter.tap, "shape": list(inverter.shape), "pooled": encoder.pooled, "hidden": encoder.hidden}
    origin = {"base": fingerprint(inverter.base.unet)}
    state = shipped.joined(encoder=inverter.control.encoder, net=inverter.control.net)
    return shipped.save(path, state, {"family": "inverter", **shape, **origin, **facts})


def load(model: str | Path, tap: str = "block5", *, pooled: bool = False, base: Base | None = None) -> Inverter:
    """Read the inverter of a network's tap, or of a path to one, in eval mode with frozen weights."""
    text = str(model)
    path = Path(text).expanduser()
    known = text.startswith("invert_") or path.exists() or path.with_suffix(".json").exists()
    return read(text if known else name_of(text, tap, pooled=pooled), base=base)


def read(name: str, *, base: Base | None = None, made_by: str = MADE_BY) -> Inverter:
    """Read the inverter of a file name or path; `made_by` is the command that trains it."""
    facts, state = shipped.read(name, made_by)
    if facts.get("family") != "inverter":
        raise ValueError(f"{name!r} is no inverter but of the family {facts.get('family')!r}; run `{made_by}`")
    base = base or bases.load()
    if facts["base"] != fingerprint(base.unet):
        raise ValueError(f"{name!r} was trained on another base than this one; train it again by `{made_by}`")
    made = build(base, tuple(facts["shape"]), facts["tap"], pooled=facts["pooled"], hidden=facts["hidden"])
    fill(made.control.encoder, shipped.part(state, "encoder"), name)
    fill(made.control.net, shipped.part(state, "net"), name)
    made.control.eval().requires_grad_(False)
    return Inverter(base, made.control, made.tap, made.shape, facts)
