"""The paper's fourteen baselines as one table: `SALIENCY[name](model, x, target) -> maps (n, h, w)`.

`x` is what the network eats (n, 3, h, w), `target` the class to explain in each image (n,). Class activation maps come
at the size of the image. `maps` makes several at once and shares passes; `applies` says why a map has no meaning for
a network. See `book/ierf/4-2-saliency`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from types import MappingProxyType

import torch
from torch import Tensor, nn

from ...names import unknown
from . import applies as applies_to
from . import cams, gradient_maps
from .cams_by_changes import ablationcam, scorecam
from .zplus import z_plus

Saliency = Callable[..., Tensor]

# name -> formula, and whether it looks at the low or at the high layer
FROM_SLOPES: dict[str, tuple[cams.Formula, int]] = {
    "GradCAM": (cams.gradcam, 0),
    "GradCAM++": (cams.gradcam_plus_plus, 0),
    "XGradCAM": (cams.xgradcam, 0),
    "LayerCAM-low": (cams.layercam, 0),
    "LayerCAM-high": (cams.layercam, 1),
}


def from_slopes(model: nn.Module, x: Tensor, target: Tensor, *, names: Iterable[str]) -> dict[str, Tensor]:
    """Return class activation maps by gradients, {name: (n, h, w)}, all from one pass."""
    places, names = cams.layers(model, x.shape[-2:]), list(names)
    wanted = [(formula, places[which]) for formula, which in (FROM_SLOPES[name] for name in names)]
    return dict(zip(names, cams.from_slopes(model, x, target, wanted), strict=True))


def _one(name: str) -> Saliency:
    """Return the function of one class activation map by gradients."""
    return lambda model, x, target: from_slopes(model, x, target, names=[name])[name]


def _at_low(function: Saliency) -> Saliency:
    """Return a class activation map's function at the network's low layer."""
    return lambda model, x, target, **how: function(
        model, x, target, **{"at": cams.layers(model, x.shape[-2:])[0], **how}
    )


def targets(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Check that there are images, a class for each, and a network ready to explain; return the classes (n,)."""
    target = torch.as_tensor(target, device=x.device)
    if x.ndim != 4 or not len(x):
        raise ValueError(f"expected images (n, 3, h, w) with n at least 1, found {tuple(x.shape)}")
    if target.shape != (len(x),) or target.is_floating_point():
        raise ValueError(f"{len(x)} images need as many whole numbers as targets, found {tuple(target.shape)}")
    if any(module.training for module in model.modules()):
        raise ValueError(f"saliency maps need {type(model).__name__} in eval mode; call model.eval() first")
    return target.long()


def known(name: str) -> str:
    """Return a map's name, if there is such a map."""
    if name not in SALIENCY:
        raise KeyError(unknown("saliency map", name, SALIENCY))
    return name


def _checked(function: Saliency) -> Saliency:
    """Return a map's function that checks what it is given."""

    @wraps(function)
    def call(model: nn.Module, x: Tensor, target: Tensor, **how) -> Tensor:
        return function(model, x, targets(model, x, target), **how)

    return call


_PLAIN: dict[str, Saliency] = {
    "Saliency": gradient_maps.saliency,
    "GuidedBackprop": gradient_maps.guided_backpropagation,
    "GradInput": gradient_maps.gradient_times_input,
    "IntegratedGradients": gradient_maps.integrated_gradients,
    "LRP z+": z_plus,
    "SmoothGrad": gradient_maps.smoothgrad,
    "FullGrad": gradient_maps.fullgrad,
    "GradCAM": _one("GradCAM"),
    "GradCAM++": _one("GradCAM++"),
    "ScoreCAM": _at_low(scorecam),
    "AblationCAM": _at_low(ablationcam),
    "XGradCAM": _one("XGradCAM"),
    "LayerCAM-low": _one("LayerCAM-low"),
    "LayerCAM-high": _one("LayerCAM-high"),
}
SALIENCY: dict[str, Saliency] = {name: _checked(function) for name, function in _PLAIN.items()}


def applies(name: str, model: nn.Module) -> str:
    """Return "" where a map applies to a network, and else one sentence why not."""
    return applies_to.reason(known(name), model)


def maps(
    model: nn.Module, x: Tensor, target: Tensor, names: Iterable[str] = (), *, batch: int = 64,
    options: Mapping[str, dict] = MappingProxyType({}),
) -> dict[str, Tensor]:  # fmt: skip
    """Return several baselines' maps, {name: (n, h, w)}; those that one pass can give share it.

    `options` are keywords of single maps: options={"ScoreCAM": {"most": 32}}.
    """
    names, target = [known(name) for name in names or SALIENCY], targets(model, x, target)
    shared, parts = [name for name in names if name in FROM_SLOPES], []
    for some, classes in zip(x.split(batch), target.split(batch), strict=True):
        found = from_slopes(model, some, classes, names=shared) if shared else {}
        for name in names:
            if name not in found:
                found[name] = SALIENCY[name](model, some, classes, **options.get(name, {}))
        parts.append(found)
    return {name: torch.cat([part[name] for part in parts]) for name in names}
