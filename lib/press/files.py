"""Where the press keeps its records, and how it puts files and folders in place."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from ..files import write


class Refused(Exception):
    """A request that can't be met; its text is the one sentence the user reads."""


def inside(run: Path) -> Path:
    """Return the folder of a run in which the press keeps its own records."""
    return run / ".press"


def read_json(path: Path) -> Any:
    """Read a JSON file, or return None when it isn't there or isn't whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def copy(source: Path, target: Path) -> None:
    """Copy a file, unless the target already holds the same bytes."""
    content = source.read_bytes()
    if not (target.is_file() and target.read_bytes() == content):
        write(target, content)


def swap(fresh: Path, place: Path) -> None:
    """Put a finished folder in the place of an older one."""
    old = place.with_name(f"{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        os.replace(place, old)
    os.replace(fresh, place)
    shutil.rmtree(old, ignore_errors=True)
