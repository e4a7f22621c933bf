"""What to run: notebooks, editions and parameters, all checked before anything starts."""

import ast
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import editions
from ..names import unknown
from .files import Refused, inside


@dataclass(frozen=True)
class Edition:
    """What a run looks at: the folder name of its runs, the value notebooks get, and its YAML file."""

    name: str
    value: str
    file: Path


@dataclass(frozen=True)
class Job:
    """One notebook to be run in one edition with its parameters."""

    name: str
    source: Path
    run: Path
    edition: Edition
    parameters: dict[str, Any]

    @property
    def output(self) -> Path:
        """Return where the executed notebook goes."""
        return self.run / f"{self.name}.ipynb"

    def keep(self, ending: str) -> Path:
        """Return a file of the press's own beside the others of this notebook."""
        return inside(self.run) / f"{self.name}{ending}"


def notebooks(root: Path) -> dict[str, Path]:
    """Map the name of every notebook of the book, such as `vital/3-2-...`, to its file."""
    book = root / "book"
    found = (p for p in sorted(book.rglob("*.py")) if not any(x.startswith((".", "_")) for x in p.parts[-2:]))
    return {p.relative_to(book).with_suffix("").as_posix(): p for p in found}


def find_edition(root: Path, text: str) -> Edition:
    """Find an edition by its name or by the path of a YAML file, which mustn't have a mistake in it."""
    known = editions.available(root / "data")
    if text in known:
        return Edition(text, text, known[text])
    try:
        path = editions.read(text).file
    except (ValueError, OSError) as error:
        raise Refused(error) from error
    mark = "" if path.stem not in known else "-" + hashlib.sha256(str(path).encode()).hexdigest()[:6]
    return Edition(path.stem + mark, str(path), path)


def choose(names: Iterable[str], parts: list[str]) -> list[str]:
    """Choose the notebooks named by parts: a folder, a whole name, or the start of a name."""
    names = list(names)
    if not parts:
        return names
    chosen = []
    for part in parts:
        part = re.sub(r"^book/|\.(py|ipynb)$", "", part.strip("/"))
        found = [n for n in names if n == part or n.startswith(part + "/")] or _starting(names, part)
        if not found:
            raise Refused(unknown("part", part, {*names, *(n.split("/")[0] for n in names if "/" in n)}))
        chosen += found
    return [n for n in names if n in chosen]


def _starting(names: list[str], part: str) -> list[str]:
    """Return the one notebook whose name, with or without its folder, starts like this."""
    found = [n for n in names if n.startswith(part) or n.split("/")[-1].startswith(part)]
    return found if len(found) == 1 else []


def declared(source: Path) -> dict[str, Any]:
    """Return the names and default values in a notebook's cell tagged `parameters`."""
    import jupytext

    cells = jupytext.read(source).cells
    text = "\n".join(c.source for c in cells if "parameters" in c.metadata.get("tags", []))
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = _literal(source, node)
    return found


def _literal(source: Path, node: ast.Assign) -> Any:
    """Return the literal that a parameter is set to; papermill can't re-derive anything else."""
    try:
        return ast.literal_eval(node.value)
    except ValueError:
        text = f"{source.name}: the parameter `{ast.unparse(node)}` must be a plain value, not a computed one"
        raise Refused(text) from None


def read_values(given: list[str]) -> dict[str, Any]:
    """Read `name=value` settings, with each value a YAML literal."""
    import yaml

    values = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name.isidentifier():
            raise Refused(f"-p {item!r} isn't of the form name=value")
        try:
            values[name] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise Refused(f"-p {item!r}: the value isn't readable; quote it as YAML would want it") from None
    return values


def check_values(known: dict[str, dict[str, Any]], values: dict[str, Any]) -> None:
    """Refuse parameters that no chosen notebook has, and words where a number is wanted."""
    for name, value in values.items():
        if name == "edition":
            raise Refused("the edition is the word after `run`, not a parameter")
        defaults = [k[name] for k in known.values() if name in k]
        if not defaults:
            raise Refused(unknown("parameter", name, set().union(*known.values()) - {"edition"}))
        if any(isinstance(d, int | float) for d in defaults) and isinstance(value, str):
            raise Refused(f"parameter {name!r} is a number (now {defaults[0]}), not {value!r}")


def run_folder(root: Path, edition: Edition, values: dict[str, Any]) -> Path:
    """Return the folder of a run; one with changed parameters never lies over the book's own."""
    text = "+".join(f"{k}={v}" for k, v in sorted(values.items()))
    if not re.fullmatch(r"[\w.=+-]{0,60}", text):
        text = hashlib.sha256(text.encode()).hexdigest()[:10]
    return root / "runs" / (f"{edition.name}+{text}" if text else edition.name)


def plan(root: Path, edition: str, parts: list[str], given: list[str]) -> list[Job]:
    """Turn a request into jobs, or refuse it in one sentence before anything runs."""
    found, chosen_edition = notebooks(root), find_edition(root, edition)
    names = choose(found, parts)
    values = read_values(given)
    known = {n: declared(found[n]) for n in names}
    for name in names:
        if "edition" not in known[name]:
            raise Refused(f"{name} has no parameter 'edition'; its cell tagged `parameters` must set it")
    check_values(known, values)
    run = run_folder(root, chosen_edition, values)
    asked = {"edition": chosen_edition.value, **values}
    return [
        Job(n, found[n], run, chosen_edition, {k: v for k, v in asked.items() if known[n].get(k, v) != v})
        for n in names
    ]
