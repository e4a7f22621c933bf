"""One forward pass of a network whose activations are share points, up to a tap, and the way back from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...zoo.layout import attach, locate, taps
from .share import Sharing, toward


@dataclass(frozen=True)
class Encoded:
    """What one pass leaves: the tap's PFVs `top`, activations at levels, and what the head made of `leaf`."""

    x: Tensor
    top: Tensor
    levels: dict[str, Tensor]
    leaf: Tensor | None
    logits: Tensor | None


class _Reached(BaseException):
    """Ends a forward pass at the tap; no network catches it by mistake."""


def resolutions(model: nn.Module) -> tuple[str, str]:
    """Return the taps of SRD-low and SRD-high: the end of the encoder, and a map four times as wide."""
    known, kind = taps(model), type(model).__name__
    stages = [name for name in known if name.startswith("block")]
    if kind in ("VGG", "DenseNet") and hasattr(model, "features"):
        return "features", stages[-2] if kind == "VGG" else stages[2]
    if not stages:
        raise ValueError(f"{kind} has no convolutional stages; name the taps with at=... and levels=...")
    return stages[-1], stages[max(len(stages) - 3, 0)]


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Let no parameter want a gradient inside the block."""
    wanting = [p for p in model.parameters() if p.requires_grad]
    for p in wanting:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in wanting:
            p.requires_grad_(True)


def encode(
    model: nn.Module, x: Tensor, at: str, levels: Sequence[str], mode: Sharing, *, head: bool = True, cut: bool = True
) -> Encoded:
    """Run images x (n, c, h, w) with share points up to a tap, and plainly after it where `head` is wanted.

    With `cut` the head works on a detached copy of the tap's activations, which is `leaf`.
    """
    if any(module.training for module in model.modules()):
        raise ValueError(f"SRD needs {type(model).__name__} in eval mode; call model.eval() first")
    kept: dict[str, Tensor] = {}

    def keep(value: Tensor, spot) -> Tensor:
        if not mode.on:
            return value
        if not hasattr(value, "_flow"):
            raise ValueError(f"{type(model).__name__} reaches {spot.name} by an autograd function of its own, "
                             "which SRD doesn't cover")  # fmt: skip
        kept[spot.name] = marked(value)
        if spot.name != at:
            return value
        mode.on = False
        if not head:
            raise _Reached
        kept["its leaf"] = value.detach().requires_grad_(True) if cut else value
        return kept["its leaf"].clone()

    spots = locate(model, [*(level for level in dict.fromkeys(levels) if level != at), at])
    with ExitStack() as stack:
        for spot in spots:
            stack.callback(attach(spot, keep).remove)
        stack.enter_context(frozen(model))
        x = mode.enter(x)
        stack.enter_context(mode)
        try:
            logits = model(x)
        except _Reached:
            logits = None
    check(kept, [spot.name for spot in spots], at, type(model).__name__)
    top = kept.pop(at)
    return Encoded(x, top, {name: kept[name] for name in levels if name != at}, kept.get("its leaf"), logits)


def check(kept: dict[str, Tensor], names: Sequence[str], at: str, network: str) -> None:
    """Refuse levels that lie behind the tap."""
    for name in names:
        if name not in kept:
            raise ValueError(f"{name} of {network} isn't reached before {at}; levels lie before it")


def marked(value: Tensor) -> Tensor:
    """Give a tap a port of its own, so that what arrives there isn't mixed with what arrives before it."""
    port = value._flow.port
    value._flow = replace(value._flow, port=port.view_as(port))
    return value


def start(top: Tensor, weight: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return where relevance starts and its gradients there, for a weight of each PFV (..., n, 1, h, w)."""
    flow = top._flow
    if flow.fresh:  # the share point takes it from here, also where the activation is zero but what made it isn't
        return [flow.port], [weight]
    return [top], [toward(lean(top), weight, flow.axis - top.ndim)]


def send_back(
    done: Encoded, weight: Tensor, *, taps: Sequence[str] = (), batched: bool = False, keep: bool = False
) -> list[Tensor]:
    """Send weights of PFVs back; return relevance per position of the input and of levels, each (..., n, h, w)."""
    ends = [done.x, *(done.levels[name] for name in taps)]
    ports = [t._flow.port for t in ends]
    outs, slopes = start(done.top, weight)
    found = torch.autograd.grad(
        outs, [*ends, *ports], slopes, retain_graph=keep, allow_unused=True, is_grads_batched=batched
    )
    return [arrived(*each) for each in zip(ends, found[: len(ends)], found[len(ends) :], strict=True)]


def arrived(t: Tensor, slope: Tensor | None, beside: Tensor | None) -> Tensor:
    """Add what channels and port bring to each position: (..., n, h, w)."""
    axis = t._flow.axis - t.ndim
    total = 0 if slope is None else (lean(t) * slope).sum(axis, keepdim=True)
    total = total if beside is None else total + beside
    if not isinstance(total, Tensor):
        raise ValueError("relevance doesn't reach a level; levels lie before the tap that is explained")
    return as_map(total, axis, t.ndim)


def lean(t: Tensor) -> Tensor:
    """Return activations without the constant that flows beside them, where one does."""
    return t.detach() if t._flow.beside is None else t.detach() - t._flow.beside


def as_map(values: Tensor, axis: int, ndim: int) -> Tensor:
    """Drop the channels' dimension of one value per position, and view the rest as (..., n, h, w)."""
    values = values.squeeze(axis)
    return values[(..., *[None] * (4 - ndim))] if ndim < 4 else values
