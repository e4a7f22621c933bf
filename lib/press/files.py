"""Where the press finds and keeps things, and how it writes them whole or not at all."""

import json
import os
import shutil
from pathlib import Path
from typing import Any


class Refused(Exception):
    """A request that can't be met; its text is the one sentence the user reads."""


def inside(run: Path) -> Path:
    """Return the folder of a run in which the press keeps its own records."""
    return run / ".press"


def write(path: Path, text: str) -> None:
    """Write a text file through a temporary name, so that a kill never leaves half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def read_json(path: Path) -> Any:
    """Read a JSON file, or return None when it isn't there or isn't whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def copy(source: Path, target: Path) -> None:
    """Copy a file through a temporary name, unless the target already holds the same bytes."""
    content = source.read_bytes()
    if target.is_file() and target.read_bytes() == content:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_bytes(content)
    os.replace(temporary, target)


def swap(fresh: Path, place: Path) -> None:
    """Put a finished folder in the place of an older one."""
    old = place.with_name(f"{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        os.replace(place, old)
    os.replace(fresh, place)
    shutil.rmtree(old, ignore_errors=True)
