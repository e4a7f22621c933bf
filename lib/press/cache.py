"""When a notebook must run again: a key made of everything its result is made of.

The key covers the notebook's text, the files of the package that it imports, the parameters, requirements.txt,
and data by one rule: who imports the zoo depends on all shipped weights, who imports the study on its pages, who
imports the editions on the edition's own file, who imports `show` on the published numbers and on the rows of the
register and the ledger that concern it. Image folders of the user's own aren't looked into.
"""

import hashlib
import json
import sys
from functools import cache
from pathlib import Path

from ..files import records
from .files import read_json
from .imports import needed
from .plan import Job


def digest(path: Path) -> str:
    """Return the sha256 of a file, read again only when its size or time changes."""
    state = path.stat()
    return _digest(path, state.st_mtime_ns, state.st_size)


@cache
def _digest(path: Path, changed: int, size: int) -> str:
    """Return the sha256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def data(root: Path, job: Job, files: list[Path]) -> list[str]:
    """Return one line for each piece of data that a notebook depends on."""
    stems = {p.relative_to(root / "lib").parts[0].removesuffix(".py") for p in files}
    paths = [job.edition.file] if "editions" in stems else []
    if "study" in stems:
        paths += sorted((root / "lib/study/pages").iterdir())
    if "zoo" in stems:
        paths += sorted(p for p in (root / "data/weights").rglob("*") if p.is_file())
    if "show" not in stems:
        return [f"{p.name} {digest(p)}" for p in paths]
    paths += sorted((root / "data/published").glob("*.csv"))
    return [f"{p.name} {digest(p)}" for p in paths] + _rows(root, job) + _claims(root, job)


def _rows(root: Path, job: Job) -> list[str]:
    """Return the register's rows of this notebook, without their state (planned or written)."""
    rows = records(root / "data/exhibits.csv")
    own = [r for r in rows if f"{r['paper']}/{r['notebook']}" == job.name]
    return [json.dumps({k: v for k, v in r.items() if k != "state"}, sort_keys=True) for r in own]


def _claims(root: Path, job: Job) -> list[str]:
    """Return the claims of the ledger that this notebook names."""
    text = job.source.read_text(encoding="utf-8")
    claims = records(root / "data/claims.yaml")
    return [json.dumps(c, sort_keys=True, default=str) for c in claims if c["id"] in text]


def key(root: Path, job: Job) -> str:
    """Return the key of a notebook's result."""
    files = needed(root / "lib", job.source)
    lines = [f"{p.relative_to(root / 'lib').as_posix()} {digest(p)}" for p in files]
    lines += [digest(job.source), *data(root, job, files)]
    lines += [json.dumps(job.parameters, sort_keys=True, default=str)]
    lock = root / "requirements.txt"
    lines += [digest(lock) if lock.is_file() else "no lock", f"python {sys.version_info[:2]}"]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def record(job: Job) -> dict:
    """Return what the last complete run of a notebook left on record."""
    return read_json(job.keep(".json")) or {}


def fresh(job: Job, content: str) -> bool:
    """Say whether the executed notebook on disk is the result of this key."""
    return job.output.is_file() and record(job).get("key") == content
