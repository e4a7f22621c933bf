"""Write the page of results: claims, exhibits, times and versions, all taken from the run."""

import platform
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import tables
from ..files import records
from ..show import VERDICTS
from . import cache
from .files import inside, read_json
from .plan import Job

PAPERS = {
    "world": "The ground floor",
    "vital": "VITAL",
    "featinv": "FeatInv",
    "linear": "Linear Explanations",
    "ierf": "iERF",
}
PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "matplotlib", "jupyter-book")
LABEL = re.compile(r":name: (\S+)")

Rows = list[dict[str, Any]]


def page(root: Path, jobs: list[Job]) -> str:
    """Return the page as MyST Markdown."""
    edition = jobs[0].edition.name if jobs else "world"
    head = [
        "# Results",
        f"This page is made by the run, here of the edition `{edition}`: nobody types a number into it. "
        "A claim that a run does not bear out is listed as not held.",
    ]
    shown, ledger = labels(jobs), claims(root, jobs)
    parts = [head, _claims(root, ledger, shown), _exhibits(root, jobs, shown), _times(jobs), _versions()]
    return "\n\n".join(block for part in parts for block in part) + "\n"


def labels(jobs: list[Job]) -> dict[str, str]:
    """Map every exhibit that an executed notebook shows to the notebook's name."""
    found = {}
    for job in jobs:
        for cell in (read_json(job.output) or {}).get("cells", []):
            for output in cell.get("outputs", []):
                text = "".join(output.get("data", {}).get("text/markdown", []))
                found.update({name: job.name for name in LABEL.findall(text)})
    return found


def claims(root: Path, jobs: list[Job]) -> dict[str, dict[str, Any]]:
    """Collect what the notebooks decided; a claim that no notebook makes any more is left out."""
    found = {}
    for folder in sorted({j.output.parent for j in jobs}):
        sources = [j.source.read_text(encoding="utf-8") for j in jobs if j.output.parent == folder]
        for entry in read_json(folder / "_claims.json") or []:
            if any(re.search(rf"\b{re.escape(entry['id'])}\b(?!-)", text) for text in sources):
                found[entry["id"]] = entry
    return found


def table(header: list[str], rows: Iterable[list[Any]]) -> str:
    """Write a Markdown table, each cell on one line."""
    lines = [[" ".join(str(value).split()) for value in row] for row in rows]
    return tables.markdown(tables.Text(header, lines, [False] * len(header), []))


def folded(title: str, body: str) -> str:
    """Fold a block away under its title."""
    return f"::::{{dropdown}} {title}\n{body}\n::::"


def _link(name: str, shown: dict[str, str]) -> str:
    """Refer to an exhibit that this run shows by its number, to another by its id."""
    if name not in shown:
        return f"`{name}`"
    # an algorithm is shown as a table or a figure, so any kind of label has a number
    return f"{{numref}}`{name}`"


def _papers(rows: Rows) -> list[str]:
    """Return the papers that rows speak of, in the order of the book."""
    return [p for p in PAPERS if any(r["paper"] == p for r in rows)]


def _claims(root: Path, ledger: dict[str, dict[str, Any]], shown: dict[str, str]) -> list[str]:
    """Write the ledger: counts for each paper, then every decided claim, then the others folded."""
    listed = records(root / "data/claims.yaml")
    if not listed:
        return []
    state = {c["id"]: VERDICTS[ledger.get(c["id"], {}).get("holds")] for c in listed}
    blocks = ["## Claims", _counts(listed, state)]
    for paper in _papers(listed):
        own = [c for c in listed if c["paper"] == paper]
        told = [c for c in own if c["id"] in ledger]
        rows = [_claim_row(c, state, ledger, shown) for c in told]
        rest = [[f"`{c['id']}`", c["claim"], c["criterion"]] for c in own if c not in told]
        blocks.append(f"### {PAPERS[paper]}")
        blocks += [table(["claim", "verdict", "because", "decided by"], rows)] if rows else []
        blocks += [_planned("claims", rest, ["id", "claim", "how a run decides"])] if rest else []
    return blocks


