"""Where latents of a sparse autoencoder fire: at which layer, on which token of which image, how strongly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...names import unknown
from ...zoo.layout import Spot, attach, locate, to_positions
from .sae import Sae

WHERE = ("patch", "class")


class _Reached(BaseException):
    """Ends a forward pass at a layer; no network catches it by mistake."""


@dataclass(frozen=True)
class Fired:
    """One latent per image at one token, (n,) each: the token counts the class token first, `value` is its code."""

    layer: str
    latent: Tensor
    token: Tensor
    value: Tensor

    def __getitem__(self, rows) -> Fired:
        return Fired(self.layer, self.latent[rows], self.token[rows], self.value[rows])


@dataclass(frozen=True)
class Peaks:
    """The highest code of each latent in each image, (n, K): among patches, at which token, and at the class token."""

    patch: Tensor
    token: Tensor
    whole: Tensor


def tokens(model: nn.Module, x: Tensor, layer: str) -> Tensor:
    """Return what a layer gives for images x, (n, tokens, c), running no layer behind it."""
    (spot,) = locate(model, layer)

    def catch(out: Tensor, spot: Spot) -> Tensor:
        raise _Reached(to_positions(out, spot))

    handle = attach(spot, catch)
    try:
        model(x)
    except _Reached as reached:
        return reached.args[0].transpose(1, 2)
    finally:
        handle.remove()
    raise ValueError(f"{type(model).__name__} never runs {layer}")


def grid(model: nn.Module, x: Tensor) -> tuple[int, int]:
    """Return how many patches a vision transformer cuts images (n, 3, h, w) into, down and across."""
    (spot,) = locate(model, "block1")
    if not isinstance(spot.module, nn.Conv2d) or spot.module.stride != spot.module.kernel_size:
        raise ValueError(
            f"CAFE follows latents to the patches of a vision transformer; {type(model).__name__} has none, and `ierf` "
            "of SRD serves its PFVs"
        )
    return tuple(size // step for size, step in zip(x.shape[2:], spot.module.stride, strict=True))


def before_patches(count: int, patches: tuple[int, int]) -> int:
    """Return how many of `count` tokens come before the patches: the class token, and registers."""
    return count - patches[0] * patches[1]


def fire(model: nn.Module, sae: Sae, x: Tensor, latent: int | Tensor, layer: str, *, where: str = "patch") -> Fired:
    """Find the patch on which a latent fires most in each image x (n, 3, h, w), or read the class token."""
    if where not in WHERE:
        raise KeyError(unknown("place of a latent", where, WHERE))
    latent = whole_latents(latent, len(x), sae, x.device)
    with torch.no_grad():
        codes = sae.encode(tokens(model, x, layer))  # (n, tokens, K)
    own = codes.gather(2, latent[:, None, None].expand(-1, codes.shape[1], 1)).squeeze(2)
    first = before_patches(own.shape[1], grid(model, x))
    if where == "class" and first < 1:
        raise ValueError(f"{type(model).__name__} has no class token; where='patch' reads its patches")
    value, token = own[:, :1].max(1) if where == "class" else own[:, first:].max(1)
    token = token if where == "class" else token + first
    silent = (value <= 0).nonzero().flatten().tolist()
    if silent:
        raise ValueError(
            f"latent {int(latent[silent[0]])} of {layer} never fires at a {where} token of image {silent[0]}"
            f"{f' (and {len(silent) - 1} more pairs)' if len(silent) > 1 else ''}; `peaks` tells which latents do"
        )
    return Fired(layer, latent, token, value)


def whole_latents(latent: int | Tensor, n: int, sae: Sae, device) -> Tensor:
    """Return one latent per image, (n,)."""
    latent = torch.as_tensor(latent, device=device)
    latent = latent.expand(n) if latent.ndim == 0 else latent
    count = len(sae.encoder)
    if latent.is_floating_point() or latent.shape != (n,):
        raise ValueError(f"latents are one whole number, or one for each of {n} images; found {tuple(latent.shape)}")
    wrong = latent[(latent < 0) | (latent >= count)]
    if len(wrong):
        raise ValueError(f"the autoencoder has latents 0 to {count - 1}, not {int(wrong[0])}")
    return latent


def reading(model: nn.Module, sae: Sae, x: Tensor, fired: Fired) -> Tensor:
    """Return the latents' codes (n,) for other images x at the tokens where they fired, with their gates held open."""
    h = tokens(model, x, fired.layer)
    at = h[torch.arange(len(x), device=x.device), fired.token]  # (n, c)
    return ((at - sae.before) * sae.encoder[fired.latent]).sum(1).add(sae.bias[fired.latent]).relu()


@torch.no_grad()
def peaks(model: nn.Module, sae: Sae, x: Tensor, layer: str, *, batch: int = 64) -> Peaks:
    """Find how strongly each latent fires in each image x (n, 3, h, w)."""
    found, patches = [], grid(model, x)
    for part in x.split(batch):
        codes = sae.encode(tokens(model, part, layer))
        first = before_patches(codes.shape[1], patches)
        patch, token = codes[:, first:].max(1)
        found.append((patch, token + first, codes[:, 0] if first else torch.zeros_like(patch)))
    return Peaks(*map(torch.cat, zip(*found, strict=True)))
