"""Targeted manipulation of saliency maps (Eq. 7): an image changes unseen until its map looks like another's.

L = lambda_1 |phi(x_adv) - phi(x_goal)|^2 + lambda_2 |F(x_adv) - F(x)|^2, means of squares both, phi a map of sizes that
sums to one, F the logits. An image stops when it has moved by a mean square of .001 in the network's own pixel units:
8 of 255 steps, the other limit, can't move it that far in units from 0 to 1.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..names import unknown
from ..zoo import mean_std
from .attackable import MAPS, SECOND_ORDER, Softened

STAGES = 5  # of the softplus's sharpness
RECIPE = {
    "steps": 100, "rate": 1e-3, "map weight": 1e11, "output weight": 1e6, "reach": 8 / 255, "moved": 1e-3,
    "betas": (10.0, 100.0),
}  # fmt: skip


@dataclass(frozen=True)
class Manipulated:
    """Images x (n, 3, h, w) after an attack on one kind of map, with maps (n, h, w) that sum to one.

    `before` and `after` are maps of the network as it is, `goal` the map asked for. `moved` is the mean square change
    of pixels (n,), `output` that of logits, `steps` how many steps each image took.
    """

    method: str
    x: Tensor
    before: Tensor
    after: Tensor
    goal: Tensor
    moved: Tensor
    output: Tensor
    steps: Tensor


def manipulate(
    model: nn.Module, x: Tensor, goal: Tensor, method: str = "SRD", *, softened: bool | None = None, **changes
) -> Manipulated:
    """Change images x (n, 3, h, w) until their maps look like those of the images `goal`; `changes` are to RECIPE.

    `softened` makes ReLUs softplus functions during the attack: those maps need it whose derivative is zero without.
    Names of the recipe with a space are written with an underscore.
    """
    recipe = settings(model, x, goal, method, changes)
    softened = method not in SECOND_ORDER if softened is None else softened
    with torch.no_grad():
        target, aim = model(x).argmax(1), model(goal).argmax(1)
    before, logits = plain_map(model, x, target, method)
    wanted, _ = plain_map(model, goal, aim, method)
    x_adv, steps = attack(model, x, (target, wanted), method, recipe, softened)
    after, output = plain_map(model, x_adv, target, method)
    changed = mean_square(output - logits)
    return Manipulated(method, x_adv, before, after, wanted, mean_square(x_adv - x), changed, steps)


def settings(model: nn.Module, x: Tensor, goal: Tensor, method: str, changes: dict) -> dict:
    """Check what was asked for and return the full recipe."""
    if method not in MAPS:
        raise KeyError(unknown("map to manipulate", method, MAPS))
    changes = {name.replace("_", " "): value for name, value in changes.items()}
    wrong = [name for name in changes if name not in RECIPE]
    if wrong:
        raise KeyError(unknown("part of the recipe", wrong[0], RECIPE))
    if x.ndim != 4 or x.shape != goal.shape or len(x) == 0:
        shapes = f"{tuple(x.shape)} and {tuple(goal.shape)}"
        raise ValueError(f"each image (n, 3, h, w) needs one to imitate, found {shapes}")
    if any(module.training for module in model.modules()):
        raise ValueError(f"manipulation needs {type(model).__name__} in eval mode; call model.eval() first")
    return RECIPE | changes


def attack(
    model: nn.Module, x: Tensor, asked: tuple[Tensor, Tensor], method: str, recipe: dict, softened: bool
) -> tuple[Tensor, Tensor]:
    """Follow Adam from images x, all at once and each until it has moved enough; return them and their steps.

    `asked` are classes (n,) and maps to reach (n, h, w).
    """
    low, high = limits(model, x, recipe["reach"])
    x_adv = x.detach().clone().requires_grad_(True)
    adam = torch.optim.Adam([x_adv], lr=recipe["rate"])
    steps = torch.zeros(len(x), dtype=torch.long, device=x.device)
    for step in range(recipe["steps"]):
        going = mean_square(x_adv.detach() - x) < recipe["moved"]
        if not going.any():
            break
        with Softened(sharpness(recipe, step)) if softened else nullcontext():
            if step == 0 or softened and sharpness(recipe, step) != sharpness(recipe, step - 1):
                with torch.no_grad():
                    logits = model(x)  # of the very network that is attacked
            left = going.nonzero()[:, 0]
            value = loss(model, x_adv[left], tuple(part[left] for part in (*asked, logits)), method, recipe)
        (x_adv.grad,) = torch.autograd.grad(value, x_adv)
        last = x_adv.detach().clone()
        adam.step()
        with torch.no_grad():
            x_adv.clamp_(low, high)
            x_adv.copy_(torch.where(going[:, None, None, None], x_adv, last))
        steps += going
    return x_adv.detach(), steps


def loss(
    model: nn.Module, x: Tensor, kept: tuple[Tensor, Tensor, Tensor], method: str, recipe: dict
) -> Tensor:
    """Return Eq. 7, added up over images; its gradient for one image doesn't depend on the others."""
    target, wanted, logits = kept
    values, output = MAPS[method](model, x, target)
    far, changed = mean_square(normalised(values) - wanted), mean_square(output - logits)
    return (recipe["map weight"] * far + recipe["output weight"] * changed).sum()


def plain_map(model: nn.Module, x: Tensor, target: Tensor, method: str) -> tuple[Tensor, Tensor]:
    """Return the map (n, h, w) and the logits of the network as it is."""
    with torch.enable_grad():
        values, logits = MAPS[method](model, x.detach().clone().requires_grad_(True), target)
    return normalised(values.detach()), logits.detach()


def normalised(values: Tensor) -> Tensor:
    """Turn values (n, colours, h, w) into maps of their sizes that sum to one, (n, h, w)."""
    sizes = values.abs().sum(1)
    total = sizes.sum((1, 2), keepdim=True)
    empty = (total.flatten() <= 0).nonzero().flatten().tolist()
    if empty or not total.isfinite().all():
        count = len(empty) or "some"
        raise ValueError(f"{count} of {len(values)} maps are zero everywhere or no numbers, so they can't be scaled")
    return sizes / total


def limits(model: nn.Module, x: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest pixels allowed, in the network's units: near x, and possible at all."""
    mean, std = (value.to(x) for value in mean_std(model))
    return torch.maximum(x - reach / std, -mean / std), torch.minimum(x + reach / std, (1 - mean) / std)


def mean_square(change: Tensor) -> Tensor:
    """Return the mean square of a change (n, ...), (n,)."""
    return change.flatten(1).square().mean(1)


def sharpness(recipe: dict, step: int) -> float:
    """Return the softplus's sharpness at a step: from the first to the last in a few stages."""
    first, last = recipe["betas"]
    stage = min(step * STAGES // max(1, recipe["steps"]), STAGES - 1)
    return first * (last / first) ** (stage / (STAGES - 1))
