"""The published numbers, and how they stand beside the measured ones; every results table uses it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .names import DATA, unknown
from .tables import HERE, NOTHING, PAPER

if TYPE_CHECKING:
    from pandas import DataFrame


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
            line[head + PAPER] = printed.get((name, column), NOTHING)
            line[head + HERE] = cell(measured, key, column)
        reason = missing if isinstance(missing, str) else missing.get(name, "")
        line["note"] = "" if key in measured.index else unavailable(reason or "not part of this run")
        lines.append(line)
    frame = pd.DataFrame(lines)
    return frame if frame["note"].any() else frame.drop(columns="note")


def cell(measured: DataFrame, row: str, column: str) -> Any:
    """Take one measured number, NaN where there is none."""
    there = row in measured.index and column in measured.columns
    return measured.loc[row, column] if there else math.nan
