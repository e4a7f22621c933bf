"""Where the repository keeps its data, how files of weights are named, and how an unknown name is answered."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"


def name_of(model: str, tap: str, *, pooled: bool = False) -> str:
    """Name the file of an inverter: which drawing model steers by which features."""
    words = ["invert", model.removeprefix("world/"), tap, *(["pooled"] if pooled else [])]
    return "_".join("".join(c if c.isalnum() else "_" for c in word) for word in words)


def name_in(edition: str, what: str) -> str:
    """Name a file of weights in an edition; those of other editions than the world carry the edition's name."""
    return what if edition == "world" else f"{edition}_{what}"


def unknown(kind: str, name: object, valid: Iterable[object]) -> str:
    """Say that a name is unknown and which are valid: the nearest first, all of them when they are few."""
    known = [str(v) for v in valid]
    close = get_close_matches(str(name).lower(), [k.lower() for k in known], n=3, cutoff=0.5)
    near = [k for low in close for k in known if k.lower() == low]
    head = f"unknown {kind} {name!r}"
    if not known:
        return f"{head}: there is none to choose from"
    guess = f": did you mean {' or '.join(dict.fromkeys(near))}?" if near else ":"
    if len(known) <= 16:
        return f"{head}{guess} Valid: {', '.join(known)}"
    return f"{head}{guess} {len(known)} names are valid, among them {', '.join(known[:6])}"
