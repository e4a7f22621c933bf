"""The loop that trains whatever this room trains: on one device or many, from a checkpoint or from nothing.

The learning rate rises, stays, and falls over the last part of a run: a run can go on for longer from any checkpoint
before that part. Every step draws from a seed of its own, so a run that was cut off goes on with the same losses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from .checkpoint import resume, save
from .diary import write

AVERAGED = 50  # steps behind the loss that is shown and logged
WARM = 4  # first steps, which are slower


@dataclass(frozen=True, eq=False)
class Job:
    """What is trained: a module, its loss from draws, and a look at it that writes a picture and returns numbers.

    `about` is what must be the same when it goes on from a checkpoint.
    """

    name: str
    folder: Path
    module: nn.Module
    loss: Callable[[nn.Module, torch.Generator], Tensor]
    look: Callable[[Path], dict[str, float]]
    recipe: dict
    about: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """How far to train, in steps or minutes in all, steps between checkpoints, and whether torch compiles first.

    Compiling takes minutes to begin with; steps are faster from then on.
    """

    steps: int | None = None
    minutes: float | None = None
    every: int = 500
    fuse: bool = False


def run(job: Job, accelerator: Accelerator, plan: Plan | None = None, *, stop: Callable[[], bool] = bool,
        progress: bool = False) -> dict:  # fmt: skip
    """Train as planned; leave the averaged weights in the module; return where it ended.

    A checkpoint and a look every so many steps, and at the end. When `stop()` turns true it ends after that step.
    """
    from tqdm.auto import tqdm

    plan = plan or Plan()
    job.folder.mkdir(parents=True, exist_ok=True)  # where nothing can be written is said before hours of training
    net, adam, average = prepared(job, accelerator, plan)
    state = resume(accelerator, job.folder, job.about) | {"about": job.about}
    state |= {"total": planned(state, plan, job.recipe), "minutes": plan.minutes}
    first, before, began, warm = state["step"], state["seconds"], time.time(), 0.0
    bar = tqdm(total=state["total"], initial=first, disable=not progress, desc=job.name, mininterval=10)
    while (state["total"] is None or state["step"] < state["total"]) and not stop():
        value, spent = advance(job, accelerator, net, adam, average, state), time.time() - began
        losses = [*state["losses"][1 - AVERAGED :], value]
        state |= {"step": state["step"] + 1, "seconds": before + spent, "losses": losses}
        done = state["step"] - first
        warm = spent if done == WARM else warm
        if plan.minutes and done % AVERAGED == 2 * WARM:
            replan(state, plan.minutes, (spent - warm) / (done - WARM), job.recipe)
            bar.total = state["total"]
        bar.update(1)
        if state["step"] % AVERAGED == 0:
            bar.set_postfix_str(f"loss {mean(losses):.4f}", refresh=False)
            write(job.folder, accelerator, numbers(state) | {"rate": adam.param_groups[0]["lr"], "pace": spent / done})
        if state["step"] % plan.every == 0:
            save(accelerator, job.folder, state)
            look(job, accelerator, average, state)
    bar.close()
    if state["step"] > first and state["step"] % plan.every:
        save(accelerator, job.folder, state)
        look(job, accelerator, average, state)
    average.copy_to(job.module.parameters())
    job.module.eval()
    return state | {"loss": mean(state["losses"])}


def prepared(job: Job, accelerator: Accelerator, plan: Plan) -> tuple[nn.Module, torch.optim.Optimizer, EMAModel]:
    """Return the module as it is trained, its optimiser, and its average, all of them known to checkpoints."""
    if plan.fuse:
        job.module.compile()
    net, adam = accelerator.prepare(job.module.train(), optimiser(job))
    average = EMAModel(job.module.parameters(), decay=job.recipe["average"], foreach=True)
    average.to(accelerator.device)
    accelerator.register_for_checkpointing(average)
    return net, adam, average


def numbers(state: dict) -> dict:
    """Return what a line of the log says of a state."""
    loss, minutes = mean(state["losses"]), state["seconds"] / 60
    return {"step": state["step"], "of": state["total"], "loss": loss, "minutes": minutes}


def mean(values: list[float]) -> float:
    """Average numbers; none have the mean NaN."""
    return sum(values) / len(values) if values else float("nan")


def optimiser(job: Job) -> torch.optim.Optimizer:
    """Return AdamW without weight decay on one-dimensional parameters."""
    learnt = [p for p in job.module.parameters() if p.requires_grad]
    groups = [{"params": [p for p in learnt if p.ndim > 1], "weight_decay": job.recipe["decay"]},
              {"params": [p for p in learnt if p.ndim < 2], "weight_decay": 0.0}]  # fmt: skip
    return torch.optim.AdamW(groups, lr=job.recipe["rate"], betas=tuple(job.recipe["betas"]), fused=True)


def advance(job: Job, accelerator: Accelerator, net: nn.Module, adam, average: EMAModel, state: dict) -> float:
    """Take one step; return its loss."""
    place = (job.recipe["seed"] * 1_000_003 + state["step"]) * accelerator.num_processes + accelerator.process_index
    for group in adam.param_groups:
        group["lr"] = job.recipe["rate"] * share(state["step"], state["total"], job.recipe)
    with accelerator.autocast():
        value = job.loss(net, torch.Generator().manual_seed(place))
    accelerator.backward(value)
    accelerator.clip_grad_norm_(job.module.parameters(), job.recipe["clip"])
    adam.step()
    adam.zero_grad()
    average.step(job.module.parameters())
    value = value.item()
    if value != value:
        raise FloatingPointError(f"{job.name}: the loss is NaN at step {state['step']}; take a lower rate, and delete "
                                 f"{job.folder / 'checkpoint'} if it is from after the trouble")  # fmt: skip
    return value


def share(step: int, total: int | None, recipe: dict) -> float:
    """Return the share of the highest learning rate at a step: up, level, then down as 1 - sqrt."""
    rise = recipe["warm_up"] if total is None else min(recipe["warm_up"], max(1, total // 10))
    up = min(1.0, (step + 1) / rise)
    if total is None:
        return up
    fall = max(1, round(recipe["cool"] * total))
    return up * (1 - (max(0, step - (total - fall)) / fall) ** 0.5)


def planned(state: dict, plan: Plan, recipe: dict) -> int | None:
    """Return the steps of a run: as told, or as before, or None until some steps have been timed."""
    if plan.steps or not plan.minutes:
        return plan.steps or state["total"] or recipe["steps"]
    return state["total"] if state["minutes"] == plan.minutes else None


def replan(state: dict, minutes: float, pace: float, recipe: dict) -> None:
    """Fit the number of steps to the minutes at a pace in seconds a step, until the learning rate begins to fall."""
    total, step = state["total"], state["step"]
    if total is None or step < (1 - recipe["cool"]) * total:
        state["total"] = step + max(1, round((minutes * 60 - state["seconds"]) / pace))


def look(job: Job, accelerator: Accelerator, average: EMAModel, state: dict) -> None:
    """Let a job draw with its averaged weights, on one process."""
    if accelerator.is_main_process:
        # pictures come in numbers of their own: nothing is compiled for them
        with averaged(job.module, average), torch.no_grad(), torch.compiler.set_stance("force_eager"):
            found = job.look(job.folder / f"sheet-{state['step']:06d}.png")
        write(job.folder, accelerator, {"step": state["step"], **found})
    accelerator.wait_for_everyone()


@contextmanager
def averaged(module: nn.Module, average: EMAModel) -> Iterator[None]:
    """Put averaged weights into a module for a while."""
    average.store(module.parameters())
    average.copy_to(module.parameters())
    try:
        yield
    finally:
        average.restore(module.parameters())
