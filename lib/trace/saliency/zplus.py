"""LRP with the z+ rule by zennit, on the residual networks of timm too.

zennit's composite shares relevance out by positive contributions in convolutions and by contributions in the last
linear layer. It knows the residual sums of torchvision's networks alone: in timm's, each sum would hand all of its
relevance to both branches, and the total would double from block to block. Here each sum shares by contributions, and
no bias takes any, so the pixels' relevance adds up to the logit; only that of neurons without one positive
contribution is lost.
"""

from __future__ import annotations

from types import MethodType

import torch
from torch import Tensor, nn

_BESIDE = ("downsample", "total", "drop_path")


def z_plus(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Return the relevance of pixels (n, h, w) to one logit per image; each map's sum is its logit."""
    from zennit.attribution import Gradient

    x = x.detach().clone().requires_grad_(True)

    def start(logits: Tensor) -> Tensor:
        return torch.zeros_like(logits).scatter(1, target[:, None], logits.detach().gather(1, target[:, None]))

    with torch.enable_grad(), Gradient(model, composite(model)) as attributor:
        _, relevance = attributor(x, start)
    return relevance.detach().sum(1)


def composite(model: nn.Module):
    """Return zennit's rules for a network: z+ in convolutions, contributions in sums, means and the last layer."""
    from zennit.canonizers import AttributeCanonizer, SequentialMergeBatchNorm
    from zennit.composites import LayerMapComposite, layer_map_base
    from zennit.rules import Epsilon, ZPlus
    from zennit.types import Convolution

    rules = [(Convolution, ZPlus(zero_params="bias")), (nn.Linear, Epsilon(zero_params="bias")), *layer_map_base()]
    canonizers = [SequentialMergeBatchNorm(), AttributeCanonizer(as_modules)]
    if type(model).__module__.startswith("torchvision."):
        from zennit.torchvision import ResNetCanonizer

        canonizers = [ResNetCanonizer()]
    return LayerMapComposite(rules, canonizers=canonizers)


def as_modules(_: str, module: nn.Module) -> dict | None:
    """Make a module of what timm calls as a function, so that a rule applies to it: sums, a classifier's resizing."""
    from zennit.layer import Sum

    kind = type(module)
    if kind.__module__ == "timm.models.resnet" and kind.__name__ in ("BasicBlock", "Bottleneck"):
        return {"forward": MethodType(residual, module), "total": Sum()}
    if kind.__module__ == "timm.models.vgg" and kind.__name__ == "ConvMlp":
        return {"forward": MethodType(resized, module), "resize": nn.AdaptiveAvgPool2d(module.input_kernel_size)}
    return None


def residual(block: nn.Module, x: Tensor) -> Tensor:
    """Run one of timm's residual blocks, whose parts are named in the order that they run in."""
    *parts, activation = [part for name, part in block.named_children() if name not in _BESIDE]
    out = x
    for part in parts:
        out = part(out)
    shortcut = x if block.downsample is None else block.downsample(x)
    return activation(block.total(torch.stack([out, shortcut], -1)))


def resized(head: nn.Module, x: Tensor) -> Tensor:
    """Run the convolutions that classify in timm's VGG, on maps that are no smaller than their kernel."""
    if min(x.shape[-2:]) < head.input_kernel_size:
        x = head.resize(x)
    return head.act2(head.fc2(head.drop(head.act1(head.fc1(x)))))
