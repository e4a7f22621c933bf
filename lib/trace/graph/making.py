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
from ...zoo.taps import record
from ..cafe.attributions import attnlrp
from ..cafe.latents import Fired, tokens
from ..cafe.sae import Sae
from ..drawn import one_of_each_image
from ..icat.edges import edges_of, pair_edges
from ..icat.links import between, to_outputs
from ..srd import ierf

ATOMS, NONZEROS, EACH, STEPS = 128, 8, 4, 8  # for networks of the world's size
FACES = 5  # exemplars of which the brightest becomes the face
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


def telling(found: Mapping[str, Tensor], least: float = 0.02) -> dict[str, Tensor]:
    """Set importances {tap: (classes, K)} to 0 that are less than a share of the positive sum of every class."""
    kept = {}
    for tap, values in found.items():
        shares = values / values.clamp(min=0).sum(1, keepdim=True).clamp(min=1e-12)
        kept[tap] = torch.where(shares.amax(0) >= least, values, 0.0)
    return kept


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
    x: Tensor, layers: Mapping[str, Layer], chosen: Mapping[str, Iterable[int]], fields: Fields, *, count: int = 10
) -> dict[tuple[str, int], tuple[Tensor, Tensor]]:
    """Find the images nearest to each chosen concept, and the iERFs of its feature vectors in them.

    `x` are the images that `layers` were found in (n, 3, h, w). Returns {(tap, concept): (rows (m,), iERFs (m, h, w))},
    nearest first, without those whose iERF is nowhere positive.
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
            found[tap, k] = image[shown], field[shown]
    return found


def here(model: nn.Module, x: Tensor, tap: str, layer: Layer, concept: int, fields: Fields) -> Tensor | None:
    """Return the iERF (1, h, w) of where one image x (1, 3, h, w) has most of a concept, None without any."""
    with record(model, [tap]) as kept, torch.no_grad():
        model(x)
    own = layer.concepts.codes(kept[tap])[0, :, concept]
    if not own.max() > 0:
        return None
    found = fields(x, tap, own.argmax()[None].cpu()).detach().cpu()
    return found if found.max() > 0 else None


def nearest_images(layer: Layer, concept: int, count: int) -> Tensor:
    """Name the vectors nearest to a concept's centre, the nearest of each image only, nearest first."""
    distance = (layer.found.vectors - layer.concepts.centres[concept]).norm(dim=1)
    return one_of_each_image(distance, layer.found.image, count)


def srd_fields(model: nn.Module) -> Fields:
    """Find iERFs of feature vectors by SRD, for convolutional networks."""
    return lambda x, tap, positions: ierf(model, x, tap, positions)


def token_fields(model: nn.Module) -> Fields:
    """Find iERFs of tokens by AttnLRP, for vision transformers: patches, as large as their pixels.

    Relevance that half of the patches reach or exceed says nothing of where a token looks, and is taken off.
    """

    def fields(x: Tensor, tap: str, positions: Tensor) -> Tensor:
        with torch.no_grad():
            own = tokens(model, x, tap)[torch.arange(len(x)), positions]
        free = own.new_zeros(len(own))
        own = torch.nn.functional.normalize(own, dim=1)
        # each token is read along its own direction, like a latent whose encoder it is
        sae = Sae(own, own, own.new_zeros(own.shape[1]), free, own.new_zeros(own.shape[1]), free[:1], free[:1].long())
        maps = attnlrp(model, sae, x, Fired(tap, torch.arange(len(x)), positions, free))
        maps = (maps - maps.flatten(1).median(1).values[:, None, None]).clamp(min=0)
        return torch.nn.functional.interpolate(maps[:, None], x.shape[2:], mode="nearest")[:, 0]

    return fields


def face_first(pixels: Tensor, maps: Tensor, fits: Sequence[bool] | None = None) -> list[int]:
    """Order exemplars (m, 3, h, w) with iERFs (m, h, w) so that a bright and colourful one of those that fit leads."""
    mass = maps.clamp(min=0)
    mass = mass / mass.flatten(1).sum(1)[:, None, None].clamp(min=1e-12)
    high, low = pixels.amax(1), pixels.amin(1)
    mean = (high * mass).sum((1, 2))
    spread = ((high - mean[:, None, None]) ** 2 * mass).sum((1, 2)).sqrt()
    telling = mean + ((high - low) * mass).sum((1, 2)) + spread
    candidates = [i for i in range(len(maps)) if fits is None or fits[i]][:FACES] or [0]
    best = max(candidates, key=lambda i: float(telling[i]))
    return [best, *(i for i in range(len(maps)) if i != best)]
