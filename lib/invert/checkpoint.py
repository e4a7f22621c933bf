"""Checkpoints of a training: one of two is whole at any time, and a training goes on from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from accelerate import Accelerator

FRESH = {"step": 0, "total": None, "minutes": None, "seconds": 0.0, "losses": [], "about": {}}
INSTEAD = "take another --folder, or --afresh to begin again"
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


def resume(accelerator: Accelerator, folder: Path, about: dict) -> dict:
    """Go on from the last whole checkpoint of a folder, if it is of the same training, or start.

    Checkpoints from before they told what they are about go on as well.
    """
    place = find(folder)
    if place is None:
        return dict(FRESH)
    state = read(place)
    other = [what for what, value in state["about"].items() if about.get(what) != value]
    if other:
        raise ValueError(f"{place} is from a training with another {' and '.join(other)}; {INSTEAD}")
    try:
        accelerator.load_state(str(place))
    except Exception as error:  # a file that was cut off can fail in any way; its first line says which
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{place} is from a training of another shape, or damaged ({reason}); {INSTEAD}") from None
    return state


def read(place: Path) -> dict:
    """Return where the training of a checkpoint stands."""
    try:
        return FRESH | json.loads((place / "state.json").read_text())
    except ValueError:
        raise ValueError(f"{place / 'state.json'} is damaged; {INSTEAD}") from None


def find(folder: Path) -> Path | None:
    """Find the last whole checkpoint of a folder."""
    return next((folder / name for name in NAMES if (folder / name / "state.json").is_file()), None)
