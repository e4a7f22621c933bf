"""Small circuits: the channels before the classifier that a class owes its output to. See `book/vital/4-1-2-circuits`.
"""

import torch
from torch import Tensor, nn

from ..names import unknown
from ..relevance import RELEVANCE
from ..zoo import normalise

AT_ONCE = 16  # images, all of whose activations are kept for the way back


def circuit(
    model: nn.Module, images: Tensor, class_: int, *, n: int = 3, at: str = "penultimate", relevance: str = "LRP"
) -> tuple[Tensor, Tensor]:
    """Return the n channels of a tap most relevant to a class in its images (m, 3, h, w), and their shares of it all.

    Relevance is summed over positions and averaged over images.
    """
    if relevance not in RELEVANCE:
        raise KeyError(unknown("relevance", relevance, RELEVANCE))
    device, found = next(model.parameters()).device, []
    for chunk in images.split(AT_ONCE):
        wanted = torch.full((len(chunk),), class_, device=device)
        x = normalise(model, chunk.to(device))
        found.append(RELEVANCE[relevance](model, x, wanted, [at])[at].sum(-1))
    mean = torch.cat(found).mean(0).clamp(min=0)
    if not 0 < n <= len(mean):
        raise ValueError(f"{at} has {len(mean)} channels, not {n}")
    shares = mean / mean.sum().clamp(min=1e-12)
    top = shares.topk(n)
    return top.indices, top.values
