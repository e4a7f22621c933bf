from __future__ import annotations
from torch import nn
from .families import block_paths


def taps(model: nn.Module) -> dict[str, str]:
    net = getattr(model, "image", model)
    pre = "image." if net is not model else ""
    d = {f"block{i}": pre + p for i, p in enumerate(block_paths(net), 1)}
    head = net.get_classifier()
    path = next(n for n, m in net.named_modules() if m is head)
    return {**d, "penultimate": pre + path + ":input", "logits": pre + path}
