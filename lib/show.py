"""Show a published figure or table under its id, and enter claims in the ledger; every notebook uses it.

One ``display`` carries HTML for JupyterLab and Markdown for the book, where figures and tables get numbers
and can be referred to by id. Files go to ``_figures/`` and ``_claims.json`` in the working folder of the run.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .files import records, write
from .names import DATA, unknown
from .plot.look import DPI, WIDEST
from .published import beside, published, unavailable
from .tables import inline, markdown, tidy, to_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["beside", "claim", "published", "show", "tidy", "unavailable"]

FOLDER, LEDGER = Path("_figures"), Path("_claims.json")
ID = re.compile(r"(fig|tab|alg)-[a-z]+-[a-z0-9]+")
ROLE = re.compile(r"\{[a-z:]+\}`([^`<]*?)\s*(?:<[^`>]*>)?`")
VERDICTS = {True: "held", False: "not held", None: "not tested"}


def show(obj: Figure | DataFrame, id: str, caption: str, *, alt: str = "") -> None:
    """Display a figure or a table under its id and save it as ``_figures/<id>.png`` or ``.csv``.

    A figure needs ``alt``: one plain sentence for readers who can't see it. A drawing that has an SVG, such as a
    concept graph, is shown as that and saved as ``.svg``, ``.json`` and, for paper, ``.png``.
    """
    check_id(id)
    caption, alt = " ".join(caption.split()), " ".join(alt.split())
    if hasattr(obj, "to_svg"):
        page, text = drawing(obj, id, caption, alt)
    elif hasattr(obj, "savefig"):
        page, text = figure(obj, id, caption, alt)
    elif hasattr(obj, "to_csv"):
        page, text, caption = table(obj, id, caption)
    else:
        raise TypeError(f"{id}: show takes a matplotlib figure, a DataFrame or a drawing, got {type(obj).__name__}")
    page = f'<figure style="margin:0">{page}<figcaption>{plain(caption)}</figcaption></figure>'
    emit({"text/html": page, "text/markdown": text, "text/plain": f"<{id}: {caption}>"})


def check_id(id: str) -> None:
    """Refuse an id that isn't in the register; without a register only ids of the reader's own (-x1) pass."""
    if not ID.fullmatch(id):
        raise ValueError(f"the id {id!r} isn't of the form fig-vital-3, tab-le-1 or alg-vital-1")
    known, own = register(), re.search(r"-x\d+[a-z]?$", id)
    if known and id not in known:
        raise ValueError(unknown("exhibit", id, known) + "; data/exhibits.csv needs a row for each")
    if not known and not own:
        raise ValueError(
            f"no register data/exhibits.csv to find {id!r} in; ids of your own end in -x1, -x2, ..."
        )


@cache
def register() -> tuple[str, ...]:
    """Read the ids of data/exhibits.csv, none where the package was installed without it."""
    return tuple(row["id"] for row in records(DATA / "exhibits.csv"))


def figure(fig: Figure, id: str, caption: str, alt: str) -> tuple[str, str]:
    """Save a figure, opaque white and at most 8 inches wide; return its HTML and Markdown."""
    if id.startswith("tab-"):
        raise TypeError(f"{id} is a table's id, and the object is a figure")
    if not alt:
        raise ValueError(f"{id}: alt is missing: one plain sentence that says what the figure shows")
    if fig.get_figwidth() > WIDEST + 0.01:
        raise ValueError(f"{id} is {fig.get_figwidth():.1f} inches wide, the page holds {WIDEST:.0f}")
    import matplotlib.pyplot as plt

    data = png(fig)
    plt.close(fig)  # else the inline backend shows it a second time
    path = FOLDER / f"{id}.png"
    write(path, data)
    source = base64.b64encode(data).decode()
    style = "max-width:100%;background:white"
    page = f'<img alt="{html.escape(alt)}" style="{style}" src="data:image/png;base64,{source}">'
    return page, f":::{{figure}} {path.as_posix()}\n:name: {id}\n:alt: {alt}\n\n{caption}\n:::"


def drawing(obj: Any, id: str, caption: str, alt: str) -> tuple[str, str]:
    """Save a drawing as SVG, JSON and PNG; return its HTML with the SVG in it, and Markdown that includes the file."""
    _, text = figure(obj.to_figure(), id, caption, alt)
    page, path = obj.to_svg(id, alt=alt), FOLDER / f"{id}.svg"
    write(path, page)
    write(path.with_suffix(".json"), obj.to_json())
    inline = f"```{{raw}} html\n:file: {path.as_posix()}\n```"
    # the picture stays for formats without HTML; the SVG's own style sheet takes its place in the book
    return page, f"{text.removesuffix(':::')}\n{inline}\n:::"


def png(fig: Figure) -> bytes:
    """Draw a figure as PNG at its own size, and wider only where something sticks out of it."""
    from matplotlib.transforms import Bbox

    fig.draw_without_rendering()  # a layout engine puts things in place only when it draws
    page = Bbox.from_bounds(0, 0, fig.get_figwidth(), fig.get_figheight())
    whole = Bbox.union([page, fig.get_tightbbox()])
    out = max(abs(whole.extents - page.extents)) > 0.01  # less is rounding, and would blur a grid of images
    buffer = io.BytesIO()
    options = {"format": "png", "dpi": DPI, "facecolor": "white", "metadata": {"Software": None}}
    fig.savefig(buffer, bbox_inches=whole if out else None, pad_inches=0, **options)
    return buffer.getvalue()


def table(frame: DataFrame, id: str, caption: str) -> tuple[str, str, str]:
    """Save a table with all its digits; return HTML and Markdown with sensible ones, and the caption."""
    if id.startswith("fig-"):
        raise TypeError(f"{id} is a figure's id, and the object is a table")
    import pandas as pd

    index = not isinstance(frame.index, pd.RangeIndex)
    write(FOLDER / f"{id}.csv", frame.to_csv(index=index, float_format="%.6g"))
    written = tidy(frame)
    caption = " ".join([caption, *written.notes])
    return (
        to_html(written),
        f":::{{table}} {caption}\n:name: {id}\n:class: results\n\n{markdown(written)}\n:::",
        caption,
    )


def plain(caption: str) -> str:
    """Turn a caption into HTML: roles keep their text, code and bold their look."""
    return inline(ROLE.sub(r"\1", caption))


def claim(id: str, *, holds: bool | None, because: str) -> None:
    """Enter a claim of a paper in the ledger as held, not held or (None) not tested, with the reason."""
    known = claims()
    if id not in known:
        raise ValueError(unknown("claim", id, known))
    because = " ".join(because.split())
    if not because:
        raise ValueError(f"{id}: because is missing: one sentence with the number that decides the claim")
    from filelock import FileLock

    holds = None if holds is None else bool(holds)
    # notebooks of one part run at the same time in one folder
    with FileLock(LEDGER.with_name(f".{LEDGER.name}.lock")):
        entries = json.loads(LEDGER.read_text(encoding="utf-8")) if LEDGER.is_file() else []
        entries = [entry for entry in entries if entry["id"] != id]
        entries.append({"id": id, "holds": holds, "because": because})
        write(LEDGER, json.dumps(entries, indent=1, ensure_ascii=False))
    state, what = f"Claim {id}: {VERDICTS[holds]}.", known[id]
    page = f"<p><strong>{state}</strong> <em>{plain(what)}</em> {plain(because)}</p>"
    text = f"**{state}** *{what}* {because}"
    emit({"text/html": page, "text/markdown": text, "text/plain": f"{state} {what} {because}"})


@cache
def claims() -> dict[str, str]:
    """Read data/claims.yaml: id -> the claim in our words."""
    return {entry["id"]: " ".join(entry["claim"].split()) for entry in records(DATA / "claims.yaml")}


def emit(bundle: dict[str, Any]) -> None:
    """Hand a bundle of formats to the notebook."""
    from IPython.display import display

    display(bundle, raw=True)
