"""Look into a network and change what flows through it: `record`, `replace`, `split`, context managers all.

A network comes out bit-equal to how it went in, even when the body raises. Used by every room of the book.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from .layout import Spot, attach, from_positions, locate, taps, to_positions
from .suffix import split

__all__ = ["locate", "record", "replace", "split", "taps"]


@contextmanager
def record(model: nn.Module, names: str | Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Keep what flows through taps, {name: (n, c, positions)}, of the last forward pass inside the block.

    Gradients flow from the kept tensors to the images, and from the network's output to the kept tensors.
    """
    kept: dict[str, Tensor] = {}

    def keep(value: Tensor, spot: Spot) -> Tensor:
        kept[spot.name] = to_positions(value, spot)
        # What goes on is a copy, so that an in-place activation can't overwrite what was kept.
        return from_positions(kept[spot.name], value.shape, spot).clone()

    with ExitStack() as stack:
        for spot in locate(model, names):
            stack.callback(attach(spot, keep).remove)
        yield kept


@contextmanager
def replace(model: nn.Module, name: str, value: Tensor | Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let a tap give `value` (n, c, positions), n = 1 serves all images, or a function of its own output."""

    def change(own: Tensor, spot: Spot) -> Tensor:
        before = to_positions(own, spot)
        new = value(before) if callable(value) else value
        if new.ndim != 3 or new.shape[1:] != before.shape[1:] or new.shape[0] not in (1, len(before)):
            raise ValueError(f"{spot.name}: expected {tuple(before.shape)}, found {tuple(new.shape)}")
        return from_positions(new.expand_as(before), own.shape, spot).clone()

    (spot,) = locate(model, name)
    handle = attach(spot, change)
    try:
        yield
    finally:
        handle.remove()
