"""What ran in one forward pass, function by function, and the way back along it.

The functions of torch are noted as they are called, so a residual sum, a concatenation or a window of attention
is seen whichever network makes it. The pass itself stays what it is: same numbers, same graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .start import Start

# run out of place, so that what went into a sum or a ReLU is still there on the way back
_OUT_OF_PLACE = {f"{name}_": getattr(torch, name) for name in ("add", "sub", "mul", "div", "relu")}
_NEVER_NEGATIVE = {"relu", "sigmoid", "softmax"}
_SIGN_KEEPING = {"max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "mean", "dropout", "pad", "cat", "add",
                 "flatten", "unflatten", "clone", "reshape", "view", "transpose", "permute", "getitem"}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One function that ran: its name, all it was given, and the activations that went in and came out."""

    name: str
    function: Callable
    arguments: tuple
    options: dict
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    positive: bool  # nothing that went in can be negative

    def argument(self, place: int, name: str, default=None):
        """Return one of the function's arguments, by its place or its name."""
        return self.arguments[place] if len(self.arguments) > place else self.options.get(name, default)


Rule = Callable[[Step, list[Tensor | None]], Sequence[Tensor | None]]


def tensors(value) -> Iterable[Tensor]:
    """Yield the tensors inside nested lists, tuples and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))


def swapped(value, new: dict[int, Tensor]):
    """Return nested lists, tuples and dicts with some tensors, named by their ids, replaced."""
    if isinstance(value, Tensor):
        return new.get(id(value), value)
    if isinstance(value, dict):
        return {name: swapped(item, new) for name, item in value.items()}
    return type(value)(swapped(item, new) for item in value) if isinstance(value, list | tuple) else value


class Tape(TorchFunctionMode):
    """Note each function that works on activations while the mode is on."""

    def __init__(self, x: Tensor, network: str):
        super().__init__()
        self.network = network
        self.steps: list[Step] = []
        self._known = {id(x): x}  # held, so that no other tensor gets the same id
        self._positive: set[int] = set()
        self._overwritten: set[int] = set()

    def __torch_function__(self, function, types, arguments=(), options=None):
        options = dict(options or {})
        inputs = {id(t): t for t in tensors((arguments, options)) if id(t) in self._known}
        if not inputs:
            return function(*arguments, **options)
        name = getattr(function, "__name__", str(function))
        if not self._overwritten.isdisjoint(inputs):
            raise ValueError(f"{self.network} overwrites an activation before {name}; only gradients can follow that")
        if options.get("inplace") or name == "__setitem__" or name.endswith("_") and not name.endswith("__"):
            self._overwritten.add(id(arguments[0]))
            options |= {"inplace": False} if "inplace" in options else {}
            function = _OUT_OF_PLACE.get(name, function)
        out = function(*arguments, **options)
        # A DenseNet goes on filling the list of maps that it has just joined: the step keeps lists as they are now.
        arguments, options = swapped(arguments, {}), swapped(options, {})
        outputs = tuple(t for t in tensors(out) if t.requires_grad and id(t) not in self._known)
        if outputs:  # a function that hands its input on makes no step
            positive = self._positive.issuperset(inputs)
            self._note(Step(name.strip("_"), function, arguments, options, tuple(inputs.values()), outputs, positive))
        return out

    def _note(self, step: Step) -> None:
        """Keep a step, and know its outputs when they come back."""
        self.steps.append(step)
        self._known |= {id(t): t for t in step.outputs}
        if step.name in _NEVER_NEGATIVE or step.positive and step.name in _SIGN_KEEPING:
            self._positive |= {id(t) for t in step.outputs}


def send_back(
    tape: Tape, kept: dict[str, Tensor], start: Start, taps: Sequence[str], *, rules: dict[str, Rule], name: str
) -> dict[str, Tensor]:
    """Send relevance from where it starts back to taps, {tap: (n, c, positions)}, by a rule for each function."""
    ends = {id(kept[tap]) for tap in taps}
    useful = leading_from(tape.steps, ends)
    relevance = {id(kept[start.at]): start.relevance}
    for step in reversed(tape.steps):
        arriving = [relevance.get(id(t)) for t in step.outputs]
        if all(r is None for r in arriving) or useful.isdisjoint(map(id, step.inputs)):
            continue
        if step.name not in rules:
            raise ValueError(no_rule(name, step.name, tape.network))
        for source, share in zip(step.inputs, rules[step.name](step, arriving), strict=True):
            if share is not None and id(source) in useful:
                relevance[id(source)] = share + relevance[id(source)] if id(source) in relevance else share
        for gone in {id(t) for t in step.outputs} - ends:
            relevance.pop(gone, None)
    return {tap: arrived(relevance.get(id(kept[tap])), tap, start.at) for tap in taps}


def leading_from(steps: Sequence[Step], ends: set[int]) -> set[int]:
    """Return the ids of all activations that depend on some, and of those themselves."""
    useful = set(ends)
    for step in steps:
        if not useful.isdisjoint(map(id, step.inputs)):
            useful |= {id(t) for t in step.outputs}
    return useful


def arrived(relevance: Tensor | None, tap: str, at: str) -> Tensor:
    """Return what reached a tap, or say that it lies behind the target."""
    if relevance is None:
        raise ValueError(f"{at} doesn't depend on {tap}, so nothing there can be relevant to it")
    return relevance


def no_rule(name: str, function: str, network: str) -> str:
    """Say that a rule set doesn't cover a network, and what does."""
    other = "'AttnLRP' serves transformers and ConvNeXt, and " if name == "LRP" else ""
    return f"{name} has no rule for {function}, which {network} uses; {other}'gradient x activation' serves any network"
