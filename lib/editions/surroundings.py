"""What the machine around an edition offers: its devices and its folders."""

import os
import re
from pathlib import Path

from ..names import unknown

DEVICES = ("auto", "cpu", "cuda", "mps")
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")


def check_device(where: str, device: str) -> str:
    """Return a device name that is well formed: auto, cpu, cuda, cuda:1, mps."""
    kind, colon, index = device.partition(":")
    if kind not in DEVICES or (colon and not (kind == "cuda" and index.isdigit())):
        raise ValueError(where + unknown("device", device, DEVICES))
    return device


def resolve(device: str) -> str:
    """Turn ``auto`` into the best device here, and refuse one that this machine lacks."""
    if check_device("", device) == "cpu":
        return device
    import torch

    counts = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if device == "auto":
        return next((name for name, count in counts.items() if count), "cpu")
    kind, _, index = device.partition(":")
    if counts[kind] <= int(index or 0):
        here = [f"{count} {name}" for name, count in counts.items() if count] + ["cpu"]
        raise RuntimeError(f"device {device!r} was asked for, but this machine has only {' and '.join(here)}")
    return device


def existing(text: str, file: Path, where: str) -> Path:
    """Turn a path of an edition file into a Path at which something is."""
    path = place(text, file, where)
    if not path.exists():
        raise FileNotFoundError(f"{file.name}: {where} is {path}, and nothing is there")
    return path


def place(text: str, file: Path, where: str) -> Path:
    """Turn a path of an edition file (~, ${VAR}, ${VAR:-default}, relative to the file) into a Path."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match["name"]) or match["default"]
        if found is None:
            raise ValueError(
                f"{file.name}: {where} is {text}, and the environment variable {match['name']} is not set: "
                f"set it to the path, or write the path into {file.name}"
            )
        return found

    path = Path(VARIABLE.sub(value, text)).expanduser()
    return path if path.is_absolute() else (file.parent / path).resolve()
