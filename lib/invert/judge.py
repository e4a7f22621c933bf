"""How faithful pictures drawn from features are: the network looks again, and so do other networks.

    own = judge.of(inverter, model, images)  # what the network sees in the originals, computed once
    pictures = reconstruct(inverter, own.maps)
    judge.summary(judge.judged(own, pictures))

Every number stands between two anchors: `floor`, where each picture is that of another image, and `ceiling`, where the
original itself went through the codec. Cosines of features that are never negative are high even at the floor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import metrics, zoo
from ..zoo.taps import record
from .base import Base
from .codec import pixels_in
from .control import Inverter
from .encoder import as_map, sized

KS = (5, 1)
BATCH = 120


@dataclass(frozen=True, eq=False)
class Judge:
    """A network at a tap and what it sees in n originals: maps (n, c, h, w), outputs (n, k), vectors (n, d).

    `vectors` are what goes into its last layer. Pictures are brought to `size` pixels first, as the originals were.
    """

    model: nn.Module
    tap: str
    size: int
    maps: Tensor
    outputs: Tensor
    vectors: Tensor

    def __len__(self) -> int:
        return len(self.outputs)


@dataclass(frozen=True, eq=False)
class Judged:
    """What a judge says of each of n pictures; numbers of one picture, so that errors of means can be shown.

    `cosine` is the mean over positions, `rank` the place of the original's first answer among the picture's (0 is
    first), `vectors` (n, d) what goes into the judge's last layer.
    """

    cosine: Tensor
    rank: Tensor
    vectors: Tensor

    def __len__(self) -> int:
        return len(self.cosine)

    def match(self, k: int = 1) -> Tensor:
        """Tell whose first k answers hold the original's first one, (n,) bool."""
        return self.rank < k


