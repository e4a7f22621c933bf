"""Where every page of Part II starts: probing images, what a layer's units answer to them, and concepts of them.

What takes long goes through `keep`: give it `sg.kept`, and pages share activations and image vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..metrics.images import batches
from ..names import unknown
from ..zoo.taps import record, taps
from .calibration import calibrate
from .matrix import Matrix, cosines, encode, from_text
from .splits import Splits, split
from .vocabularies import CLASSES, drawn, labels, task_of

if TYPE_CHECKING:
    from ..editions.record import Edition, Images

Keep = Callable[..., Any]
POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda maps: maps.mean(-1), "max": lambda maps: maps.amax(-1), "first": lambda maps: maps[..., 0],
    "none": lambda maps: maps,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Probe:
    """What K units of a network answer to n probing images: pooled activations q (n, K), and the images' parts.

    Pixels are bytes; `at` is the tap and `pool` how its positions became one number; `task` tells the labels.
    """

    role: str
    at: str
    pool: str
    task: str
    images: Images
    q: Tensor
    splits: Splits


def plainly(make: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a function and keep nothing."""
    return make(*arguments, **options)


def probing(ed: Edition, n: int | None = None, *, part: str = "") -> Images:
    """Give the first n probing images, all unless told, with pixels as bytes.

    They come from the world's split for probing, or from `val`: images that no network was trained on.
    """
    found = ed.images(part or ("probe" if drawn(ed) else "val"), n)
    pixels = found.scenes.image if found.scenes is not None else (found.pixels * 255).round().to(torch.uint8)
    return replace(found, pixels=pixels)


def probe(
    ed: Edition, role: str, at: str = "", *, n: int | None = None, seed: int = 0, pool: str = "",
    images: Images | None = None, keep: Keep = plainly,
) -> Probe:  # fmt: skip
    """Show probing images to a network of an edition, and note what the units of a tap answer.

    Without a tap it is the paper's layer, see `last_units`. Positions are averaged unless told otherwise. Images that
    are there already save time; splits depend on their number and the seed alone, so pages agree on them.
    """
    model = ed.model(role)
    at, usual = at or last_units(model)[0], usual_taps(model)
    pool = pool or usual.get(at, "mean")
    if pool == "none":
        raise ValueError("an explanation is of one number for each image and unit, so positions have to be pooled")
    images = probing(ed, n) if images is None else images
    wanted = usual if usual.get(at) == pool else {at: pool}
    q = keep(activations, model, images.pixels, wanted)[at].to(ed.device)
    return Probe(role, at, pool, task_of(ed, role), images, q, split(len(q), seed))


@torch.no_grad()
def activations(model: nn.Module, images: Tensor, at: Mapping[str, str], *, batch: int = 120) -> dict[str, Tensor]:
    """Pool what taps answer to images (n, 3, h, w), all in one pass: {tap: (n, units)}.

    `at` says how each tap's positions become one number: `mean`, `max`, or `first`, which is the class token; with
    `none` they stay, (n, units, positions).
    """
    for pool in at.values():
        if pool not in POOLS:
            raise ValueError(unknown("pooling", pool, POOLS))
    found: dict[str, list[Tensor]] = {tap: [] for tap in at}
    with record(model, at) as kept:
        for x in batches(model, images, batch):
            model(x)
            for tap, pool in at.items():
                if len(kept[tap]) != len(x):
                    raise ValueError(f"{tap} holds {len(kept[tap]) // len(x)} windows of each image; name another tap")
                found[tap].append(POOLS[pool](kept[tap]))
    return {tap: torch.cat(parts) for tap, parts in found.items()}


def last_units(model: nn.Module) -> tuple[str, str]:
    """Name the layer whose units the paper explains, and its pooling.

    It is what the classifier reads; where that is a residual stream with a class token, the class token of the last
    block's MLP, after its activation.
    """
    return (mlp_units(model), "first") if class_token(model) else ("penultimate", "mean")


