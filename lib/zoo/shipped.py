"""Weights that aren't networks of the zoo, shipped beside them: float16 tensors and a card with their checksum."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from ..files import write
from ..names import ROOT, unknown
from . import weights

TRAINING = ROOT / "training"  # not in runs/, which is deleted lightly


def card(name: str | Path, made_by: str) -> dict:
    """Return the card of weights; `made_by` is the command that trains them."""
    return facts_in(find(name, made_by), made_by)


def facts_in(path: Path, made_by: str) -> dict:
    """Read a file that should be a card."""
    try:
        facts = json.loads(path.read_text())
    except ValueError:  # cut off, or no text at all
        facts = None
    if not isinstance(facts, dict) or not {"name", "sha256"} <= set(facts):
        raise ValueError(f"{path} is no card of weights, or was cut off; run `{made_by}`")
    return facts


def find(name: str | Path, made_by: str) -> Path:
    """Find the card of weights by name (shipped, or the last training's) or by the path of their folder or file."""
    given = Path(name).expanduser()
    places = [weights.FOLDER / f"{name}.json", TRAINING / name / f"{name}.json", given.with_suffix(".json")]
    places += sorted(given.glob("*.json")) if given.is_dir() else []
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        where = places[0].relative_to(ROOT) if places[0].is_relative_to(ROOT) else places[0]
        raise FileNotFoundError(f"{str(name)!r} isn't trained yet: no {where}; run `{made_by}`")
    return found


def read(name: str | Path, made_by: str) -> tuple[dict, dict[str, Tensor]]:
    """Return a card and its tensors as float32, once their checksum is right."""
    path = find(name, made_by)
    facts, tensors = facts_in(path, made_by), path.with_suffix(".safetensors")
    if not tensors.exists():
        raise FileNotFoundError(f"the weights of {facts['name']!r} are missing: no {tensors}; run `{made_by}`")
    if weights.checksum(tensors) != facts["sha256"]:
        raise ValueError(f"{tensors} is not the file of its card (sha256 differs); run `{made_by}` again")
    return facts, {k: v.float() if v.is_floating_point() else v for k, v in weights.read_tensors(tensors).items()}


def save(name: str | Path, state: dict[str, Tensor], facts: dict) -> dict:
    """Write float16 tensors and their card, each whole: a name beside the networks', a path there; return the card."""
    from safetensors.torch import save as pack

    path = name if isinstance(name, Path) else weights.FOLDER / name
    half = {k: (v.half() if v.is_floating_point() else v).cpu().contiguous() for k, v in state.items()}
    weights.check_finite(half, path.name)  # too large for float16 is infinite there
    content = pack(half)
    size = {"parameters": sum(v.numel() for v in state.values())}
    full = {"name": path.name, **size, **facts, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    write(path.with_name(f"{path.name}.safetensors"), content)
    text = json.dumps(full, indent=1)
    write(path.with_name(f"{path.name}.json"), text + "\n")
    return json.loads(text)


def part(state: dict[str, Tensor], start: str, mark: str = ".") -> dict[str, Tensor]:
    """Return the tensors whose names begin with `start` and a mark, without it."""
    return {k.removeprefix(f"{start}{mark}"): v for k, v in state.items() if k.startswith(f"{start}{mark}")}


def joined(**parts: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of several modules under their names."""
    return {f"{start}.{k}": v for start, module in parts.items() for k, v in module.state_dict().items()}


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
