"""Every method's words for the units of a layer, and how well they play them: what all pages of Part II compare.

Methods of one word give explanations of length one. A method that can't be had gives the sentence why not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..names import unknown
from .dissect import Dissection, dissect
from .explanations import Explanations, of_words
from .masks import Category, world_categories
from .matrix import Matrix, cosines, usable
from .probe import Keep, Probe, activations, matrices, plainly, seen_by
from .simulate import correlations, dead, simulate
from .solve import explain
from .splits import Splits
from .vocabularies import concepts
from .wpmi import best_words, soft_wpmi

if TYPE_CHECKING:
    from ..editions.record import Edition, Images

METHODS = ("Network Dissection", "MILAN", "CLIP-Dissect", "LE(Label)", "LE(SigLIP)")
LINEAR = METHODS[3:]
BLOCKS = ("block2", "block3", "block4", "block5")
DISSECTED = 2000  # images whose pixels are compared: their highest positions are hundreds for each unit
TOP = 0.002  # share of the images that CLIP-Dissect looks at for each unit, as the paper's 100 of 50,000
SHARPNESS = 0.1  # of the scale that the network learned for its cosines, as the paper's 10 of CLIP's 100

Described = dict[str, Explanations | str]


def described(
    ed: Edition, probe: Probe, names: Sequence[str] = (), *, methods: Sequence[str] = METHODS, keep: Keep = plainly
) -> Described:
    """Let methods describe the units of a probe, {method: explanations, or the sentence why there are none}.

    Methods that choose from a list choose from `names`, an edition's full set unless told; LE(Label) has the labels.
    """
    makers = dict(zip(METHODS, (dissected, captioned, clip_dissected, from_label_matrix, from_explainer), strict=True))
    found: Described = {}
    for method in methods:
        if method not in makers:
            raise ValueError(unknown("method", method, METHODS))
        found[method] = makers[method](ed, probe, list(names) or concepts(ed), keep)
    return found


def from_label_matrix(ed: Edition, probe: Probe, names: Sequence[str], keep: Keep) -> Explanations:
    """Explain by the labels of the network's task and their parents."""
    return explained(matrices(ed, probe)["labels"], probe, keep=keep)


def from_explainer(ed: Edition, probe: Probe, names: Sequence[str], keep: Keep) -> Explanations | str:
    """Explain by what the explainer network sees."""
    if reason := ed.gives("explainer"):
        return reason
    return explained(matrices(ed, probe, names, keep=keep)["explainer"], probe, keep=keep)


def explained(matrix: Matrix, probe: Probe, *, keep: Keep = plainly) -> Explanations:
    """Explain a probe's units by the words of a matrix that its training images show."""
    matrix = usable(matrix, probe.splits.train)
    found = keep(solved, matrix.values, probe.q, probe.splits.train, probe.splits.val)
    return Explanations(matrix.names, **{name: value.to(probe.q.device) for name, value in found.items()})


def solved(p: Tensor, q: Tensor, train: Tensor, val: Tensor) -> dict[str, Tensor]:
    """Explain activations q (n, K) by presences p (n, M): the tensors of `Explanations`."""
    matrix = Matrix(tuple(map(str, range(p.shape[1]))), p)
    found = explain(matrix, q, Splits(train, val, val))  # no step looks at test images
    return {name: getattr(found, name) for name in ("concept", "weight", "bias", "score")}


def clip_dissected(
    ed: Edition, probe: Probe, names: Sequence[str], keep: Keep, *, top: int = 0, sharpness: float = 0.0
) -> Explanations | str:
    """Find each unit's word by soft-WPMI; images looked at and sharpness follow the paper unless told."""
    if reason := ed.gives("clip"):
        return reason
    model, vectors = seen_by(ed, "clip", probe.images, keep=keep)
    learned = float(model.log_scale.exp()) if hasattr(model, "log_scale") else 100.0
    cos = cosines(model, vectors, names)
    top = top or max(1, round(TOP * len(cos)))
    scores = soft_wpmi(cos, probe.q, top=top, sharpness=sharpness or SHARPNESS * learned)
    return of_words(names, best_words(scores, names, q=probe.q))


def dissected(ed: Edition, probe: Probe, names: Sequence[str], keep: Keep) -> Explanations | str:
    """Find each unit's word by Network Dissection, where there are masks and positions."""
    model, at, reason = placed(ed, probe, "masks")
    if reason:
        return reason
    found = dissection(ed, probe, at, keep=keep)
    words = [word if alive else "" for word, alive in zip(found.best(), ~dead(probe.q, below=1e-9), strict=True)]
    return of_words(found.words, words)


