"""From a network to what a concept graph is made of: concepts of its layers, what they do for classes and each other.

Each step stands alone: `layers_of`, `importances`, `choose`, `strengths`, `exemplars`, then `concept_graph`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...concepts.dictionaries import Dictionary, dictionary
from ...concepts.sampling import Relevance, Sample, samples
from ..icat.edges import edges_of, pair_edges
from ..icat.links import between, to_outputs

ATOMS, NONZEROS, EACH, STEPS = 128, 8, 4, 8  # for networks of the world's size
FACES = 5  # nearest exemplars of which the brightest becomes the face
Fields = Callable[[Tensor, str, Tensor], Tensor]  # (x of m images, tap, positions (m,)) -> iERFs (m, h, w)


@dataclass(frozen=True)
class Layer:
    """Concepts of a layer, and the feature vectors that they were found in."""

    concepts: Dictionary
    found: Sample


def layers_of(
    model: nn.Module, x: Tensor, taps: Sequence[str], relevance: Relevance, *,
    atoms: int = ATOMS, nonzeros: float = NONZEROS, each: int = EACH, seed: int = 0,
) -> dict[str, Layer]:  # fmt: skip
    """Find concepts of layers on images x (n, 3, h, w), in `each` relevant positions of every image."""
    found = samples(model, x, taps, relevance, each=each, seed=seed)
    return {tap: Layer(dictionary(own.vectors, atoms, nonzeros=nonzeros, seed=seed), own) for tap, own in found.items()}


def importances(
    model: nn.Module, x: Tensor, layers: Mapping[str, Layer], classes: Sequence[int], *,
    labels: Tensor | None = None, steps: int = STEPS,
) -> dict[str, Tensor]:  # fmt: skip
    """Return what concepts do for classes, {tap: (classes, K)}, means over images x (n, 3, h, w).

    With labels (n,) only images of a class count for it, else all.
    """
    goals = torch.as_tensor(list(classes))
    if labels is None:
        pairs = torch.cartesian_prod(torch.arange(len(x)), goals)
    else:
        rows = torch.isin(labels, goals).nonzero()[:, 0]
        pairs = torch.stack([rows, labels[rows].to(rows)], 1)
    if missing := sorted(set(goals.tolist()) - set(pairs[:, 1].tolist())):
        raise ValueError(f"no image shows class {missing[0]}, so nothing can be said about its concepts")
    own = (pairs[:, 1] == goals[:, None]).float()
    own = own / own.sum(1, keepdim=True)
    found = {}
    for tap, layer in layers.items():
        link = to_outputs(model, x, tap, layer.concepts)
        shares, _ = pair_edges(link, pairs, steps=steps)
        found[tap] = own @ shares.cpu()
    return found


def strengths(
    model: nn.Module, x: Tensor, layers: Mapping[str, Layer], chosen: Mapping[str, Iterable[int]], *,
    steps: int = STEPS,
) -> dict[tuple[str, str], Tensor]:  # fmt: skip
    """Return what all concepts of a layer do for the chosen ones of the next, {(tap, next tap): (K, chosen)}."""
    taps, found = list(layers), {}
    for a, b in zip(taps, taps[1:], strict=False):
        link = between(model, x, (a, b), layers[a].concepts, layers[b].concepts)
        found[a, b] = edges_of(link, targets=list(chosen[b]), steps=steps).strength.cpu()
    return found


def exemplars(
    x: Tensor, pixels: Tensor, layers: Mapping[str, Layer], chosen: Mapping[str, Iterable[int]], fields: Fields, *,
    count: int = 10,
) -> dict[tuple[str, int], tuple[Tensor, Tensor]]:  # fmt: skip
    """Find the images nearest to each chosen concept, and the iERFs of its feature vectors in them.

    `x` are the images that `layers` were found in (n, 3, h, w), `pixels` the same in [0, 1]. Returns {(tap, concept):
    (rows (m,), iERFs (m, h, w))}, nearest first but for the brightest of the first five, which becomes the face.
    """
    found = {}
    for tap, concepts in chosen.items():
        near = {k: nearest_images(layers[tap], k, count) for k in concepts}
        places = torch.cat(list(near.values()))
        rows, positions = layers[tap].found.image[places].cpu(), layers[tap].found.position[places].cpu()
        maps = fields(x[rows], tap, positions).detach().cpu()
        own = [len(some) for some in near.values()]
        for k, image, field in zip(near, rows.split(own), maps.split(own), strict=True):
            shown = field.clamp(min=0).flatten(1).sum(1) > 0
            order = face_first(pixels[image[shown]], field[shown])
            found[tap, k] = image[shown][order], field[shown][order]
    return found


def nearest_images(layer: Layer, concept: int, count: int) -> Tensor:
    """Name the vectors nearest to a concept's centre, the nearest of each image only, nearest first."""
    order = (layer.found.vectors - layer.concepts.centres[concept]).norm(dim=1).argsort().tolist()
    first: dict[int, int] = {}
    for place in order:
        first.setdefault(int(layer.found.image[place]), place)
        if len(first) == count:
            break
    return torch.tensor(list(first.values()))


def face_first(pixels: Tensor, maps: Tensor) -> list[int]:
    """Order exemplars (m, 3, h, w) with iERFs (m, h, w) so that a bright and colourful one of the nearest leads."""
    mass = maps.clamp(min=0)
    mass = mass / mass.flatten(1).sum(1)[:, None, None].clamp(min=1e-12)
    high, low = pixels.amax(1), pixels.amin(1)
    mean = (high * mass).sum((1, 2))
    spread = ((high - mean[:, None, None]) ** 2 * mass).sum((1, 2)).sqrt()
    telling = (mean + ((high - low) * mass).sum((1, 2)) + spread)[:FACES]
    best = int(telling.argmax()) if len(telling) else 0
    return [best, *(i for i in range(len(maps)) if i != best)]
