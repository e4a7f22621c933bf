"""The methods by name, as the tables print them, and which of them a network and a layer allow."""

from collections.abc import Callable

from torch import Tensor, nn

from ..names import unknown
from . import deepinversion, plugin
from .deepinversion import deep_inversion
from .fourier import fourier, maco
from .plugin import plug_in
from .vital import vital

BASELINES: dict[str, Callable[..., Tensor]] = {
    "Fourier": fourier, "MACO": maco, "DeepInversion": deep_inversion, "Plug-In Inversion": plug_in,
}  # fmt: skip
METHODS: dict[str, Callable[..., Tensor]] = {"VITAL": vital, **BASELINES}
MISSING: dict[str, Callable[[nn.Module, str], str]] = {
    "DeepInversion": deepinversion.missing, "Plug-In Inversion": plugin.missing,
}  # fmt: skip


def applies(method: str, model: nn.Module, at: str = "logits") -> str:
    """Return "" where a method can visualize what a tap of a network holds, else one sentence why not."""
    if method not in METHODS:
        raise KeyError(unknown("method", method, METHODS))
    return MISSING[method](model, at) if method in MISSING else ""
