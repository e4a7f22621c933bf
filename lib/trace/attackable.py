"""Saliency maps that can be differentiated themselves: `f(model, x, target) -> values (n, 3, h, w), logits`, both
with a graph to x, from one forward pass where the map has one.

A ReLU's gradient is flat, so its derivative is zero and an attack on gradients would see nothing. Inside `Softened`
ReLUs are softplus functions, whose second derivative is there; LRP and SRD depend on activations and need none.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from ..relevance.start import Start
from ..relevance.tape import Step, Tape, send_back
from ..zoo.taps import record

_RELUS = frozenset(("relu", "relu_"))
_FOLDED: WeakIdKeyDictionary = WeakIdKeyDictionary()
STABILISER = 1e-9
Found = tuple[Tensor, Tensor]


class Softened(TorchFunctionMode):
    """Let ReLUs be softplus functions of sharpness `beta` while the mode is on."""

    def __init__(self, beta: float):
        super().__init__()
        self.beta = beta

    def __torch_function__(self, function, types, arguments=(), options=None):
        if getattr(function, "__name__", "") in _RELUS:
            return F.softplus(arguments[0], beta=self.beta)
        return function(*arguments, **(options or {}))


class _Rectified(TorchFunctionMode):
    """Keep what ReLUs give."""

    def __init__(self):
        super().__init__()
        self.outputs: list[Tensor] = []

    def __torch_function__(self, function, types, arguments=(), options=None):
        if getattr(function, "__name__", "") not in _RELUS:
            return function(*arguments, **(options or {}))
        out = torch.relu(arguments[0])
        self.outputs.append(out)
        return out


def gradient(model: nn.Module, x: Tensor, target: Tensor) -> Found:
    """Return the target's gradient at the pixels."""
    logits = model(x)
    score = logits.gather(1, target[:, None]).sum()
    return torch.autograd.grad(score, x, create_graph=True)[0], logits


def gradient_times_input(model: nn.Module, x: Tensor, target: Tensor) -> Found:
    """Return the target's gradient times the pixels."""
    slope, logits = gradient(model, x, target)
    return x * slope, logits


def guided_backpropagation(model: nn.Module, x: Tensor, target: Tensor) -> Found:
    """Return the gradient of which each ReLU lets only positive values back."""
    with ExitStack() as hooks:
        with _Rectified() as relus:
            logits = model(x)
        if not relus.outputs:
            raise ValueError(f"guided backpropagation cuts gradients at ReLUs, and {type(model).__name__} has none")
        for out in relus.outputs:
            hooks.callback(out.register_hook(lambda slope: slope.clamp(min=0)).remove)
        # The hooks are gone before the map's own derivative goes the same way.
        score = logits.gather(1, target[:, None]).sum()
        return torch.autograd.grad(score, x, create_graph=True)[0], logits


def integrated_gradients(model: nn.Module, x: Tensor, target: Tensor, *, steps: int = 6) -> Found:
    """Return gradients on the way from a blank image (midpoint rule), times the pixels."""
    shares = (torch.arange(steps).to(x) + 0.5) / steps
    way = (shares[:, None, None, None, None] * x).flatten(0, 1)
    slopes = gradient(model, way, target.repeat(steps))[0].unflatten(0, (steps, len(x)))
    return x * slopes.mean(0), model(x)


def lrp_z_plus(model: nn.Module, x: Tensor, target: Tensor) -> Found:
    """Share the target's logit out by positive contributions in convolutions, in a chain of layers such as VGG's."""
    chain = folded(model)
    with record(chain, "logits") as kept, Tape(x, type(model).__name__) as tape:
        chain(x)
    logits = kept["logits"]  # (n, classes, 1)
    first = F.one_hot(target, logits.shape[1]).to(logits)[:, :, None]
    start = Start("logits", "everywhere", first, first * logits, logits.new_zeros(len(x), dtype=torch.bool))
    kept = {"logits": logits, "pixels": x}
    return send_back(tape, kept, start, ["pixels"], rules=_RULES, name="LRP")["pixels"], logits[:, :, 0]


