"""Tables as text: sensible digits, pairs of numbers folded into one column, Markdown and HTML; used by show."""

from __future__ import annotations

import html
import math
import numbers
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

NOTHING = "–"
PAPER, HERE = ", paper", ", here"
ERROR = " ±"  # ends the name of a column that holds another one's errors
NUMBER = re.compile(r"[-+–]?[\d.]*(e[-+]?\d+)?(\s±\s[\d.]+)?(\s\([^()]*\))?")


def is_number(value: Any) -> bool:
    """Tell a real number (NaN too) from text, truth values and nothing."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


@dataclass(frozen=True)
class Text:
    """A table as it stands on the page: header, rows, which columns hold numbers, lines for the caption."""

    head: list[str]
    rows: list[list[str]]
    numeric: list[bool]
    notes: list[str]


def tidy(frame: DataFrame) -> Text:
    """Write a table with sensible digits.

    To save width, "x ±" goes into the column "x", and pairs "x, paper" and "x, here" share one.
    """
    import pandas as pd

    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    columns = {str(name): digits(list(frame.iloc[:, i])) for i, name in enumerate(frame.columns)}
    if len(columns) != frame.shape[1] or not columns:
        raise ValueError(f"a table needs columns of different names, found {list(frame.columns)}")
    columns = with_errors(columns)
    notes: list[str] = []
    stems = [name.removesuffix(PAPER) for name in columns if name.endswith(PAPER)]
    for stem in stems:
        columns = paired(columns, stem)
    if stems:
        notes = ["Each cell holds the number of this run and, in brackets, the paper's."]
        columns, reasons = footnotes(columns)
        notes += reasons
    numeric = [all(looks_numeric(text) for text in column) for column in columns.values()]
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return Text(list(columns), grouped(rows) if stems else rows, numeric, notes)


def grouped(rows: list[list[str]]) -> list[list[str]]:
    """Give rows named "group / rest" a line per group, so that names stay short in a long table."""
    parts = [row[0].partition(" / ") for row in rows]
    groups = list(dict.fromkeys(group for group, _, _ in parts))
    if len(groups) > len(rows) / 2 or not all(slash for _, slash, _ in parts):
        return rows
    out: list[list[str]] = []
    for i, (group, _, rest) in enumerate(parts):
        if i == 0 or group != parts[i - 1][0]:
            out.append([f"**{group}**", *[""] * (len(rows[i]) - 1)])
        out.append([rest, *rows[i][1:]])
    return out


def with_errors(columns: dict[str, list[str]]) -> dict[str, list[str]]:
    """Write errors beside their values, "0.469 ± 0.007", where there is a column of each."""
    for ending in ("", PAPER, HERE):
        for name in [name for name in columns if name.endswith(ERROR + ending)]:
            value = name.removesuffix(ERROR + ending) + ending
            if value in columns:
                pairs = zip(columns[value], columns.pop(name), strict=True)
                columns[value] = [v if e in ("", NOTHING) else f"{v}\u00a0±\u00a0{e}" for v, e in pairs]
    return columns


def paired(columns: dict[str, list[str]], stem: str) -> dict[str, list[str]]:
    """Fold the columns of one quantity into one: "here (paper)"."""
    here, paper = columns.pop(f"{stem}{HERE}"), columns[f"{stem}{PAPER}"]
    gaps = (" " if "±" in h else "\u00a0" for h in here)  # numbers with errors may take two lines
    both = [h if p in ("", NOTHING) else f"{h}{gap}({p})" for h, gap, p in zip(here, gaps, paper, strict=True)]
    return {
        stem if name == f"{stem}{PAPER}" else name: both if name == f"{stem}{PAPER}" else column
        for name, column in columns.items()
    }


def footnotes(columns: dict[str, list[str]]) -> tuple[dict[str, list[str]], list[str]]:
    """Turn the column of notes into letters at the rows' names and one sentence for each letter."""
    notes = columns.pop("note", [])
    letters = {note: chr(ord("a") + i) for i, note in enumerate(dict.fromkeys(filter(None, notes)))}
    first = next(iter(columns))
    for i, note in enumerate(notes):
        columns[first][i] += f"\u00a0[{letters[note]}]" if note else ""
    return columns, [f"[{letter}] {note[0].upper()}{note[1:]}." for note, letter in letters.items()]


def looks_numeric(text: str) -> bool:
    """Tell whether a cell may stand in a right-aligned column."""
    return NUMBER.fullmatch(text) is not None


def digits(values: list[Any]) -> list[str]:
    """Write one column with as many decimals as its largest number needs: 3612, 360.7, 99.90, 0.556."""
    finite = [abs(float(v)) for v in values if is_number(v) and math.isfinite(v)]
    if all(v.is_integer() for v in finite):
        return [write(value, 0, least=0) for value in values]
    largest = max(finite)
    decimals = 0 if largest >= 1000 else 1 if largest >= 100 else 2 if largest >= 1 else 3
    return [write(value, decimals, least=3, small=largest < 0.01) for value in values]


def write(value: Any, decimals: int, *, least: int, small: bool = False) -> str:
    """Write one cell; small numbers among large ones get decimals (two at most) up to ``least`` digits."""
    if value is None or (is_number(value) and math.isnan(value)):
        return NOTHING
    if not is_number(value):
        return " ".join(str(value).split())
    if small or math.isinf(value):
        return f"{value:.2g}"
    wanted = least - 1 - math.floor(math.log10(abs(value))) if value and least else 0
    return f"{value:.{max(decimals, min(2, wanted))}f}"


def markdown(table: Text) -> str:
    """Write a table as Markdown, numbers to the right."""
    lines = [table.head, ["---:" if right else ":---" for right in table.numeric], *table.rows]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)


def to_html(table: Text) -> str:
    """Write a table as HTML, numbers to the right."""
    sides = ["right" if right else "left" for right in table.numeric]

    def line(tag: str, texts: list[str]) -> str:
        pairs = zip(texts, sides, strict=True)
        cells = (f'<{tag} style="text-align:{side}">{inline(text)}</{tag}>' for text, side in pairs)
        return f"<tr>{''.join(cells)}</tr>"

    body = "".join(line("td", row) for row in table.rows)
    return f"<table><thead>{line('th', table.head)}</thead><tbody>{body}</tbody></table>"


def inline(text: str) -> str:
    """Escape a text for HTML; code, bold and emphasis keep their look."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=True))
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"(?<![\w*])\*([^\s*](?:[^*]*[^\s*])?)\*(?![\w*])", r"<em>\1</em>", text)
