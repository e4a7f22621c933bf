"""Which files of the package a notebook depends on, found by reading code and following its imports."""

import ast
from functools import cache
from pathlib import Path


def imported(tree: ast.AST, package: list[str]) -> set[str]:
    """Return the dotted names below `sightglass` that code mentions; `package` is where the code stands."""
    names, alias = set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                _note(item.name.split("."), item.asname, names, alias)
        elif isinstance(node, ast.ImportFrom):
            parts = node.module.split(".") if node.module else []
            if node.level:
                parts = ["sightglass", *package[: len(package) - node.level + 1], *parts]
            for item in node.names:
                _note([*parts, item.name], item.asname or item.name, names, alias)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".") if _is_name(node) else ("", "", "")
            names |= {f"{alias[first]}.{rest}".lstrip(".")} if first in alias else set()
    return names


def _is_name(node: ast.AST) -> bool:
    """Say whether an expression is a plain dotted name."""
    return isinstance(node, ast.Name) or isinstance(node, ast.Attribute) and _is_name(node.value)


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
    assigned = (t for n in tree.body if isinstance(n, ast.Assign) for t in n.targets)
    bound |= {t.id for t in assigned if isinstance(t, ast.Name)}
    return set() if name in bound else set(folder.glob("*.py"))


def _tree(path: Path) -> ast.Module:
    """Return the parsed code of a file; an absent `__init__` is empty."""
    return _parse(path, path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])


@cache
def _parse(path: Path, content: str) -> ast.Module:
    """Parse a file once for each content it has had."""
    return ast.parse(content, str(path))


def needed(lib: Path, notebook: Path) -> list[Path]:
    """Return the files of the package that a notebook imports, directly or through others."""
    return reached(lib, {p for name in imported(_tree(notebook), []) for p in resolve(lib, name)})


def reached(lib: Path, files: set[Path]) -> list[Path]:
    """Return files of the package and all that they import, directly or through others."""
    found, waiting = set(), set(files)
    while waiting:
        file = waiting.pop()
        if file not in found and file.is_file():
            found.add(file)
            waiting |= {
                p for name in _mentions(lib, file, file.read_text(encoding="utf-8")) for p in resolve(lib, name)
            }
    return sorted(found)


@cache
def _mentions(lib: Path, file: Path, content: str) -> frozenset[str]:
    """Return what one file of the package mentions of the package, worked out once for each content."""
    return frozenset(imported(_tree(file), list(file.relative_to(lib).parent.parts)))