def srd(model: nn.Module, x: Tensor, target: Tensor) -> Found:
    """Return SRD's relevance of pixels with all weights 1, so that the class plays no role (n, 1, h, w)."""
    from .srd.replay import srd_differentiable

    relevance, logits = srd_differentiable(model, x)
    return relevance[:, None], logits


MAPS: dict[str, Callable[[nn.Module, Tensor, Tensor], Found]] = {
    "Gradient": gradient,
    "GradInput": gradient_times_input,
    "GuidedBackprop": guided_backpropagation,
    "InteGrad": integrated_gradients,
    "LRP z+": lrp_z_plus,
    "SRD": srd,
}
SECOND_ORDER = ("LRP z+", "SRD")  # whose maps have a derivative with ReLUs, too


def folded(model: nn.Module) -> nn.Module:
    """Return a copy of a network with each batch norm merged into the convolution before it, made once."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    if model in _FOLDED:
        return _FOLDED[model]
    chain, before = copy.deepcopy(model), None
    for path, module in list(chain.named_modules()):
        if isinstance(module, nn.BatchNorm2d) and before is not None:
            put(chain, before[0], fuse_conv_bn_eval(before[1], module))
            put(chain, path, nn.Identity())
        if not list(module.children()) and not isinstance(module, nn.Identity):
            before = (path, module) if isinstance(module, nn.Conv2d) else None
    _FOLDED[model] = chain.requires_grad_(False)
    return chain


def put(model: nn.Module, path: str, module: nn.Module) -> None:
    """Replace the module at a path."""
    above, _, name = path.rpartition(".")
    setattr(model.get_submodule(above), name, module)


def moved(step: Step, arriving: Sequence[Tensor | None]) -> Sequence[Tensor]:
    """Send relevance back the way that gradients go."""
    return torch.autograd.grad(step.outputs, step.inputs, arriving, create_graph=True)


def handed_through(step: Step, arriving: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
    """Hand relevance through unchanged."""
    return [arriving[0], *[None] * (len(step.inputs) - 1)]


def shared(parts: Sequence[Tensor], totals: Callable[..., Tensor], arriving: Tensor) -> Tensor:
    """Share relevance out in proportion to what each entry adds to a linear function."""
    total = totals(*parts)
    ratio = arriving / (total + STABILISER * torch.ones_like(total).copysign(total))
    back = torch.autograd.grad(total, parts, ratio, create_graph=True)
    return sum(part * b for part, b in zip(parts, back, strict=True))


def positive(step: Step, arriving: Sequence[Tensor | None]) -> Sequence[Tensor]:
    """Share relevance out by what adds to a convolution: positive pixels and weights, negative pixels and weights."""
    x, weight = step.inputs[0], step.argument(1, "weight").detach()
    rest = {name: value for name, value in step.options.items() if name not in ("input", "weight", "bias")}
    weights = weight.clamp(min=0), weight.clamp(max=0)

    def totals(*parts: Tensor) -> Tensor:
        return sum(step.function(p, w, None, *step.arguments[3:], **rest) for p, w in zip(parts, weights, strict=True))

    return [shared([x.clamp(min=0), x.clamp(max=0)], totals, arriving[0])]


def added(step: Step, arriving: Sequence[Tensor | None]) -> Sequence[Tensor]:
    """Share relevance out by what adds to a linear layer or a mean, in both signs, without its bias."""
    rest = step.arguments[1:2] if step.name == "linear" else step.arguments[1:]
    options = {name: value for name, value in step.options.items() if name != "bias"}
    return [shared([step.inputs[0]], lambda x: step.function(x, *rest, **options), arriving[0])]


_MOVES = ("clone", "contiguous", "flatten", "getitem", "max_pool2d", "reshape", "squeeze", "unflatten", "view")
_RULES = {
    "conv2d": positive, "linear": added, "adaptive_avg_pool2d": added, "avg_pool2d": added, "mean": added,
    **dict.fromkeys(("relu", "softplus", "dropout"), handed_through), **dict.fromkeys(_MOVES, moved),
}  # fmt: skip