@torch.no_grad()
def see(model: nn.Module, images: Tensor, tap: str, *, size: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return maps (n, c, h, w), outputs (n, k) and last vectors (n, d) of images (n, 3, s, s) in [0, 1]."""
    found, device = [], next(model.parameters()).device
    prefix = getattr(model, "num_prefix_tokens", 1)
    for part in images.split(BATCH):
        x = zoo.normalise(model, sized(part, size or part.shape[-1]).to(device))
        with record(model, [tap, "penultimate"]) as kept:
            outputs = model(x)
        maps = as_map(kept[tap], x.shape[2:], tap, prefix)
        found.append([value.float().cpu() for value in (maps, outputs, kept["penultimate"].mean(-1))])
    return tuple(torch.cat(parts) for parts in zip(*found, strict=True))


def appoint(model: nn.Module, images: Tensor, tap: str = "block5", *, size: int = 0) -> Judge:
    """Let a network look at originals (n, 3, s, s) in [0, 1], once for all pictures that it will judge.

    It sees them at the one size that it takes, at `size` where that is told, else as they are.
    """
    known = getattr(model, "pretrained_cfg", None) or {}
    only = known["input_size"][-1] if known.get("fixed_input_size") else 0
    side = only or size or images.shape[-1]
    return Judge(model, tap, side, *see(model, images, tap, size=side))


def of(inverter: Inverter, model: nn.Module, images: Tensor) -> Judge:
    """Appoint an inverter's own network, at the tap that the inverter reads; `maps` are what it draws from."""
    inverter.features(model, images[:1])  # refuses another network
    return appoint(model, images, inverter.tap, size=inverter.facts.get("pixels", 0))


def judged(judge: Judge, pictures: Tensor) -> Judged:
    """Judge pictures (n, 3, s, s) in [0, 1] of the judge's originals, in their order."""
    if len(pictures) != len(judge):
        raise ValueError(f"the judge saw {len(judge)} originals, found {len(pictures)} pictures of them")
    return compared(judge, *see(judge.model, pictures, judge.tap, size=judge.size))


def compared(judge: Judge, maps: Tensor, outputs: Tensor, vectors: Tensor) -> Judged:
    """Compare what is seen in pictures with what was seen in their originals."""
    cosine = F.cosine_similarity(judge.maps, maps, dim=1).mean((1, 2))
    return Judged(cosine, ranks(outputs, judge.outputs.argmax(1)), vectors)


def ranks(outputs: Tensor, answer: Tensor) -> Tensor:
    """Return the place of an answer (n,) among outputs (n, k), 0 for the first; of equal ones the first comes first."""
    own = outputs.gather(1, answer[:, None])
    earlier = torch.arange(outputs.shape[1]) < answer[:, None]
    return ((outputs > own) | ((outputs == own) & earlier)).sum(1)


def floor(judge: Judge, *, seed: int = 0) -> Judged:
    """Judge each original by another one drawn at random: what a picture gets that owes nothing to its features."""
    if len(judge) < 2:
        raise ValueError(f"a floor takes 2 originals or more, found {len(judge)}")
    order = torch.randperm(len(judge), generator=torch.Generator().manual_seed(seed))
    other = torch.empty_like(order)
    other[order] = order.roll(1)  # one round through all of them: nobody meets itself
    return compared(judge, judge.maps[other], judge.outputs[other], judge.vectors[other])


@torch.no_grad()
def through_codec(base: Base, images: Tensor) -> Tensor:
    """Pack images (n, 3, s, s) in [0, 1] and unpack them: the best that any picture of the base can be."""
    pixels = pixels_in(sized(images, base.size))
    parts = [base.codec.decode(base.codec.pack(part.to(base.device))).sample.cpu() for part in pixels.split(BATCH)]
    return torch.cat(parts) / 2 + 0.5


def ceiling(judge: Judge, base: Base, images: Tensor) -> Judged:
    """Judge the originals themselves after the codec."""
    return judged(judge, through_codec(base, images))


def matrix(judges: Mapping[str, Judge], pictures: Mapping[str, Tensor]) -> dict[tuple[str, str], Judged]:
    """Let every judge judge every set of pictures: {(drawn from, judged by): judged}.

    The diagonal is what each network says of its own, so that it is never computed again.
    """
    return {(a, b): judged(judge, drawn) for a, drawn in pictures.items() for b, judge in judges.items()}


def distance(vectors: Tensor, real: Tensor) -> float:
    """Return the Fréchet distance of a judge's vectors (n, d) of pictures to those (m, d) of other real images.

    With `judge.vectors` for the pictures it is the floor: what as many real images get. Compare equal n only.
    """
    least, wide = min(len(vectors), len(real)), vectors.shape[1]
    if least <= wide:
        raise ValueError(f"a Fréchet distance of {wide} features takes more than {wide} images, found {least}; take "
                         "more images, or a judge with fewer features")  # fmt: skip
    return metrics.frechet(vectors, real)


def summary(found: Judged, ks: Sequence[int] = KS) -> dict[str, tuple[float, float]]:
    """Return means and their standard errors: {"cosine": (mean, error), "top-5": (share, error), ...}."""
    n = len(found)
    shares = {f"top-{k}": found.match(k).float().mean().item() for k in ks}
    error = found.cosine.std().item() / n**0.5 if n > 1 else float("nan")
    return {"cosine": (found.cosine.mean().item(), error)} | {
        name: (share, metrics.standard_error(share, n)) for name, share in shares.items()
    }


def between(found: Judged, low: Judged, high: Judged) -> float:
    """Say where a mean cosine lies between the anchors: 0 at the floor, 1 at the ceiling."""
    bottom, top = low.cosine.mean().item(), high.cosine.mean().item()
    if top <= bottom:
        raise ValueError(f"nothing lies between a floor of {bottom:.3f} and a ceiling of {top:.3f}, which isn't higher")
    return (found.cosine.mean().item() - bottom) / (top - bottom)


def spread(judge: Judge, drawn: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Judge pictures of the same features from several seeds, each (n, 3, s, s).

    Return their cosines (seeds, n), and where they differ: the deviation of each pixel's colour (n, s, s).
    """
    if len(drawn) < 2:
        raise ValueError(f"a spread over seeds takes 2 sets of pictures or more, found {len(drawn)}")
    cosines = torch.stack([judged(judge, pictures).cosine for pictures in drawn])
    return cosines, torch.stack(list(drawn)).var(0).sum(1).sqrt()
