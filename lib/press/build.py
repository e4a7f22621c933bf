"""Build the site of a run from its executed notebooks, and serve it."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import cache, results
from .files import Refused, copy, inside, read_json, swap, write
from .plan import Edition, Job, find_edition, notebooks

MADE = "results"  # the page that the press writes itself


def pages(root: Path) -> list[str]:
    """Return the pages of the table of contents in their order."""
    import yaml

    found: list[str] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            found.extend(node[k] for k in ("root", "file") if k in node)
            node = [v for v in node.values() if isinstance(v, dict | list)]
        for item in node if isinstance(node, list) else []:
            walk(item)

    walk(yaml.safe_load((root / "book/_toc.yml").read_text(encoding="utf-8")))
    return found


def executed(root: Path, edition: Edition) -> list[Job]:
    """Return the notebooks of the table of contents, or refuse when a page isn't there yet."""
    run, known = root / "runs" / edition.name, notebooks(root)
    names = pages(root)
    jobs = [Job(n, known[n], run, edition, {}) for n in names if n in known]
    jobs = [Job(j.name, j.source, run, edition, cache.record(j).get("parameters", {})) for j in jobs]
    missing = [j.name for j in jobs if not (j.output.is_file() and cache.record(j))]
    if missing:
        command = f"python -m sightglass run {edition.value}"
        raise Refused(f"not run yet, or failed: {', '.join(missing)}; `{command}` runs what is missing")
    absent = [n for n in names if n not in known and n != MADE and not (root / "book" / f"{n}.md").is_file()]
    if absent:
        raise Refused(f"book/_toc.yml names pages that don't exist: {', '.join(absent)}")
    return jobs


def build(root: Path, name: str) -> int:
    """Build the site of an edition unless it is up to date; any warning fails it."""
    from filelock import FileLock

    edition = find_edition(root, name)
    jobs = executed(root, edition)
    run, site = root / "runs" / edition.name, root / "runs" / edition.name / "_html"
    stale = [j.name for j in jobs if not cache.fresh(j, cache.key(root, j))]
    if stale:
        print(f"older than what they are made from: {', '.join(stale)}")
    with FileLock(inside(run) / "build.lock"):
        inputs = gather(root, jobs, run)
        if site.is_dir() and read_json(inside(run) / "site.json") == inputs:
            print(f"unchanged: {os.path.relpath(site / 'index.html')}")
            return 0
        (inside(run) / "site.json").unlink(missing_ok=True)
        status = _jupyter_book(root, run, site)
        if not status:
            write(inside(run) / "site.json", f'"{inputs}"')
    return status


def gather(root: Path, jobs: list[Job], run: Path) -> str:
    """Put the pages beside the executed notebooks and return a key of all that the site is made of."""
    book = root / "book"
    for name in sorted(p.relative_to(book) for p in book.rglob("*") if p.is_file()):
        hidden = any(part.startswith(".") or part in ("__pycache__", "_figures") for part in name.parts)
        if not hidden and name.suffix not in (".py", ".ipynb", ".toml") and name.name != "_claims.json":
            copy(book / name, run / name)
    write(run / f"{MADE}.md", results.page(root, jobs))
    used = [run / f"{n}.md" for n in pages(root)] + [j.output for j in jobs]
    used += [root / "_config.yml", root / "requirements.txt", run / "_toc.yml", *run.glob("*.bib")]
    folders = {run / "_static", *(j.output.parent / "_figures" for j in jobs)}
    used += [p for folder in folders for p in folder.rglob("*")]
    lines = [f"{p.relative_to(root)} {cache.digest(p)}" for p in sorted(set(used)) if p.is_file()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def mathematics(folder: Path) -> None:
    """Copy MathJax from its installed package, so that the site shows formulas without a network."""
    found = importlib.util.find_spec("sphinx-mathjax-offline")
    if found is None:
        raise Refused("MathJax isn't installed; `pip install sphinx-mathjax-offline` brings it")
    source = Path(found.origin).parent / "static/mathjax"
    for path in [source / "tex-svg.js", *sorted((source / "input/tex/extensions").glob("*.js"))]:
        copy(path, folder / path.relative_to(source))


def _jupyter_book(root: Path, run: Path, site: Path) -> int:
    """Run Jupyter Book into a folder of its own and put the site in place when it is clean."""
    fresh = inside(run) / "site"
    shutil.rmtree(fresh, ignore_errors=True)
    options = ["--config", str(root / "_config.yml"), "--path-output", str(fresh)]
    start = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "build", str(run), *options]
    command += ["--all", "-W", "-n", "--keep-going", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    errors = re.sub(r"\x1b\[[\d;]*m", "", done.stderr)
    write(inside(run) / "build.log", done.stdout + errors)
    if done.returncode:
        lines = errors.splitlines()
        told = [x for x in lines if "WARNING" in x or "ERROR" in x] or lines
        print("\n".join(["the site has mistakes and wasn't built:", *told[-30:]]), file=sys.stderr)
        print(f"all of the output: {os.path.relpath(inside(run) / 'build.log')}", file=sys.stderr)
        return 1
    # not before: Jupyter Book would name every script in _static on every page
    mathematics(fresh / "_build/html/_static/mathjax")
    swap(fresh / "_build/html", site)
    shutil.rmtree(fresh, ignore_errors=True)
    print(f"built: {os.path.relpath(site / 'index.html')}")
    return 0


def serve(root: Path, name: str, port: int) -> int:
    """Serve a built site on this machine until stopped."""
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    edition = find_edition(root, name)
    site = root / "runs" / edition.name / "_html"
    if not site.is_dir():
        raise Refused(f"no site yet; `python -m sightglass build {edition.value}` makes it")
    try:
        handler = partial(SimpleHTTPRequestHandler, directory=str(site))
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        raise Refused(f"port {port} can't be used ({error}); name another with --port") from error
    print(f"http://localhost:{server.server_port}/ (Ctrl-C stops it)", flush=True)
    with server:
        server.serve_forever()
    return 0