def _counts(listed: Rows, state: dict[str, str]) -> str:
    """Write how many claims of each paper were held, not held and not tested."""
    rows = []
    for paper in _papers(listed):
        own = [state[c["id"]] for c in listed if c["paper"] == paper]
        rows.append([PAPERS[paper], *(own.count(w) for w in VERDICTS.values())])
    return table(["paper", *VERDICTS.values()], rows)


def _claim_row(claim: dict, state: dict[str, str], ledger: dict, shown: dict[str, str]) -> list[str]:
    """Write one decided claim."""
    name = claim["id"]
    return [claim["claim"], f"**{state[name]}**", ledger[name]["because"], _link(claim["exhibit"], shown)]


def _planned(what: str, rows: list[list[Any]], header: list[str]) -> str:
    """Fold away what no notebook of this run decides or shows yet."""
    return folded(f"{len(rows)} {what} still to come", table(header, rows))


def _exhibits(root: Path, jobs: list[Job], shown: dict[str, str]) -> list[str]:
    """Write the register: what this run shows, what other editions show, and what is planned."""
    listed = records(root / "data/exhibits.csv")
    if not listed:
        return []
    home = jobs[0].run if jobs else root / "runs/world"
    count = sum(r["id"] in shown for r in listed)
    blocks = ["## Exhibits", f"{count} of {len(listed)} are shown in this edition."]
    for paper in _papers(listed):
        own = [r for r in listed if r["paper"] == paper]
        rows = [_exhibit_row(root, home, r, shown) for r in own if r["id"] in shown]
        rest = [[f"`{r['id']}`", r["what"]] for r in own if r["id"] not in shown]
        blocks.append(f"### {PAPERS[paper]}: figures and tables")
        blocks += [table(["exhibit", "what", "page", "other editions"], rows)] if rows else []
        blocks += [b for r in own if r["id"] in shown for b in _beside(root, home, shown[r["id"]], r["id"])]
        blocks += [_planned("exhibits", rest, ["id", "what"])] if rest else []
    return blocks


def _exhibit_row(root: Path, home: Path, row: dict[str, str], shown: dict[str, str]) -> list[str]:
    """Write one exhibit that this run shows."""
    name = row["id"]
    # a run with changed parameters has a + in its name and is no edition
    runs = [p for p in sorted((root / "runs").glob("*")) if inside(p).is_dir() and "+" not in p.name]
    others = [p.name for p in runs if p != home and any(p.glob(f"*/_figures/{name}.*"))]
    return [_link(name, shown), row["what"], f"[](/{shown[name]}.ipynb)", ", ".join(others) or "not run"]


def _beside(root: Path, home: Path, notebook: str, name: str) -> list[str]:
    """Write the published numbers of a table beside the measured ones, folded."""
    files = sorted((root / "data/published").glob("*.csv"))
    published = [r for f in files for r in records(f) if r["exhibit"] == name]
    measured = records(home / Path(notebook).parent / f"_figures/{name}.csv")
    if not published or not measured:
        return []
    numbers = [[r["row"], r["column"], f"{r['value']} {r['unit']}"] for r in published]
    theirs = table(["row", "column", "value"], numbers)
    ours = table(list(measured[0]), [list(r.values()) for r in measured])
    return [folded(f"{name}: published, and measured here", f"Published:\n\n{theirs}\n\nThis run:\n\n{ours}")]


def _times(jobs: list[Job]) -> list[str]:
    """Write how long each notebook took."""
    rows = [[f"[](/{j.name}.ipynb)", f"{cache.record(j).get('seconds', 0):.1f}"] for j in jobs]
    note = "Seconds for each notebook, one thread each, the start of Python included."
    return ["## Times", note, table(["notebook", "seconds"], rows)] if rows else []


def _versions() -> list[str]:
    """Write the versions of Python and of the packages that decide results."""
    rows = [["python", platform.python_version()]]
    for name in PACKAGES:
        try:
            rows.append([name, version(name)])
        except PackageNotFoundError:
            rows.append([name, "not installed"])
    return ["## Versions", table(["package", "version"], rows)]
