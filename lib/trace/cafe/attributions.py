"""CAFE: which patches of an image made a latent fire, its instance-specific effective receptive field (Eq. 10).

`f(model, sae, x, fired) -> maps (n, down, across)` for networks that cut images into patches; `x` is what the network
eats, `fired` comes from `latents.fire`. Relevance goes from the latent's code at one token back to the patches, so it
also serves the class token, which has no place of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...names import unknown
from ...relevance.attention import RULES
from ...relevance.start import Start
from ...relevance.tape import Tape, send_back
from ...zoo.taps import record
from .latents import Fired, before_patches, fire, grid, reading, tokens
from .local_rules import LocalRules
from .sae import Sae

EMBEDDING = "block1"  # where patches are still themselves
SAMPLES, STEPS = 256, 32  # of KernelSHAP's coalitions and integrated gradients' path


def attnlrp(model: nn.Module, sae: Sae, x: Tensor, fired: Fired, *, signed: bool = False) -> Tensor:
    """Send the code back by AttnLRP as gradient x input; a patch gets its relevance's length over channels.

    The length is what the paper takes. `signed` sums channels instead: then patches, the class token and positions add
    up to the code without biases.
    """
    with torch.enable_grad(), record(model, EMBEDDING) as kept, LocalRules(type(model).__name__):
        value = reading(model, sae, x.detach().clone().requires_grad_(True), fired)
    (slope,) = torch.autograd.grad(value.sum(), kept[EMBEDDING])
    return per_patch(kept[EMBEDDING].detach() * slope, grid(model, x), signed)


def attnlrp_by_rules(model: nn.Module, sae: Sae, x: Tensor, fired: Fired, *, signed: bool = False) -> Tensor:
    """Send the code back by the stabilised rules of `relevance.attention`, function by function."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_(True)
        with record(model, [EMBEDDING, fired.layer]) as kept, Tape(x, type(model).__name__) as tape:
            model(x)
    h = kept[fired.layer].detach()  # (n, c, tokens)
    slope = F.one_hot(fired.token, h.shape[2])[:, None] * sae.encoder[fired.latent][:, :, None]
    start = Start(fired.layer, "best", slope, slope * h, fired.value <= 0)
    found = send_back(tape, kept, start, [EMBEDDING], rules=RULES, name="AttnLRP")
    return per_patch(found[EMBEDDING].detach(), grid(model, x), signed)


def integrated_gradients(model: nn.Module, sae: Sae, x: Tensor, fired: Fired, *, steps: int = STEPS) -> Tensor:
    """Add gradients up on the way from a blank image: each patch's part of the code, in both signs."""
    from captum.attr import IntegratedGradients

    how = dict(baselines=0.0, n_steps=steps, method="riemann_middle", internal_batch_size=max(64, len(x)))
    parts = IntegratedGradients(score(model, sae, fired.layer)).attribute(
        x.detach(), additional_forward_args=(fired.latent, fired.token), **how
    )
    return patch_sums(parts.sum(1), grid(model, x)).to(x)


def gradients(model: nn.Module, sae: Sae, x: Tensor, fired: Fired) -> Tensor:
    """Add the sizes of the code's gradient up over each patch's pixels and colours."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(reading(model, sae, x, fired).sum(), x)
    return patch_sums(slope.abs().sum(1), grid(model, x))


def kernel_shap(
    model: nn.Module, sae: Sae, x: Tensor, fired: Fired, *, samples: int = SAMPLES, seed: int = 0
) -> Tensor:
    """Fit what patches add to the code over random coalitions of them, the others blank."""
    from captum.attr import KernelShap

    down, across = grid(model, x)
    order = torch.arange(down * across, device=x.device).reshape(1, 1, down, across)
    groups = F.interpolate(order.to(x), x.shape[2:], mode="nearest").long()
    explain, maps = KernelShap(score(model, sae, fired.layer)), []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for row in range(len(x)):  # the library explains one image at a time, its coalitions as a batch
            part = explain.attribute(
                x[row : row + 1], baselines=0.0, feature_mask=groups, n_samples=samples, perturbations_per_eval=samples,
                additional_forward_args=(fired.latent[row : row + 1], fired.token[row : row + 1]),
            )  # fmt: skip
            # every pixel of a patch carries the patch's own number
            maps.append(F.adaptive_avg_pool2d(part[:, 0], (down, across)))
    return torch.cat(maps)


def activation(model: nn.Module, sae: Sae, x: Tensor, fired: Fired) -> Tensor:
    """Return what drives the latent at each patch's own token: the usual reading of where it looks."""
    patches = grid(model, x)
    with torch.no_grad():
        h = tokens(model, x, fired.layer)
        h = h[:, before_patches(h.shape[1], patches) :]
        drive = torch.einsum("npc,nc->np", h - sae.before, sae.encoder[fired.latent]) + sae.bias[fired.latent][:, None]
    return drive.unflatten(1, patches)


METHODS: dict[str, Callable[..., Tensor]] = {
    "activation": activation,
    "AttnLRP": attnlrp,
    "AttnLRP, signed": partial(attnlrp, signed=True),
    "KernelSHAP": kernel_shap,
    "integrated gradients": integrated_gradients,
    "gradients": gradients,
}


def cafe(
    model: nn.Module, sae: Sae, x: Tensor, latent: int | Tensor, layer: str, *, where: str = "patch",
    method: str = "AttnLRP",
) -> tuple[Tensor, Fired]:  # fmt: skip
    """Return the iERF (n, down, across) of a latent on images x (n, 3, h, w), and where it fired."""
    if method not in METHODS:
        raise KeyError(unknown("way to find an iERF", method, METHODS))
    fired = fire(model, sae, x, latent, layer, where=where)
    return METHODS[method](model, sae, x, fired), fired


def score(model: nn.Module, sae: Sae, layer: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return the code as a function of images, latents and tokens, as libraries call it."""

    def code(x: Tensor, latent: Tensor, token: Tensor) -> Tensor:
        if len(latent) != len(x):  # coalitions of one image
            latent, token = latent.expand(len(x)), token.expand(len(x))
        return reading(model, sae, x, Fired(layer, latent, token, latent))

    return code


def per_patch(relevance: Tensor, patches: tuple[int, int], signed: bool) -> Tensor:
    """Reduce relevance (n, c, patches) to one number a patch, (n, down, across)."""
    return (relevance.sum(1) if signed else relevance.norm(dim=1)).unflatten(1, patches)


def patch_sums(maps: Tensor, patches: tuple[int, int]) -> Tensor:
    """Add maps (n, h, w) up over patches, (n, down, across)."""
    size = maps.shape[1] * maps.shape[2] / (patches[0] * patches[1])
    return F.adaptive_avg_pool2d(maps, patches) * size
