"""What a layer still knows: which of two originals, that differ in one thing, a picture drawn from features shows.

    given = pairs(32)
    pictures = redrawn(inverter, model, given)  # both of a pair from the same noise
    told = survived(given, pictures)["colour"].told.mean()

Each pair of originals a, b spans a line, on which b lies at 0 and a at 1. Every picture is projected onto it, so that
only what differs between the two counts, and as much as it differs. A picture of a beyond the middle is *nearer* its
own original than the other. Where the picture of a lies further along than that of b, the two are *told* apart: by
exchanging features and nothing else, a habit of the drawing model (its favourite colour) can't help or harm. Chance is
one half for both, exactly so where features don't differ, since pictures are then equal. How far apart they lie is the
*gain*: 1 if the difference is drawn in full, 0 if none of it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..metrics import accuracy
from ..metrics.images import batches
from ..world import Scenes
from ..zoo.taps import record
from .alike import view
from .control import Inverter
from .pairs import Pairs
from .sample import reconstruct

SAME = 1e-6  # pictures that lie no further apart than this, of the whole line, are a draw


@dataclass(frozen=True, eq=False)
class Survived:
    """Where the pictures of k pairs lie on the lines of their originals, `along` (k, 2): first's own end is 1."""

    along: Tensor

    def __len__(self) -> int:
        return len(self.along)

    @property
    def gain(self) -> Tensor:
        """Return how much of the difference was drawn, (k,)."""
        return self.along[:, 0] - self.along[:, 1]

    @property
    def told(self) -> Tensor:
        """Return 1 where the two pictures are told apart, 0 where they are taken for each other, (k,)."""
        return half_where_even(self.gain)

    @property
    def nearer(self) -> Tensor:
        """Return 1 where a picture is nearer its own original than the other, 0 where it isn't, (k, 2)."""
        return half_where_even((self.along - 0.5) * torch.tensor([1.0, -1.0]))


def half_where_even(margin: Tensor) -> Tensor:
    """Return 1 above 0, 0 below, a half at it."""
    return torch.where(margin.abs() <= SAME, 0.5, (margin > 0).float())


def redrawn(inverter: Inverter, model: nn.Module, given: Pairs, *, seed: int = 0, progress: bool = False,
            **options) -> Tensor:  # fmt: skip
    """Reconstruct all scenes of pairs (m, 3, s, s), both of a pair from the same noise; options are those of `How`."""
    maps = inverter.features(model, given.scenes.pixels())
    seeds = (given.seeds + 10_000 * seed).tolist()
    return reconstruct(inverter, maps, seeds=seeds, progress=progress, **options)


def survived(given: Pairs, pictures: Tensor, *, by: str = "looks") -> dict[str, Survived]:
    """Test pictures (m, 3, s, s) of the scenes of pairs, attribute by attribute: {attribute: survived}.

    `by` is the likeness: looks, for which stripes are like stripes wherever they fall, or pixels.
    """
    if len(pictures) != len(given.scenes):
        raise ValueError(f"the pairs have {len(given.scenes)} scenes, found {len(pictures)} pictures of them")
    originals, seen = view(by, given.scenes.pixels())
    where = along(originals, seen(pictures), given.first, given.second)
    return {name: Survived(where[given.of(name)]) for name in dict.fromkeys(given.names)}


def along(originals: Tensor, pictures: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Project vectors (m, d) of pictures onto the lines from `second` (0) to `first` (1) of originals: (p, 2)."""
    start = originals[second]
    line = originals[first] - start
    length = line.square().sum(1)
    return torch.stack([((pictures[which] - start) * line).sum(1) / length for which in (first, second)], 1)


@torch.no_grad()
def responds(model: nn.Module, given: Pairs, taps: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return how far features move at taps when one thing changes, {tap: {attribute: share}}, without any picture.

    It is the root mean square distance of pairs, as a share of that of any two of the unchanged scenes.
    """
    parts: dict[str, list[Tensor]] = {tap: [] for tap in taps}
    with record(model, taps) as kept:
        for x in batches(model, given.scenes.image, 120):
            model(x)
            for tap in taps:
                parts[tap].append(kept[tap].flatten(1).cpu())
    return {tap: shares(torch.cat(found), given) for tap, found in parts.items()}


def shares(found: Tensor, given: Pairs) -> dict[str, float]:
    """Set the distances of pairs among vectors (m, d) beside the usual one."""
    apart = (found[given.first] - found[given.second]).square().sum(1)
    usual = 2 * found[given.first.unique()].var(0).sum()  # the mean squared distance of any two
    return {name: (apart[given.of(name)].mean() / usual).sqrt().item() for name in dict.fromkeys(given.names)}


def knows(
    judges: Mapping[str, nn.Module], given: Scenes, pictures: Mapping[str, Tensor]
) -> dict[str, dict[str, float]]:
    """Return how often networks of the world's tasks answer with the truth: {task: {set of pictures: share}}.

    `judges` are networks by task (nouns, kinds, places), `given` scenes; each set is beside the "originals".
    """
    sets = {"originals": given.pixels(), **pictures}
    return {
        task: {name: accuracy(model, images, given.target(task)) for name, images in sets.items()}
        for task, model in judges.items()
    }
