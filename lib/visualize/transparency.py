"""Which parts of an image the optimisation cared for: gradients added up over its steps (section 3.4).

See `book/vital/3-4-further-considerations`.
"""

from torch import Tensor

LARGEST = 0.98  # of the pixels; those above are fully opaque


def watched(x: Tensor, total: Tensor) -> Tensor:
    """Give images (n, 3, h, w) back as they are; the size of the gradient that comes back is added to `total`."""

    def note(gradient: Tensor) -> None:
        total.add_(gradient.abs())

    seen = x.view_as(x)
    seen.register_hook(note)
    return seen


def opacity(total: Tensor) -> Tensor:
    """Turn summed gradients (n, 3, h, w) into opacities (n, h, w): mean of colours, clipped at the top two per cent."""
    size = total.mean(1)
    top = size.flatten(1).quantile(LARGEST, dim=1)[:, None, None].clamp(min=1e-12)
    return (size / top).clamp(max=1)


def masked(images: Tensor, alpha: Tensor, *, on: float = 1.0) -> Tensor:
    """Lay images (..., 3, h, w) with opacities (..., h, w) on a plain ground, white unless told.

    For looking at, not for measuring: metrics take the image itself.
    """
    if images.shape[:-3] + images.shape[-2:] != alpha.shape:
        raise ValueError(f"images {tuple(images.shape)} need an opacity for each pixel, not {tuple(alpha.shape)}")
    return on + (images - on) * alpha.unsqueeze(-3)