def usual_taps(model: nn.Module) -> dict[str, str]:
    """Name the taps that the book looks at, {tap: pooling}: one pass serves them all, on every page.

    The last two blocks of a transformer with a class token, MLP and residual stream; elsewhere the blocks, what the
    classifier reads, and the last pooling of positions before a classifier of several layers.
    """
    if class_token(model):
        mlps = {block: mlp_units(model, block) for block in (-1, -2)}
        return {tap: "first" if block == -1 else "mean"
                for block, mlp in mlps.items() for tap in (mlp, mlp.rpartition(".mlp.")[0])}  # fmt: skip
    pools = [path for path, part in model.named_modules() if isinstance(part, nn.MaxPool2d) and path.startswith("feat")]
    blocks = [tap for tap in taps(model) if tap in ("block2", "block3", "block4")]
    return dict.fromkeys([*blocks, *pools[-1:], "penultimate"], "mean")


def class_token(model: nn.Module) -> bool:
    """Tell whether a network is a transformer with a class token, of timm or torchvision."""
    return getattr(model, "cls_token", None) is not None or getattr(model, "class_token", None) is not None


def mlp_units(model: nn.Module, block: int = -1) -> str:
    """Find the hidden units of a transformer block's MLP, after their activation: a module path."""
    found = [path for path, _ in model.named_modules() if path.endswith((".mlp.act", ".mlp.1"))]
    if not -len(found) <= block < len(found):
        raise IndexError(f"{type(model).__name__} has {len(found)} blocks with an MLP, so there is no block {block}")
    return found[block]


class Matrices(dict[str, Matrix]):
    """Concept matrices by who says what is in the images: `labels`, or a role. Each is made when first asked for."""

    def __init__(self, make: Callable[[str], Matrix]):
        super().__init__()
        self.make = make

    def __missing__(self, who: str) -> Matrix:
        self[who] = self.make(who)
        return self[who]


def matrices(ed: Edition, probe: Probe, names: Iterable[str] = (), *, keep: Keep = plainly) -> Matrices:
    """Say how much of some concepts is in the probing images, by `labels` and by image-text networks.

    Networks (`explainer`, `simulator`, `clip`) are asked for the names, and calibrated on the training images' labels
    alone; `labels` are those of the explained network's task, with their parents.
    """
    names = list(dict.fromkeys(names))

    def make(who: str) -> Matrix:
        if who == "labels":
            return labels(ed, probe.images, probe.task)
        model, vectors = seen_by(ed, who, probe.images, keep=keep)
        scale = scaled(ed, model, vectors, probe)
        return from_text(model, vectors, names, scale)

    return Matrices(make)


@lru_cache(maxsize=4)  # pages ask for the same few networks and images over and over
def seen_by(ed: Edition, role: str, images: Images, *, keep: Keep = plainly) -> tuple[nn.Module, Tensor]:
    """Give an image-text network of an edition and its vectors of images (n, width)."""
    known = [name for name, spec in ed.networks.items() if spec.kind == "image-text"]
    if role not in known:
        raise ValueError(unknown(f"image-text network of the {ed.name} edition", role, known))
    model = ed.model(role)
    return model, keep(encode, model, images.pixels).to(ed.device)


def scaled(ed: Edition, model: nn.Module, vectors: Tensor, probe: Probe) -> tuple[float, float]:
    """Calibrate an image-text network on the labels of all tasks, and their parents, on training images: (a, ab)."""
    if drawn(ed):
        from .. import world

        known = [labels(ed, probe.images, task) for task in world.TASKS]
    else:
        known = [labels(ed, probe.images, CLASSES)]
    told = {name: matrix.values[:, i] for matrix in known for i, name in enumerate(matrix.names)}
    truth = torch.stack(list(told.values()), 1).bool().to(vectors.device)
    return calibrate(cosines(model, vectors, list(told)), truth, probe.splits.train)
