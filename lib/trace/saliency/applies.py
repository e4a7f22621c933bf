"""Which saliency maps mean something for which networks: one reason each where they don't."""

from __future__ import annotations

from torch import nn

from .gradient_maps import biased

# by name, for timm has classes of its own
_SMOOTH = {"CELU", "ELU", "GELU", "GELUTanh", "HardMish", "Hardswish", "HardSwish", "LeakyReLU", "Mish", "PReLU",
           "QuickGELU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Swish", "Tanh"}  # fmt: skip
_NORMS = (nn.LayerNorm, nn.GroupNorm)


def reason(name: str, model: nn.Module) -> str:
    """Return "" where a map of SALIENCY applies to a network, and else one sentence why not."""
    if "CAM" in name:
        return no_grid(model)
    tests = {"GuidedBackprop": no_relu, "LRP z+": no_z_plus, "FullGrad": no_biases}
    return tests[name](model) if name in tests else ""


def no_grid(model: nn.Module) -> str:
    """Refuse networks whose layers hold tokens instead of a grid."""
    tokens = hasattr(model, "patch_embed") and hasattr(model, "blocks") or hasattr(model, "conv_proj")
    return f"{type(model).__name__} has tokens, and a class activation map needs a grid of channels" if tokens else ""


def no_relu(model: nn.Module) -> str:
    """Refuse networks without ReLUs."""
    if any(isinstance(module, nn.ReLU) for module in model.modules()):
        return ""
    return f"{type(model).__name__} with {activation(model)} has no ReLU to guide by: it would be Saliency"


def no_z_plus(model: nn.Module) -> str:
    """Refuse networks other than convolutions, ReLUs, poolings and sums that zennit is made to see."""
    kind, gates = type(model).__name__, [m for m in model.modules() if getattr(m, "se", None) is not None]
    if kind not in ("ResNet", "VGG", "Sequential"):
        return f"z+ is set up for ResNet and VGG networks here; {kind} needs sums or norms of its own"
    if activation(model) != "ReLU":
        return f"z+ shares by positive activations, as ReLUs give them; {kind} here uses {activation(model)}"
    return f"z+ has no rule for the squeeze-and-excite gates of {kind}" if gates else ""


def no_biases(model: nn.Module) -> str:
    """Refuse networks that hold biases where FullGrad doesn't look."""
    hidden = {type(m).__name__ for m in model.modules() if isinstance(m, (*_NORMS, nn.BatchNorm2d))} - {"BatchNorm2d"}
    if hidden or not biased(model):
        where = " and ".join(sorted(hidden)) or "no convolution or batch norm"
        return f"FullGrad sums the biases of convolutions and batch norms; {type(model).__name__} has them in {where}"
    return ""


def activation(model: nn.Module) -> str:
    """Name a network's first activation function other than ReLU, or ReLU."""
    return next((name for name in (type(module).__name__ for module in model.modules()) if name in _SMOOTH), "ReLU")
