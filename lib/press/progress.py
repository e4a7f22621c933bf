"""The table that shows how far a run is: redrawn in place on a terminal, plain lines elsewhere."""

import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

MARKS = {"queued": " ", "running": ">", "waiting": "~", "kept": "=", "done": "+", "failed": "x"}
WORDS = {"waiting": "waiting for another press", "kept": "unchanged", "queued": "", "running": ""}
OVER = ("kept", "done", "failed")


def line(row: dict[str, Any], width: int) -> str:
    """Write one row: mark, notebook, cell, seconds and state."""
    state = row["state"]
    cell = f"{row['cell']}/{row['of']}" if "cell" in row and state == "running" else ""
    seconds = time.time() - row["start"] if state == "running" else row.get("seconds")
    clock = "" if seconds is None else f"{seconds:.1f} s"
    word = WORDS.get(state, state)
    return f"{MARKS[state]} {row['name']:<{width}} {cell:>7} {clock:>9}  {word}".rstrip()


def table(names: list[str], live: bool | None = None) -> Callable[[dict[str, dict[str, Any]]], None]:
    """Return a function that shows the rows; call it whenever one has changed."""
    width = max(map(len, names), default=0)
    live = sys.stdout.isatty() if live is None else live
    told: dict[str, str] = {}
    drawn = 0

    def show_lines(rows: dict[str, dict[str, Any]]) -> None:
        for name, row in rows.items():
            if row["state"] != told.get(name) and row["state"] in (*OVER, "waiting"):
                print(line(row, width), flush=True)
            told[name] = row["state"]

    def redraw(rows: dict[str, dict[str, Any]]) -> None:
        nonlocal drawn
        columns, height = shutil.get_terminal_size()
        # a table longer than the screen can't be redrawn, so finished rows are the first to go
        shown = sorted(rows.values(), key=lambda r: r["state"] in OVER)[: height - 2]
        text = "".join(f"\x1b[2K{line(r, width)[: columns - 1]}\n" for r in shown)
        print((f"\x1b[{drawn}A" if drawn else "") + text, end="", flush=True)
        drawn = len(shown)

    return redraw if live else show_lines
