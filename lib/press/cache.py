"""When a notebook must run again: a key made of everything its result is made of.

The key covers the notebook's text, the files of the package that it imports (followed through every import, found
by reading the code), the parameters, requirements.txt, and data by one rule: who imports the zoo depends on all shipped
weights, who imports the editions on the edition's own file, who imports `show` on the published numbers and on
the rows of the register and the ledger that concern it. Image folders of the user's own aren't looked into.
"""

import ast
import csv
import hashlib
import json
import sys
from functools import lru_cache
from pathlib import Path

from .files import read_json
from .plan import Job


def digest(path: Path) -> str:
    """Return the sha256 of a file, read again only when its size or time changes."""
    state = path.stat()
    return _digest(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=None)
def _digest(path: Path, changed: int, size: int) -> str:
    """Return the sha256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def imported(tree: ast.AST, package: list[str]) -> set[str]:
    """Return the dotted names below `sightglass` that code mentions; `package` is where the code stands."""
    names, alias = set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                _note(item.name.split("."), item.asname, names, alias)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            parts = (["sightglass", *base] if node.level else []) + (node.module.split(".") if node.module else [])
            for item in node.names:
                _note([*parts, item.name], item.asname or item.name, names, alias)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in alias:
            names.add(f"{alias[node.value.id]}.{node.attr}".lstrip("."))
    return names


def _note(parts: list[str], alias: str | None, names: set[str], aliases: dict[str, str]) -> None:
    """Note one imported dotted name and the word it goes by in the code."""
    if parts[0] == "sightglass":
        names.add(".".join(parts[1:]))
        aliases[alias or "sightglass"] = ".".join(parts[1:]) if alias else ""


def resolve(lib: Path, dotted: str) -> set[Path]:
    """Return the files that a dotted name of the package stands for."""
    folder, files = lib, {lib / "__init__.py"}
    for part in filter(None, dotted.split(".")):
        if (folder / f"{part}.py").is_file():
            return files | {folder / f"{part}.py"}
        if not (folder / part).is_dir():
            return files | _lazy(folder, part)
        folder = folder / part
        files.add(folder / "__init__.py")
    return files


def _lazy(folder: Path, name: str) -> set[Path]:
    """Return the files behind a name of a package whose `__init__` imports on first use."""
    tree = _tree(folder / "__init__.py")
    if not any(isinstance(n, ast.FunctionDef) and n.name == "__getattr__" for n in tree.body):
        return set()
    for node in (n for n in ast.walk(tree) if isinstance(n, ast.Dict)):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == name:
                words = [w.value for w in ast.walk(value) if isinstance(w, ast.Constant)]
                return resolve(folder, str(words[0]).lstrip("."))
    bound = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    bound |= {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    return set() if name in bound else set(folder.glob("*.py"))


def _tree(path: Path) -> ast.Module:
    """Return the parsed code of a file; an absent `__init__` is empty."""
    return _parse(path, digest(path)) if path.is_file() else ast.Module([], [])


@lru_cache(maxsize=None)
def _parse(path: Path, content: str) -> ast.Module:
    """Parse a file once for each content it has had."""
    return ast.parse(path.read_text(encoding="utf-8"))


def needed(lib: Path, notebook: Path) -> list[Path]:
    """Return the files of the package that a notebook imports, directly or through others."""
    found: set[Path] = set()
    waiting = {p for name in imported(_tree(notebook), []) for p in resolve(lib, name)}
    while waiting:
        file = waiting.pop()
        if file not in found and file.is_file():
            found.add(file)
            waiting |= {p for name in _mentions(lib, file, digest(file)) for p in resolve(lib, name)}
    return sorted(found)


@lru_cache(maxsize=None)
def _mentions(lib: Path, file: Path, content: str) -> frozenset[str]:
    """Return what one file of the package mentions of the package, worked out once for each content."""
    return frozenset(imported(_tree(file), list(file.relative_to(lib).parent.parts)))


def data(root: Path, job: Job, files: list[Path]) -> list[str]:
    """Return one line for each piece of data that a notebook depends on."""
    stems = {p.relative_to(root / "lib").parts[0].removesuffix(".py") for p in files}
    paths = [job.edition.file] if "editions" in stems else []
    if "zoo" in stems:
        paths += sorted(p for p in (root / "data/weights").rglob("*") if p.is_file())
    if "show" not in stems:
        return [f"{p.name} {digest(p)}" for p in paths]
    paths += sorted((root / "data/published").glob("*.csv"))
    return [f"{p.name} {digest(p)}" for p in paths] + _rows(root, job) + _claims(root, job)


def _rows(root: Path, job: Job) -> list[str]:
    """Return the register's rows of this notebook, without their state (planned or written)."""
    path = root / "data/exhibits.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    own = [{k: v for k, v in r.items() if k != "state"} for r in rows if r["notebook"] in job.name]
    return [json.dumps(r, sort_keys=True) for r in own]


def _claims(root: Path, job: Job) -> list[str]:
    """Return the claims of the ledger that this notebook names."""
    import yaml

    path, text = root / "data/claims.yaml", job.source.read_text(encoding="utf-8")
    claims = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else []
    return [json.dumps(c, sort_keys=True, default=str) for c in claims or [] if c["id"] in text]


def key(root: Path, job: Job) -> str:
    """Return the key of a notebook's result."""
    files = needed(root / "lib", job.source)
    lines = [f"{p.relative_to(root / 'lib').as_posix()} {digest(p)}" for p in files]
    lines += [digest(job.source), *data(root, job, files), json.dumps(job.parameters, sort_keys=True, default=str)]
    lock = root / "requirements.txt"
    lines += [digest(lock) if lock.is_file() else "no lock", f"python {sys.version_info[:2]}"]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def record(job: Job) -> dict:
    """Return what the last complete run of a notebook left on record."""
    return read_json(job.keep(".json")) or {}


def fresh(job: Job, content: str) -> bool:
    """Say whether the executed notebook on disk is the result of this key."""
    return job.output.is_file() and record(job).get("key") == content
