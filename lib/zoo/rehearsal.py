"""The trial run of a split: which modules finished before the first tap, and what each of them gave."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from .layout import Spot, on_first_tensor


@dataclass
class Call:
    """One call of a module during the trial, with what its finished inner calls gave."""

    module: nn.Module
    given: tuple[Tensor, ...]
    versions: list[int]
    inner: list[Call] = field(default_factory=list)
    out: object = None  # as returned
    leaves: list = field(default_factory=list)  # its copies, before anything overwrote them
    frozen: list[int] = field(default_factory=list)  # versions when returned


@dataclass(frozen=True)
class Trial:
    """What the trial run left: calls to answer from memory, and the first tap's own output."""

    calls: list[Call]
    shape: torch.Size
    rest: object


def rehearse(model: nn.Module, first: Spot, second: Spot, like: Tensor) -> Trial:
    """Run the network once and keep the outputs of the largest modules that finished before the first tap."""
    stack, reached, found = [Call(model, (), [])], [], []

    def arrive(value) -> None:
        reached.append(first)
        found.append((value, [call for frame in stack for call in frame.inner]))

    def enter(module: nn.Module, given: tuple) -> None:
        if module is first.module and first.inlet:
            arrive(given)
        if module is second.module and second.inlet:
            reached.append(second)
        tensors = tuple(t for t in given if isinstance(t, Tensor))
        stack.append(Call(module, tensors, [t._version for t in tensors]))

    def leave(module: nn.Module, given: tuple, out) -> None:
        call = stack.pop()
        if module is first.module and not first.inlet:
            arrive(out)
        if module is second.module and not second.inlet:
            reached.append(second)
        call.inner.clear()
        call.out, leaves = out, tree_flatten(out)[0]
        call.leaves = [t.clone() if isinstance(t, Tensor) else t for t in leaves]
        call.frozen = [t._version if isinstance(t, Tensor) else 0 for t in leaves]
        stack[-1].inner.append(call)

    with ExitStack() as hooks:
        for module in model.modules():
            if module is not model:
                hooks.callback(module.register_forward_pre_hook(enter).remove)
                hooks.callback(module.register_forward_hook(leave).remove)
        model(like)
    check_order(reached, first, second)
    value, calls = found[0]
    shapes: list[torch.Size] = []
    on_first_tensor(value, lambda t: shapes.append(t.shape) or t, first.name)
    return Trial(calls, shapes[0], value)


def check_order(reached: list[Spot], first: Spot, second: Spot) -> None:
    """Refuse taps that aren't reached, are reached several times, or come in the other order."""
    for spot in (first, second):
        if spot not in reached:
            raise ValueError(f"{spot.name}: the forward pass never reaches it")
    if reached.count(first) > 1 and first != second:
        raise ValueError(f"{first.name}: called {reached.count(first)} times in one pass, so a split can't start there")
    if reached.index(first) > reached.index(second):
        raise ValueError(f"{second.name} comes before {first.name}: name the earlier tap first")


def remembered(trial: Trial, double: Trial, n: int) -> dict[nn.Module, list[Callable]]:
    """Return the answers of each module that finished before the first tap, in the order of its calls."""
    answers: dict[nn.Module, list[Callable]] = {}
    for one, two in zip(trial.calls, double.calls, strict=True):
        answers.setdefault(one.module, []).append(answer(one, two, n))
    return answers


def answer(call: Call, double: Call, n: int) -> Callable[[tuple], object]:
    """Return what a module gives for n images: its kept output, grown to the batch where it depends on it."""
    own, structure = tree_flatten(call.out)
    same = [i for i, t in enumerate(call.given) if t is call.out]
    changed = bool(same) and call.frozen[0] != call.versions[same[0]]
    touched = [isinstance(t, Tensor) and t._version != v for t, v in zip(own, call.frozen, strict=True)]
    grown = [grow(a, b, n) for a, b in zip(call.leaves, double.leaves, strict=True)]

    def give(inputs: tuple):
        if same:  # an in-place module returns its input, an identity too
            given = [t for t in inputs if isinstance(t, Tensor)][same[0]]
            return given.copy_(grown[0]) if changed else given
        return tree_unflatten([t.clone() if hit else t for t, hit in zip(grown, touched, strict=True)], structure)

    return give


def grow(one, two, n: int):
    """Repeat a kept tensor for n images when two images gave twice as much of it."""
    if not isinstance(one, Tensor) or one.ndim == 0 or one.shape == two.shape:
        return one
    return one.expand(n, *one.shape[1:]) if len(one) == 1 else one.repeat(n, *[1] * (one.ndim - 1))
