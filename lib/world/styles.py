"""Ways to show a finished image differently: the world's out-of-distribution styles and corruptions."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .dice import Dice


def grey(image: Tensor) -> Tensor:
    """Take the colour away."""
    return (image * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True).expand_as(image)


def smooth(image: Tensor, width: int) -> Tensor:
    """Average over a square of odd width, twice."""
    for _ in range(2):
        image = F.avg_pool2d(F.pad(image, [width // 2] * 4, mode="replicate"), width, 1)
    return image


def odd(image: Tensor, share: float) -> int:
    """Return an odd number of pixels near a share of the image's width."""
    return 2 * round(image.shape[-1] * share / 2) + 1


def sketch(image: Tensor) -> Tensor:
    """Draw pencil lines on paper: what is darker than its surroundings stays."""
    tone = grey(image)
    return (tone / (smooth(tone, odd(image, 0.1)) + 0.02) * 0.95).clamp(0, 1)


def pixelated(image: Tensor) -> Tensor:
    """Show a sixteenth of the pixels."""
    size = image.shape[-1]
    return F.interpolate(F.interpolate(image, size=size // 4, mode="area"), size=size, mode="nearest")


STYLES = {
    "drawn": None,
    "inverted": lambda image, dice: 1 - image,
    "sketch": lambda image, dice: sketch(image),
    "noise": lambda image, dice: image + 0.2 * dice.normal("style", shape=tuple(image.shape[1:])),
    "blur": lambda image, dice: smooth(image, odd(image, 0.05)),
    "pixels": lambda image, dice: pixelated(image),
    "contrast": lambda image, dice: 0.5 + 0.3 * (image - 0.5),
    "grey": lambda image, dice: grey(image),
}


def restyle(image: Tensor, style: Tensor, dice: Dice) -> Tensor:
    """Show each image (n, 3, s, s) in its style (n,), an index into STYLES."""
    for k in set(style.tolist()) - {0}:
        rows = (style == k).nonzero()[:, 0]
        image[rows] = list(STYLES.values())[k](image[rows].clamp(0, 1), dice[rows])
    return image
