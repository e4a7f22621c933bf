"""Sharing Ratio Decomposition (SRD): saliency at every resolution, and the iERF of any PFV, from one backward pass.

A PFV (pointwise feature vector) is what all channels say at one position; its iERF is the share of each pixel in it.
`x` is what the network eats (normalised pixels). Relevance is one number per position, so the iERF of a direction in
the channels is that of its PFV; concepts that cover several PFVs weigh them (`mixture`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...names import unknown
from ...zoo.layout import taps as taps_of
from .encode import Encoded, as_map, encode, resolutions, send_back
from .share import Sharing

WEIGHTS = ("clamped", "mean", "raw")


@dataclass(frozen=True)
class Srd:
    """SRD of images for a class: weights of the last PFVs, relevance at levels and at pixels, (n, h, w) each.

    `frozen` names the normalisations whose scale was held fixed.
    """

    low: Tensor
    maps: dict[str, Tensor]
    input: Tensor
    frozen: tuple[str, ...]

    @property
    def high(self) -> Tensor:
        """Return the map of the first level."""
        return next(iter(self.maps.values()))


def srd(
    model: nn.Module, x: Tensor, target: Tensor | Sequence[int], *, at: str | None = None,
    levels: Sequence[str] | None = None, weights: str | Tensor = "clamped", bias: str = "spread",
) -> Srd:  # fmt: skip
    """Decompose classes (n,) of images x (n, c, h, w) from the tap `at` back to pixels, with maps at levels.

    `weights` of the last PFVs are their Grad-CAM scores: "raw", less the mean over classes ("mean"), of which only
    what is above zero counts ("clamped"); or values of your own (n, positions). `bias` says where the shares of
    constants go: evenly over their windows ("spread"), nowhere ("drop"), or out of the ratio ("centred").
    """
    usual = resolutions(model) if at is None or levels is None else ("", "")
    at, levels = at or usual[0], [usual[1]] if levels is None else [levels] if isinstance(levels, str) else [*levels]
    if isinstance(weights, str) and weights not in WEIGHTS:
        raise KeyError(unknown("weights", weights, WEIGHTS))
    mode = Sharing(type(model).__name__, bias)
    with torch.inference_mode(False), torch.enable_grad():
        done = encode(model, fresh(x), at, levels, mode, head=isinstance(weights, str))
        mu = class_weights(done, target, weights) if isinstance(weights, str) else shaped(done.top, weights, at)
        before = [name for name in levels if name != at]
        found = [m.detach() for m in send_back(done, mu, taps=before)]
    low = as_map(mu, done.top._flow.axis - done.top.ndim, done.top.ndim)
    maps = dict(zip(before, found[1:], strict=True)) | {at: low}
    return Srd(low, {name: maps[name] for name in levels}, found[0], tuple(dict.fromkeys(mode.frozen)))


def relevance_of_layers(
    model: nn.Module, x: Tensor, target: Tensor | Sequence[int], taps: Sequence[str] | None = None, **how
) -> dict[str, Tensor]:
    """Return the relevance of each PFV for classes (n,) at all taps, {tap: (n, positions)}, from one pass.

    Without taps these are all blocks up to the last; `how` is as in `srd`.
    """
    at = how.pop("at", None) or resolutions(model)[0]
    taps = [name for name in taps_of(model) if name.startswith("block")] if taps is None else [*taps]
    return {name: m.flatten(1) for name, m in srd(model, x, target, at=at, levels=taps, **how).maps.items()}


def fresh(x: Tensor) -> Tensor:
    """Copy images into a leaf that wants gradients."""
    if x.ndim != 4 or not len(x):
        raise ValueError(f"SRD takes images (n, c, h, w), found {tuple(x.shape)}")
    if not x.isfinite().all():
        raise ValueError("images hold NaN or infinity")
    return x.detach().clone().requires_grad_(True)


def class_weights(done: Encoded, target: Tensor | Sequence[int], weights: str, *, graph: bool = False) -> Tensor:
    """Weigh each PFV for classes (n,) by its Grad-CAM score, as a map like the PFVs with one channel.

    The score is linear in the logits, so the one less its mean over classes is that of the centred logit.
    """
    logits, axis = done.logits, done.top._flow.axis
    n, count = logits.shape if logits.ndim == 2 else (0, 0)
    target = torch.as_tensor(target, device=logits.device)
    if n == 0 or target.shape != (n,) or not ((0 <= target) & (target < count)).all():
        raise ValueError(f"target is one class of {count} for each of {len(logits)} images, found {tuple(target.shape)}"
                         f" with {target.flatten()[:4].tolist()}")  # fmt: skip
    score = logits.gather(1, target.long()[:, None]).sum()
    score = score if weights == "raw" else score - logits.mean(1).sum()
    (slope,) = torch.autograd.grad(score, done.leaf, create_graph=graph, retain_graph=graph)
    places = [d for d in range(1, slope.ndim) if d != axis]
    slope = slope.mean(places, keepdim=True) if places else slope
    phi = (slope * (done.leaf if graph else done.leaf.detach())).sum(axis, keepdim=True)
    return phi.clamp(min=0) if weights == "clamped" else phi


def shaped(top: Tensor, weights: Tensor, at: str) -> Tensor:
    """View weights (..., n, positions) as maps like the PFVs at a tap with one channel."""
    axis = top._flow.axis
    shape = [1 if d == axis else s for d, s in enumerate(top.shape)]
    weights = torch.as_tensor(weights, dtype=top.dtype, device=top.device)
    if weights.shape[-2:] != (shape[0], top[0].numel() // top.shape[axis]):
        raise ValueError(f"{at} has PFVs ({shape[0]}, {top[0].numel() // top.shape[axis]}), found weights for "
                         f"{tuple(weights.shape[-2:])}")  # fmt: skip
    return weights.reshape(*weights.shape[:-2], *shape)


def ierf(
    model: nn.Module, x: Tensor, at: str, positions: Tensor | Sequence[int], *,
    images: Tensor | Sequence[int] | None = None, bias: str = "spread", chunk: int = 16,
) -> Tensor:  # fmt: skip
    """Return the iERFs (m, h, w) of PFVs at `positions` (m,) of a tap, the share of each pixel in each.

    `images` (m,) says in which image each lies; without it, in one each, or all in a single image.
    """
    positions, images = pointed(len(x), positions, images)
    # One backward pass serves one position of every image, so positions are dealt out in rounds.
    turn = torch.stack([(images[:i] == image).sum() for i, image in enumerate(images)])
    with torch.inference_mode(False), torch.enable_grad():
        done = encode(model, fresh(x), at, [], Sharing(type(model).__name__, bias), head=False)
        count = done.top[0].numel() // done.top.shape[done.top._flow.axis]
        if positions.min() < 0 or positions.max() >= count:
            raise ValueError(f"{at} has positions 0 to {count - 1}, found {int(positions.min())} to "
                             f"{int(positions.max())}")  # fmt: skip
        out = x.new_zeros(len(positions), *x.shape[2:])
        for first in range(0, int(turn.max()) + 1, chunk):
            mine = (turn >= first) & (turn < first + chunk)
            hot = F.one_hot(positions[mine], count).to(x.dtype)
            weight = x.new_zeros(int(turn[mine].max()) + 1 - first, len(x), count)
            weight[turn[mine] - first, images[mine]] = hot.to(x.device)
            found = several(done, shaped(done.top, weight, at))
            out[mine.to(x.device)] = found[turn[mine] - first, images[mine]]
    return out


def several(done: Encoded, weights: Tensor) -> Tensor:
    """Send several weightings (k, n, 1, h, w) back together: (k, n, h, w) at the input."""
    if len(weights) == 1:
        return send_back(done, weights[0], keep=True)[0].detach()[None]
    return send_back(done, weights, batched=True, keep=True)[0].detach()


def pointed(n: int, positions: Tensor | Sequence[int], images: Tensor | Sequence[int] | None) -> tuple[Tensor, Tensor]:
    """Pair positions with images of a batch of n."""
    positions = torch.as_tensor(positions, device="cpu").long()
    if images is None and len(positions) != n != 1:
        raise ValueError(f"{len(positions)} positions in {n} images: say with images=... which lies where")
    images = torch.arange(n) if images is None and n > 1 else images
    images = torch.zeros_like(positions) if images is None else torch.as_tensor(images, device="cpu").long()
    if positions.ndim != 1 or not len(positions) or images.shape != positions.shape:
        raise ValueError(f"positions and images are (m,) each, found {tuple(positions.shape)}, {tuple(images.shape)}")
    if images.min() < 0 or images.max() >= n:
        raise ValueError(f"images are 0 to {n - 1}, found {int(images.min())} to {int(images.max())}")
    return positions, images


def mixture(model: nn.Module, x: Tensor, at: str, weights: Tensor, *, bias: str = "spread") -> Tensor:
    """Return the sum of all iERFs of a tap, weighted by (n, positions): the iERF (n, h, w) of a concept."""
    return srd(model, x, [], at=at, levels=[], weights=weights, bias=bias).input