def placed(ed: Edition, probe: Probe, needed: str) -> tuple[nn.Module | None, str, str]:
    """Give the network of a probe, the tap with its units' positions, and why not where something is lacking."""
    if reason := ed.gives(needed):
        return None, "", reason
    model = ed.model(probe.role)
    at = map_of(model, probe)
    return model, at, "" if at else f"the units of {probe.role}'s {probe.at} have no positions that mark regions"


def dissection(ed: Edition, probe: Probe, at: str, *, keep: Keep = plainly) -> Dissection:
    """Compare the maps of a tap with the masks of some probing images; one pass serves all blocks."""
    categories = categories_of(probe.images)
    words = {c.name: list(c.words) for c in categories}
    labels = {c.name: c.labels for c in categories}
    taps = list(BLOCKS if at in BLOCKS else [at])
    found = keep(overlaps, ed.model(probe.role), probe.images.pixels[:DISSECTED], taps, labels, words)
    kinds = tuple(name for name, group in words.items() for _ in group)
    parts = {name: found[f"{at} {name}"] for name in ("iou", "threshold", "area")}
    return Dissection(tuple(word for group in words.values() for word in group), kinds, **parts)


@lru_cache(maxsize=1)
def categories_of(images: Images) -> tuple[Category, ...]:
    """Label the pixels of the images that are dissected."""
    return world_categories(images.scenes[:DISSECTED])


def overlaps(
    model: nn.Module, images: Tensor, at: Sequence[str], labels: Mapping[str, Tensor], words: Mapping[str, list[str]]
) -> dict[str, Tensor]:
    """Dissect taps' units on images (n, 3, h, w) with labels by category: each tap's tensors of a `Dissection`."""
    categories = [Category(name, tuple(words[name]), labels[name]) for name in words]
    found = {}
    for tap, maps in activations(model, images, dict.fromkeys(at, "none")).items():
        side = round(maps.shape[2] ** 0.5)
        seen = dissect(maps.unflatten(2, (side, side)), categories)
        found |= {f"{tap} iou": seen.iou, f"{tap} threshold": seen.threshold, f"{tap} area": seen.area}
    return found


@torch.no_grad()
def map_of(model: nn.Module, probe: Probe) -> str:
    """Name the tap with a square of positions whose means are a probe's activations; "" if there is none."""
    few = probe.images.pixels[:4]
    for tap in (probe.at, "block5"):
        maps = activations(model, few, {tap: "none"})[tap]
        square = maps.shape[2] > 1 and round(maps.shape[2] ** 0.5) ** 2 == maps.shape[2]
        if square and maps.shape[1] == probe.q.shape[1] and torch.allclose(maps.mean(-1), probe.q[:4], atol=1e-4):
            return tap
    return ""


def captioned(ed: Edition, probe: Probe, names: Sequence[str], keep: Keep) -> Explanations | str:
    """Find each unit's caption by MILAN, where there are positions."""
    model, at, reason = placed(ed, probe, "captions")
    if reason:
        return reason
    written = keep(captions, model, probe.images.pixels[:DISSECTED], list(BLOCKS if at in BLOCKS else [at]))
    words = bytes(written[at].tolist()).decode().split("\n")
    return of_words(list(dict.fromkeys(filter(None, words))), words)


def captions(model: nn.Module, images: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
    """Write MILAN's captions of all units of taps, a line for each, as bytes in a tensor that can be kept."""
    from .milan import describe_layers

    said = describe_layers(model, images, taps)
    return {tap: torch.tensor(list("\n".join(lines).encode()), dtype=torch.uint8) for tap, lines in said.items()}


def words_of(found: Mapping[str, Explanations | str]) -> list[str]:
    """List all words that explanations use, each once."""
    told = [e for e in found.values() if not isinstance(e, str)]
    return list(dict.fromkeys(e.names[j] for e in told for j in e.concept[e.concept >= 0].unique().tolist()))


def played(
    ed: Edition, probe: Probe, found: Mapping[str, Explanations | str], *, by: str = "simulator", keep: Keep = plainly
) -> dict[str, Tensor]:
    """Simulate the units by every method's words, in the eyes of an image-text network: {method: (n, K)}."""
    if reason := ed.gives(by):
        raise ValueError(reason)
    matrix = matrices(ed, probe, words_of(found), keep=keep)[by]
    return {name: simulate(e, matrix) for name, e in found.items() if not isinstance(e, str)}


def scores(
    ed: Edition, probe: Probe, found: Mapping[str, Explanations | str], *, by: str = "simulator", keep: Keep = plainly
) -> dict[str, Tensor]:
    """Correlate simulated with real activations on test images: {method: (K,)}, 0 for units that never fire."""
    test = probe.splits.test
    return {name: correlations(s[test], probe.q[test])
            for name, s in played(ed, probe, found, by=by, keep=keep).items()}  # fmt: skip
