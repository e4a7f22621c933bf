"""The direction of a class in a layer's features: its classifier's weights as the layer sees them.

Exact where the classifier reads the mean over positions. Through a layer norm its gain is folded in, which leaves out
the scale that is each image's own. Further away, a linear fit of the class's output stands in.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..metrics.images import batches
from ..zoo.taps import record, taps

RIDGE = 1e-2  # of the fit, as a share of the mean variance of channels
LEAST = 8  # images


@dataclass(frozen=True)
class ClassVector:
    """A class's direction in features of c channels."""

    weight: Tensor  # (c,)
    how: str  # exact, gain or fitted
    r2: float  # share of the output's variance that mean features in this direction tell, over every other image


def class_vector(model: nn.Module, images: Tensor, class_: int, at: str = "block5") -> ClassVector:
    """Find a class's direction at a tap; images (n, 3, s, s) in [0, 1] of many classes show how the tap is read."""
    seen, read, output = passes(model, images, at)
    if not 0 <= class_ < output.shape[1]:
        raise IndexError(f"class {class_} doesn't exist: {type(model).__name__} has 0 to {output.shape[1] - 1}")
    if len(images) < LEAST:
        raise ValueError(f"a class's direction needs {LEAST} images or more, of many classes; found {len(images)}")
    gain, how = folded(model, seen, read, output)
    pooled, wanted = seen.mean(2), output[:, class_]
    if gain is None:
        weight, how = fit(pooled[::2], wanted[::2]), "fitted"
    else:
        weight = model.get_submodule(taps(model)["logits"]).weight[class_].detach().cpu() * gain
    return ClassVector(weight, how, told(pooled[1::2] @ weight, wanted[1::2]))


@torch.no_grad()
def passes(model: nn.Module, images: Tensor, at: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return what a tap gives (n, c, positions), what the classifier reads (n, d), the outputs (n, classes)."""
    found = []
    with record(model, [at, "penultimate"]) as kept:
        for x in batches(model, images, 120):
            output = model(x)
            found.append((kept[at], kept["penultimate"][:, :, 0], output))
    return tuple(torch.cat(part).cpu() for part in zip(*found, strict=True))


def folded(model: nn.Module, seen: Tensor, read: Tensor, output: Tensor) -> tuple[Tensor | None, str]:
    """Find the gain of each channel (c,) between a tap and a linear classifier, if there is nothing else between."""
    head = model.get_submodule(taps(model)["logits"])
    if not isinstance(head, nn.Linear) or read.shape[1] != seen.shape[1] or head.out_features != output.shape[1]:
        return None, ""
    pooled, cells = seen.mean(2), seen.transpose(1, 2)
    if close(read, pooled):
        return torch.ones(seen.shape[1]), "exact"
    for norm in (m for m in model.modules() if isinstance(m, nn.LayerNorm) and m.weight is not None):
        if tuple(norm.normalized_shape) == (seen.shape[1],):
            gain, bias = norm.weight.detach().cpu(), None if norm.bias is None else norm.bias.detach().cpu()
            how = (norm.normalized_shape, gain, bias, norm.eps)
            if close(read, F.layer_norm(pooled, *how)) or close(read, F.layer_norm(cells, *how).mean(1)):
                return gain, "gain"
    return None, ""


def close(a: Tensor, b: Tensor) -> bool:
    """Tell whether two tensors are the same but for rounding."""
    return torch.allclose(a, b, rtol=1e-3, atol=1e-4)


def fit(x: Tensor, y: Tensor) -> Tensor:
    """Fit values y (n,) linearly by x (n, c), with a small price on the length of the weights (c,)."""
    x, y = x.double() - x.double().mean(0), y.double() - y.double().mean()
    gram = x.T @ x
    price = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    return torch.linalg.solve(gram + price, x.T @ y).float()


def told(a: Tensor, b: Tensor) -> float:
    """Return the squared correlation of values (n,) and (n,); 0 where one of them is constant."""
    a, b = a.double() - a.double().mean(), b.double() - b.double().mean()
    size = a.norm() * b.norm()
    return float((a @ b / size) ** 2) if size > 0 else 0.0
