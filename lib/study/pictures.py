"""Pictures of the study's pages for the book: as a browser shows them, or a sketch where there is no browser.

See `fig-vital-34` to `39` and `fig-vital-43`.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import plot
from ..names import unknown
from ..plot.look import DPI, WIDEST
from .items import SECTIONS, SYMBOLS, methods

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# page of the book -> file, the page to look at there, and what the page says (for the sketch)
PAGES = {
    "welcome": ("ratings", "welcome", "Rate and name pictures"),
    "words": ("ratings", "words", "How well do these pictures show {}?"),
    "references": ("ratings", "references", "How well do these pictures match the reference pictures?"),
    "subset": ("ratings", "subset", "Please choose one of these signs"),
    "describe": ("ratings", "describe", "What do you see?"),
    "people": ("ratings", "people", "About you"),
    "choice welcome": ("choice", "welcome", "Guess what the network prefers"),
    "demonstration": ("choice", "demonstration", "An example"),
    "classes": ("choice", "classes", "Which picture does it prefer?"),
    "inner": ("choice", "inner", "Which picture does it prefer?"),
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
         "--virtual-time-budget=2000")  # fmt: skip
TALLEST = 2400  # pixels of a page


def page_figure(site: str | Path, page: str, *, browser: str | None = None) -> tuple[Figure, bool]:
    """Draw a page of a built study as wide as the book's; tell whether a browser drew it (False: a sketch).

    `browser` is the program; None takes the first that is found, "" none.
    """
    if page not in PAGES:
        raise KeyError(unknown("page of the study", page, PAGES))
    sections, kind = _sections(Path(site)), PAGES[page][1]
    if kind in SECTIONS and kind not in sections:
        raise ValueError(unknown("section of this study", kind, sections))
    found = next(filter(None, map(shutil.which, BROWSERS)), "") if browser is None else browser
    pixels = screenshot(Path(site), page, found) if found else None
    return (sketch(Path(site), page), False) if pixels is None else (framed(pixels), True)


def screenshot(site: Path, page: str, browser: str) -> np.ndarray | None:
    """Let a browser draw a page: (h, w, 3) bytes without the empty part below, None when it can't."""
    from PIL import Image

    file, kind, _ = PAGES[page]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "page.png"
        address = f"{(site / f'{file}.html').resolve().as_uri()}?look={kind}&still"
        size = f"--window-size={round(WIDEST * DPI)},{TALLEST}"
        command = [browser, *FLAGS, size, f"--user-data-dir={folder}/profile", f"--screenshot={out}", address]
        try:
            subprocess.run(command, capture_output=True, timeout=60, check=True)
            pixels = np.asarray(Image.open(out).convert("RGB"))
        except (OSError, subprocess.SubprocessError):
            return None
    used = (pixels != pixels[-1:]).any(-1).mean(1) > 0.001
    last = int(used.nonzero()[0].max(initial=0))
    return pixels[: min(len(pixels), last + 24)] if last > 50 else None


def framed(pixels: np.ndarray) -> Figure:
    """Put a picture of a page on a figure of the same size, with a thin frame around it."""
    import matplotlib.pyplot as plt

    height, width = pixels.shape[:2]
    figure = plt.figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(pixels, interpolation="none", aspect="auto")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color="#CCCCCC")
    return figure


def sketch(site: Path, page: str) -> Figure:
    """Draw the pictures of a page's first question, and what is asked, without a browser."""
    import matplotlib.pyplot as plt

    sections, (_, kind, title) = _sections(site), PAGES[page]
    if kind not in sections:
        figure, axes = plt.subplots(figsize=(6, 1.2))
        axes.axis("off")
        signs = "   ".join(SYMBOLS[: len(methods(sections.get("describe", [])))]) if kind == "subset" else ""
        axes.text(0.5, 0.5, f"{title}\n{signs}".strip(), ha="center", va="center", fontsize=12)
        return figure
    question = sections[kind][0]
    groups, rated = list(question["images"].values()), kind in ("words", "references")
    rows = [question["beside"], [group[0] for group in groups]] if rated else [groups[0], question["beside"]]
    rows = [[plt.imread(site / name)[..., :3] for name in row] for row in rows if row]
    wide = max(map(len, rows))
    captions = [""] * wide * (len(rows) - 1) + ["1  2  3  4  5" if rated else ""] * len(rows[-1])
    captions += [""] * (wide - len(rows[-1]))
    cells = [row + [None] * (wide - len(row)) for row in rows]
    figure = plot.grid(cells, captions=captions, width=min(WIDEST, 1.7 * wide))
    figure.suptitle(title.format(question["name"]), y=1.12)
    return figure


def _sections(site: Path) -> dict:
    """Read the questions of a built study."""
    import json

    text = (site / "items.js").read_text(encoding="utf-8")
    return json.loads(text[text.index("{") : text.rindex("}") + 1])["sections"]
