"""The two query images of a forced choice: one image with its dullest and with its best piece covered in grey.

The protocol of Zimmermann et al. (2021), which the second study follows. See `fig-vital-43`.
"""

import torch
from torch import Tensor, nn

from ..zoo import normalise
from ..zoo.taps import record


def covered(image: Tensor, share: float, steps: int) -> Tensor:
    """Cover an image (3, h, w) by a square of its mean colour at steps x steps places: (steps * steps, 3, h, w)."""
    height, width = image.shape[-2:]
    side = max(1, round(share * min(height, width)))
    many = image.repeat(steps * steps, 1, 1, 1)
    tops, lefts = (torch.linspace(0, length - side, steps).round().long().tolist() for length in (height, width))
    for i, (top, left) in enumerate((top, left) for top in tops for left in lefts):
        many[i, :, top : top + side, left : left + side] = image.mean((1, 2))[:, None, None]
    return many


@torch.no_grad()
def occluded_pair(
    model: nn.Module, image: Tensor, target: int | Tensor, *, at: str = "logits", share: float = 0.4, steps: int = 9
) -> Tensor:
    """Return the covered image (3, h, w) that excites a channel or direction (c,) most and the one that does least.

    The mean activation over positions counts; the first of the two (2, 3, h, w) is the one that the network prefers.
    """
    many = covered(image, share, steps).to(next(model.parameters()).device)
    with record(model, at) as activations:
        model(normalise(model, many))
    mean = activations[at].mean(-1)  # (places, c)
    if isinstance(target, Tensor) and target.is_floating_point():
        scores = mean @ target.to(mean).flatten()
    elif 0 <= int(target) < mean.shape[1]:
        scores = mean[:, int(target)]
    else:
        raise ValueError(f"target is {int(target)}, {at} has channels 0 to {mean.shape[1] - 1}")
    return many[[int(scores.argmax()), int(scores.argmin())]]
