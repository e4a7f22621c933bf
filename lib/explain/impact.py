"""Top Impact: how much of a neuron's effect on accuracy and loss its highest activations carry (paper, eq. 1 to 4).

For the last layer the effect has a closed form; for an earlier one the layer's output is kept, and only what follows
it runs again with a unit set to 0. See `book/linear/2-top-impact`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..metrics.images import batches
from ..zoo.taps import record, split
from .checks import finite, labels_fit, matrices, same_images
from .head import Head, base, blocks, grown, turned

BETAS = (0.0003, 0.002, 0.02, 0.1, 0.5)


def head_impacts(head: Head, q: Tensor, labels: Tensor) -> Tensor:
    """Tell the impact of each unit of the last layer on each image from activations (n, K) and labels: (n, K)."""
    start = base(head, q, labels)
    right = start.lead[:, 0] >= 0
    answers, loss = count(right), -start.chances.gather(1, start.labels[:, None]).sum()
    out = start.likely.new_empty(q.shape)
    for block in blocks(*q.shape):
        moved = -q[block].to(out)
        impact = grown(start, block, moved).mul_(0.5 / loss)
        image, unit = turned(start, block, moved)
        impact[image, unit] += torch.where(right[block[0]][image], 0.5, -0.5) / answers
        out[block] = impact
    return out


def combined(lost: Tensor, loss: Tensor, after: Tensor, before: Tensor) -> Tensor:
    """Turn changes of the loss and right answers without a unit (n, K), with it (n,), into impacts (n, K)."""
    gained = before[:, None].to(lost) - after.to(lost)
    return (gained / count(before) + lost / loss.sum()) / 2


def count(right: Tensor) -> int:
    """Count right answers (n,), of which there must be some."""
    if not right.any():
        raise ValueError(f"the network classifies none of {len(right)} images rightly, so no unit has an impact on it")
    return int(right.sum())


def layer_impacts(
    model: nn.Module, images: Tensor, labels: Tensor, at: str, *, units: Sequence[int] | None = None,
    temperature: float = 1.0, batch: int = 64,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Tell the impact of a tap's units, all unless told, on images (n, 3, h, w), and their mean activations.

    Both are (n, units). Every image goes through the whole network once, and once for each unit through what follows
    the tap; `batch` is how many images times units do so together.
    """
    same_images(images=images, labels=labels)
    found = []
    for x, y in zip(batches(model, images, batch), labels.split(batch), strict=True):
        found.append(without(model, x, y.to(x.device), at, units, temperature, batch))
    lost, after, loss, before, mean = (torch.cat(parts) for parts in zip(*found, strict=True))
    finite(activations=mean, loss=loss)
    return combined(lost, loss, after, before), mean


@torch.no_grad()
def without(
    model: nn.Module, x: Tensor, y: Tensor, at: str, units: Sequence[int] | None, temperature: float, batch: int
) -> tuple[Tensor, ...]:
    """Measure some pixels without each unit: loss gained and right answers (n, units), both (n,) with all, means."""
    with record(model, at) as kept:
        logits = model(x)[:, :, None]
    maps = kept[at]
    if len(maps) != len(x):
        raise ValueError(f"{at} holds {len(maps) // len(x)} windows of each image; name a tap that holds whole images")
    labels_fit(y, logits.shape[1])
    chosen = torch.as_tensor(range(maps.shape[1]) if units is None else units, dtype=torch.long)
    if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < maps.shape[1]:
        raise IndexError(f"{at} has units 0 to {maps.shape[1] - 1}, not {chosen.tolist()}")
    loss, before = outcome(logits, y, temperature)
    lost, after = torch.zeros(len(x), len(chosen)).to(x), before[:, None].repeat(1, len(chosen))
    fires = [j for j, k in enumerate(chosen.tolist()) if maps[:, k].any()]  # the others change nothing by going
    together = max(1, batch // len(x))
    with split(model, at, "logits", like=x.repeat(together, 1, 1, 1)) as suffix:
        for some in torch.tensor(fires, dtype=torch.long).split(together):
            full = torch.cat([some, some[:1].expand(together - len(some))])
            changed = maps.repeat(together, 1, 1).unflatten(0, (together, len(x)))
            changed[torch.arange(together), :, chosen[full]] = 0
            new = outcome(suffix(changed.flatten(0, 1)), y.repeat(together), temperature)
            for out, value in zip((lost, after), new, strict=True):
                out[:, some] = value.unflatten(0, (together, len(x)))[: len(some)].T
    lost[:, fires] -= loss[:, None]
    return lost, after, loss, before, maps[:, chosen].mean(-1)


def outcome(logits: Tensor, y: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the loss and whether the answer is right for logits (n, classes, 1): (n,) each."""
    logits = logits[..., 0]
    right = logits.gather(1, y[:, None])[:, 0] >= logits.amax(1)
    return F.cross_entropy(logits / temperature, y, reduction="none"), right


def top_impact(impacts: Tensor, activations: Tensor, betas: Sequence[float] = BETAS) -> Tensor:
    """Tell what share of its absolute impact (n, K) each unit's highest activations (n, K) carry: (K, betas).

    A share of images that isn't a whole number of them is read between two images. A unit without impact gets NaN.
    """
    matrices(impacts=impacts, activations=activations)
    same_images(impacts=impacts, activations=activations)
    if impacts.shape != activations.shape:
        raise ValueError(f"{impacts.shape[1]} units have impacts, but {activations.shape[1]} have activations")
    finite(impacts=impacts, activations=activations)
    shares = torch.as_tensor(betas, dtype=torch.float64, device=impacts.device)
    if shares.ndim != 1 or not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError(f"beta is a share of the images, 0 to 1; got {list(betas)}")
    n = len(impacts)
    order = activations.to(impacts.device).argsort(dim=0, descending=True, stable=True)
    curve = F.pad(impacts.double().abs().gather(0, order).cumsum(0), (0, 0, 1, 0))  # (n + 1, K)
    low = (shares * n).floor().long().clamp(max=n - 1)
    part = (shares * n - low)[:, None]
    read = curve[low].lerp(curve[low + 1], part)
    return torch.where(curve[-1] > 0, read / curve[-1], torch.nan).T
