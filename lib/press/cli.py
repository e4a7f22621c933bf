"""The commands of the press."""

import argparse
import os
import sys
from pathlib import Path

from ..names import ROOT
from .files import Refused


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    about = "Run the book, build it, look at it."
    top = argparse.ArgumentParser(prog="python -m sightglass", description=about)
    top.add_argument("--root", help="the folder with book/, lib/, data/ and runs/ (default: this clone)")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = _command(commands, "run", "run the notebooks of an edition that aren't up to date")
    run.add_argument("parts", nargs="*", metavar="PART", help="a folder or notebook of book/ (default: all)")
    run.add_argument("-p", dest="values", action="append", default=[], metavar="NAME=VALUE", help="a parameter")
    run.add_argument("--jobs", type=int, help="notebooks at a time (default: one per core)")
    run.add_argument("--force", action="store_true", help="run even what is up to date")
    _command(commands, "build", "build the site from the executed notebooks")
    serve = _command(commands, "serve", "serve the built site on this machine")
    serve.add_argument("--port", type=int, default=8000)
    _command(commands, "list", "list the notebooks, their parameters and whether they are up to date")
    _command(commands, "doctor", "list what an edition needs: found, missing, how to get it")
    study = commands.add_parser("study", help="write the human study's pages, or read what people answered")
    study.add_argument("words", nargs="+", metavar="OUT | read FOLDER", help="where the pages go, or where answers lie")
    study.add_argument("--edition", default="world", help="whose run the pictures are from (default: world)")
    study.add_argument("--contact", default="", help="who gets the answers, as participants will read it")
    study.add_argument("--encoder", default="world/clip", help="the encoder that compares words (default: world/clip)")
    invert = commands.add_parser("invert", help="train an inverter of a network's tap, or what it draws with")
    invert.add_argument("words", nargs=argparse.REMAINDER, metavar="train [codec|base] OPTIONS",
                        help="`invert train -h` tells of the options")  # fmt: skip
    clean = commands.add_parser("clean", help="delete executed notebooks and sites")
    clean.add_argument("edition", nargs="?", help="delete this run only")
    return top


def _command(commands: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:
    """Add a command that takes an edition."""
    command = commands.add_parser(name, help=text, description=text)
    count = None if name == "run" else "?"
    command.add_argument("edition", nargs=count, default="world", help="name or YAML file (default: world)")
    return command


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options, more = parser().parse_known_args(arguments)
    # argparse takes no further PART once it has met an option
    if any(word.startswith("-") for word in more) or more and options.command != "run":
        parser().error(f"unrecognized arguments: {' '.join(more)}")
    if more:
        options.parts += more
    base = Path(options.root).resolve() if options.root else ROOT
    try:
        return COMMANDS[options.command](base, options)
    except (Refused, OSError) as reason:  # OSError: a full disk, a folder that can't be written
        print(f"sightglass: {reason}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the next run goes on from here", file=sys.stderr)
        return 130


def _run(base: Path, options: argparse.Namespace) -> int:
    """Run notebooks; the status is 1 when one failed."""
    from . import plan, run

    if options.jobs is not None and options.jobs < 1:
        raise Refused(f"--jobs must be 1 or more, not {options.jobs}")
    jobs = plan.plan(base, options.edition, options.parts, options.values)
    if not jobs:
        raise Refused(f"there are no notebooks in {base / 'book'}")
    run.remove_orphans(base, jobs[0].run, set(plan.notebooks(base)))
    rows = run.run(base, jobs, workers=options.jobs, force=options.force)
    long = run.LONG if jobs[0].edition.name == "world" else None
    print("\n".join(run.summary(rows, long=long)))
    print(f"in {os.path.relpath(jobs[0].run)}")
    return int(any(r["state"] == "failed" for r in rows.values()))


def _build(base: Path, options: argparse.Namespace) -> int:
    """Build the site."""
    from . import build

    return build.build(base, options.edition)


def _serve(base: Path, options: argparse.Namespace) -> int:
    """Serve the site until stopped."""
    from . import build

    return build.serve(base, options.edition, options.port)


def _list(base: Path, options: argparse.Namespace) -> int:
    """Print every notebook with its state."""
    from .. import editions
    from . import cache, plan

    print(f"editions: {', '.join(editions.available(base / 'data'))}, or a YAML file of yours\n")
    jobs = plan.plan(base, options.edition, [], [])
    width = max((len(j.name) for j in jobs), default=0)
    for job in jobs:
        seconds = cache.record(job).get("seconds")
        state = "up to date" if cache.fresh(job, cache.key(base, job)) else "to be run"
        clock = "" if seconds is None else f"{seconds:.1f} s"
        settings = ", ".join(f"{k}={v!r}" for k, v in plan.declared(job.source).items() if k != "edition")
        print(f"{job.name:<{width}}  {state:<10}  {clock:>8}  {settings}")
    return 0


def _doctor(base: Path, options: argparse.Namespace) -> int:
    """Print every need of an edition; the status is 1 when one is missing."""
    from .. import editions
    from . import plan

    edition = plan.find_edition(base, options.edition)
    try:
        rows = editions.doctor(edition.value)
    except (ValueError, OSError) as error:
        raise Refused(error) from error
    width = max((len(need) for need, _, _ in rows), default=0)
    for need, state, how in rows:
        print(f"{state:<8} {need:<{width}}  {'' if state == 'found' else how}".rstrip())
    return int(any(state != "found" for _, state, _ in rows))


def _study(base: Path, options: argparse.Namespace) -> int:
    """Write the pages of the study, or read a folder of answers."""
    from . import study

    first, *more = options.words
    if first == "read" and len(more) == 1:
        return study.read(Path(more[0]), options.encoder)
    if first == "read" or more:
        raise Refused("`study OUT` writes the pages to a folder, `study read FOLDER` reads a folder of answers")
    return study.build(base, options.edition, Path(first), options.contact)


def _invert(base: Path, options: argparse.Namespace) -> int:
    """Train an inverter, or the base that inverters steer."""
    from ..invert.options import parse

    first, *more = options.words or [""]
    if first != "train":
        raise Refused("`invert train --model M --tap T` trains an inverter, `invert train base` what it steers")
    parse(more)  # what is wrong with the words is said before anything is loaded
    from ..invert import train

    try:
        return train.main(more)
    except (ValueError, KeyError, RuntimeError, FloatingPointError) as error:
        raise Refused(error.args[0] if error.args else error) from error


def _clean(base: Path, options: argparse.Namespace) -> int:
    """Delete runs."""
    import shutil

    from ..names import unknown

    runs = base / "runs"
    if options.edition and not (runs / options.edition).is_dir():
        raise Refused(unknown("run", options.edition, [p.name for p in runs.glob("*") if p.is_dir()]))
    shutil.rmtree(runs / options.edition if options.edition else runs, ignore_errors=True)
    return 0


COMMANDS = {"run": _run, "build": _build, "serve": _serve, "list": _list, "doctor": _doctor, "study": _study,
            "invert": _invert, "clean": _clean}  # fmt: skip
