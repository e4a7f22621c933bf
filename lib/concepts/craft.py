"""CRAFT: the directions that make up what a layer answers to a class, and how much the class depends on each.

Non-negative matrix factorisation of patch activations gives directions; masking them at every position and running
the rest of the network gives their importance. See `book/vital/b-3-concepts`.
"""

import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..zoo import normalise
from ..zoo.suffix import Suffix
from ..zoo.taps import split
from .patches import Patches, best, boxes, crops, cut, enlarged, look, patch_size, pooled
from .sobol import design, total_indices

AT_ONCE = 64  # masks that the rest of the network sees at once


@dataclass(frozen=True)
class Concepts:
    """What a class is made of at one tap, the most important first."""

    directions: Tensor  # (r, c), never negative
    importance: Tensor  # (r,) total Sobol indices of the class's output, averaged over images
    patches: Patches  # of each direction, from distinct images


def craft(
    model: nn.Module, images: Tensor, class_: int, *, at: str = "block5", patch: int | None = None,
    stride: int | None = None, r: int = 10, k: int = 50, points: int = 32, tested: int | None = None, seed: int = 0,
) -> Concepts:  # fmt: skip
    """Find r concepts of a class in its images (n, 3, h, w), with up to k patches of distinct images for each.

    A patch is half the image unless told. `points` sets how often each concept is masked when its importance is
    measured: the rest of the network runs points * (r + 2) times for each image `tested`, all of them unless told.
    """
    patch, stride = patch_size(images, patch, stride)
    cells = crops(images, patch, stride)
    answers = pooled(model, enlarged(cells.flatten(0, 1), images.shape[-1]), at)
    directions = factorise(answers, r, at, seed)
    some = images[:: max(1, len(images) // (tested or len(images)))][:tested]
    maps = torch.cat(list(look(model, some, at)))
    importance = importances(model, some, maps, directions, class_, at=at, points=points, seed=seed)
    order = importance.argsort(descending=True)
    directions, importance = directions[order], importance[order]
    presence = coefficients(answers, directions).unflatten(0, cells.shape[:2])
    score, source, cell = best(iter([presence]), min(k, len(images)))
    box = boxes(cell, images.shape[-1], patch, stride)
    return Concepts(directions, importance, Patches(cut(images, source, box), source, box, score))


def factorise(answers: Tensor, r: int, at: str, seed: int) -> Tensor:
    """Factorise never-negative answers (patches, c) and return the directions (r, c)."""
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    if answers.min() < 0:
        raise ValueError(f"CRAFT needs activations that are never negative, as after a ReLU; {at} goes down to "
                         f"{float(answers.min()):.3g}")  # fmt: skip
    if not 0 < r <= min(answers.shape):
        raise ValueError(f"{len(answers)} patches with {answers.shape[1]} channels can't give {r} concepts")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = NMF(r, random_state=seed, max_iter=400).fit(answers.double().cpu().numpy()).components_
    return torch.from_numpy(found).to(answers)


def coefficients(answers: Tensor, directions: Tensor) -> Tensor:
    """Return how much of each direction (r, c) is in answers (n, c), never below zero: (n, r)."""
    from sklearn.decomposition import non_negative_factorization

    given, basis = (value.double().cpu().numpy() for value in (answers, directions))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, _, _ = non_negative_factorization(given, H=basis, n_components=len(basis), init="custom",
                                                 update_H=False, max_iter=400)  # fmt: skip
    return torch.from_numpy(found).to(answers)


def importances(
    model: nn.Module, images: Tensor, maps: Tensor, directions: Tensor, class_: int, *, at: str, points: int, seed: int
) -> Tensor:
    """Return the total Sobol index of each direction for a class's output, averaged over images: (r,)."""
    r = len(directions)
    masks = design(points, r, seed).to(maps)
    outputs = torch.stack(list(masked_outputs(model, images, maps, directions, class_, masks, at)))
    return total_indices(outputs, r).mean(0)


@torch.no_grad()
def masked_outputs(
    model: nn.Module, images: Tensor, maps: Tensor, directions: Tensor, class_: int, masks: Tensor, at: str
) -> Iterator[Tensor]:
    """Give each image's output of a class while the directions in it are weakened by masks (m, r): (m,)."""
    positions = maps.transpose(1, 2)  # (n, positions, c)
    amounts = coefficients(positions.flatten(0, 1), directions).unflatten(0, positions.shape[:2])
    x = normalise(model, images.to(maps.device))
    with split(model, at, "logits", like=x[:1]) as rest:
        alone = decides_alone(model, x, maps, rest)
        for image, amount in zip(x, amounts, strict=True):
            with nullcontext(rest) if alone else split(model, at, "logits", like=image[None]) as own:
                # a few masks at a time: large buffers cost more to get than to fill
                output = torch.cat([own(((part[:, None] * amount) @ directions).transpose(1, 2))[:, :, 0]
                                    for part in masks.split(AT_ONCE)])  # fmt: skip
            if not 0 <= class_ < output.shape[1]:
                raise IndexError(f"class {class_} doesn't exist: {type(model).__name__} has 0 to {output.shape[1] - 1}")
            yield output[:, class_]


def decides_alone(model: nn.Module, x: Tensor, maps: Tensor, rest: Suffix) -> bool:
    """Tell whether the rest of the network, split off with one image, serves all: nothing runs beside the tap."""
    rows = range(0, len(x), max(1, len(x) // AT_ONCE))
    return torch.allclose(rest(maps[rows])[:, :, 0], model(x[rows]), rtol=1e-3, atol=1e-4)
