"""Tables: sensible digits, the published numbers, and published beside measured; results tables use it."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .names import DATA, unknown

if TYPE_CHECKING:
    from pandas import DataFrame

NOTHING = "–"


def unavailable(reason: str) -> str:
    """Word the cell or panel of something that an edition can't give; "" when there is no reason."""
    return f"not available: {reason}" if reason else ""


def published(table: str) -> DataFrame:
    """Read a published table, a line per number: row, column, value, unit, note, text as printed."""
    import pandas as pd

    files = sorted((DATA / "published").glob("*.csv"))
    frames = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in files]
    every = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"exhibit": []})
    if table not in set(every["exhibit"]):
        raise ValueError(unknown("published table", table, sorted(set(every["exhibit"]))))
    found = every[every["exhibit"] == table].drop(columns="exhibit").reset_index(drop=True)
    found["printed"] = found["value"]
    found["value"] = pd.to_numeric(found["value"], errors="coerce")
    return found


def beside(
    measured: DataFrame,
    table: str,
    *,
    rows: Mapping[str, str] | None = None,
    missing: Mapping[str, str] | str = "",
) -> DataFrame:
    """Put each published number beside the measured one.

    ``measured`` is indexed by the published rows (or by what ``rows`` maps them to) and has some of the
    published columns; ``missing`` says why a row has no measured numbers.
    """
    import pandas as pd

    paper, rows = published(table), dict(rows or {})
    columns = dict(zip(paper["column"], paper["unit"], strict=True))
    strange = [c for c in measured.columns if c not in columns]
    if strange:
        raise ValueError(unknown(f"column of {table}", strange[0], columns))
    names = list(dict.fromkeys(paper["row"]))
    own = [i for i in measured.index if i not in {rows.get(name, name) for name in names}]
    printed = {(line.row, line.column): line.printed for line in paper.itertuples()}
    lines = []
    for name in [*names, *own]:
        key, line = rows.get(name, name), {"row": name}
        for column, unit in columns.items():
            head = f"{column} ({unit})" if unit else column
            line[f"{head}, paper"] = printed.get((name, column), NOTHING)
            line[f"{head}, here"] = cell(measured, key, column)
        reason = missing if isinstance(missing, str) else missing.get(name, "")
        line["note"] = "" if key in measured.index else unavailable(reason or "not part of this run")
        lines.append(line)
    frame = pd.DataFrame(lines)
    return frame if frame["note"].any() else frame.drop(columns="note")


def cell(measured: DataFrame, row: str, column: str) -> Any:
    """Take one measured number, NaN where there is none."""
    there = row in measured.index and column in measured.columns
    return measured.loc[row, column] if there else math.nan


def is_number(value: Any) -> bool:
    """Tell a real number (NaN too) from text, truth values and nothing."""
    import numbers

    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def tidy(frame: DataFrame) -> tuple[list[str], list[list[str]], list[bool]]:
    """Turn a table into header, rows of text with sensible digits, and which columns hold numbers."""
    import pandas as pd

    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    columns = [digits(list(frame.iloc[:, i])) for i in range(frame.shape[1])]
    numeric = [all(looks_numeric(text) for text in column) for column in columns]
    return [str(c) for c in frame.columns], [list(row) for row in zip(*columns, strict=True)], numeric


def looks_numeric(text: str) -> bool:
    """Tell whether a cell may stand in a right-aligned column."""
    return (
        text in ("", NOTHING)
        or text.lstrip("−-+").replace(".", "").replace("e", "").replace("-", "").isdigit()
    )


def digits(values: list[Any]) -> list[str]:
    """Write one column with as many decimals as its largest number needs: 3612, 99.9, 8.13, 0.556."""
    finite = [abs(float(v)) for v in values if is_number(v) and math.isfinite(v)]
    whole = all(
        is_number(v) and float(v).is_integer() for v in values if not (is_number(v) and math.isnan(v))
    )
    largest = max(finite, default=0.0)
    decimals = 0 if whole or largest >= 1000 else 1 if largest >= 100 else 2 if largest >= 1 else 3
    return [write(value, decimals, small=0 < largest < 0.01) for value in values]


def write(value: Any, decimals: int, *, small: bool) -> str:
    """Write one cell."""
    if value is None or (is_number(value) and math.isnan(value)):
        return NOTHING
    if not is_number(value):
        return " ".join(str(value).split())
    return f"{value:.2g}" if small else f"{value:.{decimals}f}"


def markdown(frame: DataFrame) -> str:
    """Write a table as Markdown, numbers to the right."""
    head, rows, numeric = tidy(frame)
    lines = [head, ["---:" if right else ":---" for right in numeric], *rows]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)


def to_html(frame: DataFrame) -> str:
    """Write a table as HTML, numbers to the right."""
    head, rows, numeric = tidy(frame)
    sides = ["right" if right else "left" for right in numeric]

    def line(tag: str, texts: list[str]) -> str:
        pairs = zip(texts, sides, strict=True)
        cells = (f'<{tag} style="text-align:{side}">{html.escape(text)}</{tag}>' for text, side in pairs)
        return f"<tr>{''.join(cells)}</tr>"

    body = "".join(line("td", row) for row in rows)
    return f"<table><thead>{line('th', head)}</thead><tbody>{body}</tbody></table>"
