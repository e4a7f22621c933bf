"""Files written whole or not at all, and small files of records; show and the press use it."""

import csv
import os
from pathlib import Path
from typing import Any


def write(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name first: a kill or a full disk leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def records(path: Path) -> list[dict[str, Any]]:
    """Read a CSV or YAML file of records; an absent one has none."""
    import yaml

    if not path.is_file():
        return []
    if path.suffix == ".yaml":
        return yaml.safe_load(path.read_text(encoding="utf-8")) or []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
