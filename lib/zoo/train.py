"""Train the world networks: `python -m sightglass.zoo.train NAME... [--minutes M] [--images N] [--finish]`.

The world draws the images, labels are the only supervision, weights and cards land in data/weights/world/. A recipe may
end with a `finish`: a few more epochs on images that are also pushed along their own gradient, which makes gradients,
and so visualizations, show objects instead of grain. `--finish` repeats that part alone.
"""

from __future__ import annotations

import argparse
import copy
import time

import torch
from torch import Tensor, nn

from .batches import augment, pushed
from .families import FAMILIES, construct, describe
from .losses import Loss, classify, fit_phrases, training_words
from .recipes import recipe_of


def train(
    name: str, *, minutes: float | None = None, images: int | None = None, finish: bool = False, device: str = "cpu"
) -> dict:
    """Train one network from its recipe, or only finish shipped weights; write weights and card, return the card."""
    from . import model as shipped
    from .score import scores
    from .weights import card, save_world

    recipe = recipe_of(name)
    if images:
        recipe["images"] = (recipe["images"][0], recipe["images"][0] + images)
    scenes = training_scenes(recipe)
    with torch.random.fork_rng():
        torch.manual_seed(recipe["seed"])
        architecture, arguments = blueprint(name)
        model = shipped(f"world/{name}") if finish else describe(construct(architecture, arguments))
        loss, model = objective(name, scenes, recipe), model.to(device)
        started, before = time.time(), card(name)["minutes"] if finish else 0.0
        if not finish:
            model = fit(model, scenes.image, loss, recipe, minutes=minutes, title=name)
        if recipe["finish"]:
            last = {**recipe, **recipe["finish"], "seed": recipe["seed"] + 100}
            model = fit(model, scenes.image, loss, last, minutes=minutes, title=f"{name}, finish")
    recipe["minutes"] = round(before + (time.time() - started) / 60, 1)
    halve(model.cpu())
    return save_world(name, model, (architecture, arguments), recipe, scores(model, name))


def rescore(name: str) -> dict:
    """Score shipped weights again, after the world's test splits have changed, and return the new card."""
    from . import model
    from .score import scores
    from .weights import card, write_card

    return write_card(name, card(name) | scores(model(f"world/{name}"), name))


def training_scenes(recipe: dict):
    """Return the range of the train split that a recipe names, without the per-pixel truth."""
    from .. import world

    start, stop = recipe["images"]
    return world.split("train", max(stop, world.SPLITS["train"].size), maps=False)[start:stop]


def blueprint(name: str) -> tuple[str, dict]:
    """Return the builder of a world network and its arguments, classes or words included."""
    from .. import world

    entry = FAMILIES[name]
    if entry["task"] == "phrases":
        return entry["builder"], {**entry["arguments"], "words": training_words()}
    return entry["builder"], {**entry["arguments"], "num_classes": len(world.TASKS[entry["task"]])}


def objective(name: str, scenes, recipe: dict) -> Loss:
    """Return the loss that a network learns from."""
    task = FAMILIES[name]["task"]
    if task == "phrases":
        return fit_phrases(scenes, recipe["loss"], recipe["seed"])
    return classify(scenes.target(task), recipe["smoothing"])


