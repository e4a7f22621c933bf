"""All edges of two layers against captum's integrated gradients for each pair, and sparse codes against scikit-learn.

Both run in this process, on one thread and the same data, up to equal results.
"""

import time

import torch
import torch.nn.functional as F

from sightglass import world, zoo
from sightglass.concepts import lasso
from sightglass.concepts.dictionaries import dictionary
from sightglass.trace.icat.edges import edges_of
from sightglass.trace.icat.links import Link, between
from sightglass.zoo.suffix import Suffix
from sightglass.zoo.taps import record

LAYERS, CONCEPTS, NONZEROS, STEPS, IMAGES, FEW = ("block3", "block4"), 256, 6, 16, 3, 6


def linked() -> tuple[Link, torch.Tensor]:
    """Link two blocks of the world's ResNet50, and return vectors of the first one (m, c) too."""
    model = zoo.model("world/resnet50")
    x = zoo.normalise(model, world.split("val", 120).pixels())
    with record(model, LAYERS) as kept, torch.no_grad():
        model(x)
    vectors = [kept[layer].mT.flatten(0, 1)[::2] for layer in LAYERS]
    earlier, later = (dictionary(v, CONCEPTS, nonzeros=NONZEROS) for v in vectors)
    return between(model, x[:IMAGES], LAYERS, earlier, later), vectors[0]


def one_pair(link: Link, rest: Suffix, concept: int, target: int) -> float:
    """Return one edge by captum, over the images in which both are present."""
    from captum.attr import IntegratedGradients

    total = 0.0
    there = (link.codes[..., concept] != 0).any(1) & (link.weights[..., target] != 0).any(1)
    for image in there.nonzero()[:, 0]:
        others = link.codes[image, None].clone()
        others[..., concept] = 0

        def score(own, others, image=image):
            value = others @ link.atoms + own[..., None] * link.atoms[concept]
            cosine = F.cosine_similarity(rest(value.mT), link.directions[target, :, None], dim=1)
            return (cosine * link.weights[image, :, target]).sum(1)

        given = (link.codes[image, None, :, concept], others)
        own, _ = IntegratedGradients(score).attribute(given, n_steps=STEPS, method="riemann_middle")
        total += float(own.sum())
    return total


def all_edges(link: Link) -> None:
    """Print the ratio of times and the largest difference."""
    edges_of(link, targets=[0], steps=STEPS)  # what is loaded once isn't counted
    started = time.process_time()
    found = edges_of(link, steps=STEPS)
    fast = time.process_time() - started
    both = torch.einsum("nk,nt->kt", (link.codes != 0).any(1).float(), (link.weights != 0).any(1).float())
    pairs = both.nonzero()
    some = pairs[torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))[: FEW + 1]].tolist()
    with link.between(torch.arange(1)) as rest:
        one_pair(link, rest, *some.pop())
        started = time.process_time()
        expected = [one_pair(link, rest, *pair) for pair in some]
        slow = (time.process_time() - started) / FEW * len(pairs)
    apart = max(abs(own - float(found.strength[k, t])) for own, (k, t) in zip(expected, some, strict=True))
    print(f"edges of a pair of layers: {len(pairs)} pairs of concepts that meet, {slow:.0f} s by one integrated "
          f"gradient for each (as {FEW} of them tell), {fast:.1f} s here, {slow / fast:.0f} times faster, "
          f"{apart:.0e} apart (the strongest edge is {float(found.strength.abs().max()):.2g})")  # fmt: skip


def sparse_codes(link: Link, vectors: torch.Tensor, few: int = 200) -> None:
    """Print the ratio of times and the largest difference."""
    from sklearn.decomposition import sparse_encode

    x, atoms = vectors[:2000].double(), link.atoms.double()
    strength = lasso.strength_for(x, atoms, 10)
    started = time.process_time()
    found = lasso.codes(x, atoms, strength)
    fast = (time.process_time() - started) / len(x)
    started = time.process_time()
    expected = sparse_encode(x[:few].numpy(), atoms.numpy(), algorithm="lasso_lars", alpha=strength)
    slow = (time.process_time() - started) / few
    apart = abs(found[:few].numpy() - expected).max()
    print(f"sparse codes in {len(atoms)} atoms: {slow * 1e3:.2f} ms a vector by scikit-learn's LARS, "
          f"{fast * 1e3:.2f} ms here, {slow / fast:.1f} times faster, {apart:.0e} apart")  # fmt: skip


def main() -> None:
    """Print both comparisons."""
    torch.set_num_threads(1)
    link, vectors = linked()
    all_edges(link)
    sparse_codes(link, vectors)


if __name__ == "__main__":
    main()
