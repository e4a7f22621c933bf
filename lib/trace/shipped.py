"""Weights of this room on disk, beside the world's networks: float16 tensors and a card, read with their checksum."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ..files import write
from ..names import unknown
from ..zoo import weights


def card(name: str, made_by: str) -> dict:
    """Return the card of shipped weights; `made_by` is the module that trains them."""
    path = weights.FOLDER / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(f"{name!r} isn't trained yet: no {path}; run `python -m {made_by}` or `make zoo`")
    return json.loads(path.read_text())


def tensors(facts: dict, made_by: str) -> dict[str, Tensor]:
    """Return the tensors of a card, as float32, once their checksum is right."""
    path = weights.FOLDER / f"{facts['name']}.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"the weights of {facts['name']!r} are missing: no {path}; run `python -m {made_by}`")
    if weights.checksum(path) != facts["sha256"]:
        raise ValueError(f"{path} is not the file of its card (sha256 differs); run `python -m {made_by}` again")
    state = weights.read_tensors(path)
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def ship(name: str, state: dict[str, Tensor], facts: dict) -> dict:
    """Write float16 tensors and their card, each under a temporary name first; return the card."""
    from safetensors.torch import save

    weights.check_finite(state, name)
    half = {key: (value.half() if value.is_floating_point() else value).contiguous() for key, value in state.items()}
    weights.check_finite(half, name)  # too large for float16 is infinite there
    content = save(half)
    full = {"name": name, **facts, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    write(weights.FOLDER / f"{name}.safetensors", content)
    text = json.dumps(full, indent=1)
    write(weights.FOLDER / f"{name}.json", text + "\n")
    return json.loads(text)


def command(made_by: str, what: str, known: Iterable[str], train: Callable[[str], dict], told: str,
            arguments: list[str] | None) -> None:  # fmt: skip
    """Train what a command line names, or all that is known, one after the other, and say what each card tells."""
    known = list(known)
    parser = argparse.ArgumentParser(prog=made_by)
    parser.add_argument("names", nargs="*", help=f"any of {', '.join(known)}; all when none is named")
    names = parser.parse_args(arguments).names
    wrong = [name for name in names if name not in known]
    if wrong:
        parser.error(unknown(what, wrong[0], known))
    torch.set_num_threads(1)
    for facts in map(train, names or known):
        size = facts["bytes"] / 1e6
        print(f"{facts['name']}: {facts[told]} in {facts['minutes']} min, {size:.2f} MB", flush=True)