def optimiser(model: nn.Module, recipe: dict, steps: int):
    """Return AdamW without weight decay on one-dimensional parameters, and its one-cycle schedule."""
    flat = [p for p in model.parameters() if p.ndim < 2]
    deep = [p for p in model.parameters() if p.ndim > 1]
    groups = [{"params": deep, "weight_decay": recipe["decay"]}, {"params": flat, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=recipe["rate"], fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        adam, recipe["rate"], total_steps=steps, pct_start=min(recipe["warm_up"], 0.99)
    )
    return adam, cycle


def fit(model: nn.Module, images: Tensor, loss: Loss, recipe: dict, *, minutes=None, title="") -> nn.Module:
    """Train on bytes (n, 3, h, w) and return the average of the weights over the last steps, in eval mode."""
    from tqdm import tqdm

    device = next(model.parameters()).device
    model = model.to(memory_format=torch.channels_last).requires_grad_(True).train()
    draws = torch.Generator().manual_seed(recipe["seed"])
    each = len(images) // recipe["batch"]
    steps = each * recipe["epochs"]
    if minutes is not None:
        steps = max(20, min(steps, int(minutes * 60 / seconds_a_step(model, images, loss, recipe))))
    adam, cycle = optimiser(model, recipe, steps)
    average, order, total = copy.deepcopy(model).eval(), torch.empty(0, dtype=torch.long), 0.0
    bar = tqdm(range(steps), desc=title, mininterval=5, miniters=1)
    for step in bar:
        if len(order) < recipe["batch"]:
            order = torch.randperm(len(images), generator=draws)
        rows, order = order[: recipe["batch"]], order[recipe["batch"] :]
        x = augment(images[rows], draws, recipe).to(device).contiguous(memory_format=torch.channels_last)
        value = train_batch(model, x, rows, loss, adam, recipe)
        total = 0.95 * total + 0.05 * value
        cycle.step()
        blend(average, model, min(recipe["average"], (1 + step) / (10 + step)))
        if step % 20 == 19:
            bar.set_postfix_str(f"epoch {step / each:.1f} loss {total / (1 - 0.95 ** (step + 1)):.3f}", False)
    return average.requires_grad_(False)


def train_batch(model: nn.Module, x: Tensor, rows: Tensor, loss: Loss, adam, recipe: dict) -> float:
    """Learn from a batch, and once more from its pushed images; return the first loss.

    The gradient of the pixels falls out of the first step's backward pass, so pushing costs nothing extra.
    """
    x = x.requires_grad_(recipe["adversarial"] > 0)
    value = train_step(model, x, rows, loss, adam, recipe["clip"])
    if recipe["adversarial"]:
        train_step(model, pushed(x, x.grad, recipe["adversarial"]), rows, loss, adam, recipe["clip"])
    return value


def train_step(model: nn.Module, x: Tensor, rows: Tensor, loss: Loss, adam, clip: float) -> float:
    """Take one step of the optimiser; return the loss."""
    # bfloat16 was slower than float32 on every CPU tried without matrix units, so only a GPU uses it.
    with torch.autocast(x.device.type, torch.bfloat16, enabled=x.is_cuda):
        value = loss(model, x, rows)
    adam.zero_grad()
    value.backward()
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    adam.step()
    return value.item()


def seconds_a_step(model: nn.Module, images: Tensor, loss: Loss, recipe: dict, tries: int = 6) -> float:
    """Time a few steps of a copy of the network, so that a limit in minutes becomes a number of steps."""
    model, draws, times = copy.deepcopy(model), torch.Generator().manual_seed(0), []
    adam, _ = optimiser(model, recipe, tries + 1)
    for _ in range(tries):
        started, rows = time.time(), torch.randint(len(images), (recipe["batch"],), generator=draws)
        x = augment(images[rows], draws, recipe).to(next(model.parameters()).device)
        train_batch(model, x.contiguous(memory_format=torch.channels_last), rows, loss, adam, recipe)
        times.append(time.time() - started)
    return sum(sorted(times)[: tries // 2]) / (tries // 2)


@torch.no_grad()
def blend(average: nn.Module, model: nn.Module, keep: float) -> None:
    """Move the averaged weights and statistics a step towards the network's."""
    mine, theirs = average.state_dict(), model.state_dict()
    for key, value in theirs.items():
        if value.is_floating_point():
            mine[key].lerp_(value, 1 - keep)
        else:
            mine[key].copy_(value)


@torch.no_grad()
def halve(model: nn.Module) -> nn.Module:
    """Round weights to what a float16 file keeps, so that the card's scores are those of the file."""
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(value.half().float())
    return model


def main(arguments: list[str] | None = None) -> None:
    """Train the named networks, or all of them, one after the other."""
    parser = argparse.ArgumentParser(prog="sightglass.zoo.train", description=main.__doc__)
    parser.add_argument("names", nargs="*", help=f"any of {', '.join(FAMILIES)}; all when none is named")
    parser.add_argument("--minutes", type=float, help="stop each network's training at about this time")
    parser.add_argument("--images", type=int, help="train on this many images instead of the recipe's")
    parser.add_argument("--finish", action="store_true", help="only repeat the finish, from the shipped weights")
    parser.add_argument("--score", action="store_true", help="score shipped weights again instead of training")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    unknown = [name for name in options.names if name not in FAMILIES]
    if unknown:
        parser.error(f"unknown network {unknown[0]!r}; valid: {', '.join(FAMILIES)}")
    for name in options.names or FAMILIES:
        if options.score:
            card = rescore(name)
        else:
            how = dict(minutes=options.minutes, images=options.images, finish=options.finish)
            card = train(name, device=options.device, **how)
        print(f"{name}: {card['accuracy']} in {card['minutes']} min, {card['bytes'] / 1e6:.2f} MB", flush=True)


if __name__ == "__main__":
    main()
