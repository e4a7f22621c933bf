"""Checkpoints of a training: one of two is whole at any time, and a training goes on from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from accelerate import Accelerator

FRESH = {"step": 0, "total": None, "minutes": None, "seconds": 0.0, "losses": []}
NAMES = ("checkpoint", "checkpoint.old")


def save(accelerator: Accelerator, folder: Path, state: dict) -> None:
    """Write a checkpoint beside the last one, then put it in its place: a kill leaves one of the two whole."""
    new, old, place = (folder / name for name in ("checkpoint.part", "checkpoint.old", "checkpoint"))
    if accelerator.is_main_process:
        shutil.rmtree(new, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(new))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        (new / "state.json").write_text(json.dumps({key: state[key] for key in FRESH}))
        shutil.rmtree(old, ignore_errors=True)
        if place.exists():
            place.rename(old)
        new.rename(place)
        shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()


def resume(accelerator: Accelerator, folder: Path) -> dict:
    """Go on from the last whole checkpoint of a folder, or start."""
    place = find(folder)
    if place is None:
        return dict(FRESH)
    try:
        accelerator.load_state(str(place))
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{place} is from a training of another shape ({reason}); "
                         "take another --folder, or --afresh to begin again") from None  # fmt: skip
    return FRESH | json.loads((place / "state.json").read_text())


def find(folder: Path) -> Path | None:
    """Find the last whole checkpoint of a folder."""
    return next((folder / name for name in NAMES if (folder / name / "state.json").is_file()), None)
