"""Where a tap sits in a network, and one layout (n, c, positions) for whatever the network itself uses.

A tap is `block1`..`block5`, `penultimate`, `logits`, any module path, or a path with `:input` for what goes
into it. Positions are pixels row by row, or tokens with the class token first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..names import unknown
from .families import block_paths

INPUT = ":input"
_CHANNELS_FIRST = (nn.Conv2d, nn.ConvTranspose2d, nn.modules.batchnorm._BatchNorm, nn.GroupNorm)


@dataclass(frozen=True)
class Spot:
    """One place in a network: the output of a module, or what goes into it."""

    name: str
    path: str
    module: nn.Module
    inlet: bool
    channels_last: bool


def taps(model: nn.Module) -> dict[str, str]:
    """Return {tap: module path} of block1..block5 (as many as there are), penultimate and logits."""
    named = getattr(model, "named_taps", None)
    if named:
        return dict(named)
    prefix, net = ("image.", model.image) if hasattr(model, "phrases") else ("", model)
    blocks = {f"block{i}": prefix + path for i, path in enumerate(_blocks(net), 1)}
    head = _head(net)
    return blocks | ({"penultimate": prefix + head + INPUT, "logits": prefix + head} if head else {})


def _head(net: nn.Module) -> str:
    """Return the path of the last linear layer: timm's classifier, or the last one found."""
    known = net.get_classifier() if hasattr(net, "get_classifier") else None
    linear = [path for path, module in net.named_modules() if isinstance(module, nn.Linear)]
    exact = [path for path, module in net.named_modules() if module is known and isinstance(module, nn.Module)]
    return (exact or linear[-1:] or [""])[0]


def _blocks(net: nn.Module) -> list[str]:
    """Return the paths of the blocks: as the tables say, or the parts that hold convolutions."""
    modules, paths = dict(net.named_modules()), block_paths(net)
    if paths and all(path in modules for path in paths):
        return paths
    # A network that nobody described: the largest parts that it is made of, five of them evenly spread.
    parts = [name for name, part in net.named_children() if any(isinstance(m, nn.Conv2d) for m in part.modules())]
    if len(parts) == 1 and isinstance(modules[parts[0]], nn.Sequential):
        parts = [f"{parts[0]}.{name}" for name, _ in modules[parts[0]].named_children()]
    few = min(5, len(parts))
    return [parts[round(i * (len(parts) - 1) / max(few - 1, 1))] for i in range(few)]


def locate(model: nn.Module, names: str | Iterable[str]) -> list[Spot]:
    """Find taps in a network; an unknown name is answered with the nearest ones."""
    known, modules = taps(model), dict(model.named_modules())
    spots = []
    for name in [names] if isinstance(names, str) else names:
        path, _, inlet = known.get(name, name).partition(":")
        if path not in modules or path == "" or inlet not in ("", "input"):
            raise KeyError(unknown(f"tap of {type(model).__name__}", name, [*known, *filter(None, modules)]))
        spots.append(Spot(name, path, modules[path], bool(inlet), channels_last(modules, path)))
    return spots


def channels_last(modules: dict[str, nn.Module], path: str) -> bool:
    """Tell whether a module's maps are (n, h, w, c): by its own kind, then by its network's."""
    module, parent = modules[path], modules.get(path.rpartition(".")[0])
    if isinstance(module, nn.Linear):
        return True
    if isinstance(module, nn.LayerNorm):
        return not type(module).__name__.endswith("2d")
    if isinstance(module, _CHANNELS_FIRST) or "Pool" in type(module).__name__:
        return False
    for part in (module, parent):  # an MLP of linear layers sits between two permutations
        if isinstance(getattr(part, "fc1", None), nn.Linear):
            return True
    nets = [modules[""], *(modules[p] for p in _above(path))]
    return any(getattr(m, "output_fmt", None) == "NHWC" or type(m).__name__.startswith("Swin") for m in nets)


def _above(path: str) -> list[str]:
    """Return the paths of all modules that hold this one, the outermost first."""
    parts = path.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def to_positions(value: Tensor, spot: Spot) -> Tensor:
    """View a module's own output as (n, c, positions)."""
    if value.ndim == 2:
        return value[:, :, None]
    if value.ndim == 3:
        return value.transpose(1, 2)
    if value.ndim == 4:
        return value.flatten(1, 2).transpose(1, 2) if spot.channels_last else value.flatten(2)
    raise ValueError(f"{spot.name}: a tap has 2 to 4 dimensions, found {tuple(value.shape)}")


def from_positions(value: Tensor, shape: torch.Size, spot: Spot) -> Tensor:
    """View (n, c, positions) as the network's own layout; `shape` is that of any output there, n aside."""
    if len(shape) == 2:
        return value[:, :, 0]
    if len(shape) == 3:
        return value.transpose(1, 2)
    if spot.channels_last:
        return value.transpose(1, 2).unflatten(1, tuple(shape[1:3]))
    return value.unflatten(2, tuple(shape[2:]))


def on_first_tensor(value, change: Callable[[Tensor], Tensor], name: str):
    """Apply a function to a tensor, or to the first one in a tuple, list or dict, and put it back."""
    if isinstance(value, Tensor):
        return change(value)
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value or ()))
    for key, item in items:
        if isinstance(item, Tensor):
            changed = dict(items) | {key: change(item)}
            return changed if isinstance(value, dict) else type(value)(changed.values())
    raise TypeError(f"{name}: expected a tensor there, found {type(value).__name__} without one")


def attach(spot: Spot, change: Callable[[Tensor, Spot], Tensor]):
    """Put `change` between a spot and the rest of the network; return the hook's handle."""
    if spot.inlet:
        return spot.module.register_forward_pre_hook(
            lambda module, given: on_first_tensor(given, lambda t: change(t, spot), spot.name)
        )
    return spot.module.register_forward_hook(
        lambda module, given, out: on_first_tensor(out, lambda t: change(t, spot), spot.name)
    )
