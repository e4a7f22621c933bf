"""The part of a network between two taps, as a function that computes nothing else.

One trial run on `like` keeps the outputs of everything that finished before the first tap. Afterwards those
modules answer from memory, the first tap gives the value it is handed, and an exception ends the run at the
second tap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from .layout import Spot, attach, from_positions, locate, to_positions
from .rehearsal import Trial, rehearse, remembered

Suffix = Callable[[Tensor], Tensor]


class _Reached(BaseException):
    """Ends a forward pass at the second tap; no network catches it by mistake."""


@contextmanager
def split(model: nn.Module, start: str, stop: str, *, like: Tensor) -> Iterator[Suffix]:
    """Give the function from activations at `start` (n, c, positions) to those at `stop`.

    `like` is a batch of normalised images, one for any n or n of them; what runs beside `start` (a shortcut
    around it, say) stays as it is for them.
    """
    if any(module.training for module in model.modules()):
        raise ValueError(f"split needs {type(model).__name__} in eval mode; call model.eval() first")
    first, second = locate(model, [start, stop])
    with torch.inference_mode(False), torch.no_grad():
        trial = rehearse(model, first, second, like.clone())
        # Two images instead of one tell which outputs grow with the batch.
        double = rehearse(model, first, second, like.repeat(2, 1, 1, 1)) if len(like) == 1 else trial

    def suffix(value: Tensor) -> Tensor:
        n = batch_of(value, trial, first, len(like))
        return run(model, (first, second), (trial, double), like.expand(n, -1, -1, -1), value)

    yield suffix


def batch_of(value: Tensor, trial: Trial, spot: Spot, images: int) -> int:
    """Check activations against the trial's and return how many images they stand for."""
    like = to_positions(torch.empty(trial.shape, device="meta"), spot).shape
    if value.ndim != 3 or value.shape[1:] != like[1:]:
        raise ValueError(f"{spot.name}: expected (n, {like[1]}, {like[2]}), found {tuple(value.shape)}")
    each = like[0] // images  # windows of an image count as images inside a Swin block
    if images > 1 and len(value) != like[0] or len(value) % each:
        raise ValueError(f"{spot.name}: `like` has {images} images, the activations stand for {len(value) / each:g}")
    return len(value) // each


def run(
    model: nn.Module, spots: tuple[Spot, Spot], trials: tuple[Trial, Trial], images: Tensor, value: Tensor
) -> Tensor:
    """Run the network with remembered outputs before the first tap, and stop at the second."""
    (first, second), caught = spots, []

    def catch(out: Tensor, spot: Spot) -> Tensor:
        caught.append(to_positions(out, spot))
        raise _Reached

    def hand_over(_: Tensor, spot: Spot) -> Tensor:
        return from_positions(value, trials[0].shape, spot).clone()

    with ExitStack() as patches:
        for module, answers in remembered(*trials, len(images)).items():
            patches.enter_context(answering(module, answers))
        if not first.inlet:  # its own work is spared too
            patches.enter_context(answering(first.module, [lambda inputs: trials[0].rest]))
        patches.callback(attach(first, hand_over).remove)
        patches.callback(attach(second, catch).remove)
        try:
            model(images)
        except _Reached:
            return caught[0]
    raise RuntimeError(f"{second.name} wasn't reached: {type(model).__name__} takes another way for other images")


@contextmanager
def answering(module: nn.Module, answers: list[Callable]) -> Iterator[None]:
    """Let a module's first calls give prepared answers; its later ones compute as ever."""
    before, waiting = module.__dict__.get("forward"), iter(answers)
    compute = module.forward

    def forward(*inputs, **options):
        give = next(waiting, None)
        return compute(*inputs, **options) if give is None else give(inputs)

    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before
