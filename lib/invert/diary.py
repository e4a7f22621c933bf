"""What a training writes down as it goes, and the curve that its card keeps."""

from __future__ import annotations

import json
from pathlib import Path

from accelerate import Accelerator

CURVE = 100  # points of a card's curve, at most


def write(folder: Path, accelerator: Accelerator, found: dict) -> None:
    """Add a line of numbers to a training's log.jsonl."""
    if accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        line = {key: float(f"{v:.5g}") if isinstance(v, float) else v for key, v in found.items()}
        with (folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


def curve(folder: Path) -> list[dict]:
    """Return the numbers of a log by step, few enough for a card: of a run that was cut off, what was done last."""
    path, found = folder / "log.jsonl", {}
    for line in path.read_text().splitlines() if path.exists() else []:
        numbers = json.loads(line)
        found[numbers["step"]] = found.get(numbers["step"], {}) | numbers
    steps = sorted(found)
    looked = [step for step in steps if len(found[step].keys() - {"step", "of", "loss", "minutes", "rate", "pace"})]
    thin = set(steps[:: -(-len(steps) // CURVE) or 1]) | set(looked) | set(steps[-1:])
    return [{k: v for k, v in found[step].items() if k not in ("of", "pace")} for step in sorted(thin)]
