"""Images as a network sees them: as eight-bit files would hold them, as features, as answers. See `tab-vital-1`."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..zoo import normalise
from ..zoo.taps import record


def eight_bits(images: Tensor) -> Tensor:
    """Round images to what a PNG file keeps of them: 256 levels from 0 to 1."""
    if images.dtype == torch.uint8:
        return images.float() / 255
    return (images.clamp(0, 1) * 255).round() / 255


def batches(model: nn.Module, images: Tensor, batch: int) -> Iterator[Tensor]:
    """Give images to a network's pixel scale and device, some at a time."""
    if images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise ValueError(f"expected images (n, 3, h, w) with n at least 1, got {tuple(images.shape)}")
    device = next(model.parameters()).device
    for part in images.split(batch):
        part = part.to(device)
        yield normalise(model, part.float() / 255 if part.dtype == torch.uint8 else part)


@torch.no_grad()
def features(model: nn.Module, images: Tensor, *, at: str = "penultimate", batch: int = 120) -> Tensor:
    """Return the features of images at a tap, averaged over its positions: (n, c)."""
    found = []
    with record(model, at) as activations:
        for x in batches(model, images, batch):
            model(x)
            found.append(activations[at].mean(-1))
    return torch.cat(found)


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, target: Tensor, *, batch: int = 120) -> float:
    """Return the share of images whose largest output is the target (n,)."""
    target = torch.as_tensor(target)
    if len(target) != len(images):
        raise ValueError(f"{len(images)} images need as many targets, got {len(target)}")
    answers = torch.cat([model(x).argmax(1) for x in batches(model, images, batch)])
    return (answers.cpu() == target.cpu()).float().mean().item()
