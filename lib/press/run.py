"""Run jobs in parallel worker processes, heaviest first, and tell what became of each."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from . import cache, progress
from .files import inside, read_json, write
from .plan import Job
from .work import pack

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
NO_BARS = {"TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore:IProgress not found"}  # pages are for reading
LONG = 60  # seconds that a notebook of the world edition may take

Rows = dict[str, dict[str, Any]]


def run(root: Path, jobs: list[Job], *, workers: int | None = None, force: bool = False) -> Rows:
    """Run the jobs that aren't up to date and return one row of facts for each."""
    keys = {j.name: cache.key(root, j) for j in jobs}
    rows = {j.name: _row(j, kept=cache.fresh(j, keys[j.name]) and not force) for j in jobs}
    waiting = [j for j in jobs if rows[j.name]["state"] == "queued"]
    show = progress.table(list(rows))
    show(rows)
    if waiting:
        _drive(waiting, keys, rows, show, workers=workers or os.cpu_count() or 1, force=force)
    return rows


def _row(job: Job, *, kept: bool) -> dict[str, Any]:
    """Return the first row of facts about a job."""
    seconds = cache.record(job).get("seconds")
    return {"name": job.name, "state": "kept" if kept else "queued", "seconds": seconds}


def _drive(waiting: list[Job], keys: dict, rows: Rows, show: Any, *, workers: int, force: bool) -> None:
    """Start the workers, follow their answers, and leave none behind."""
    jobs: SimpleQueue = SimpleQueue()
    answers: SimpleQueue = SimpleQueue()
    # a notebook that never ran may be the heaviest of all
    for job in sorted(waiting, key=lambda j: rows[j.name]["seconds"] or float("inf"), reverse=True):
        jobs.put((job, pack(job, keys[job.name], force)))
    run_folder, crew = waiting[0].run, []
    environment, log = _environment(run_folder), inside(run_folder) / "worker.log"
    for _ in range(min(workers, len(waiting))):
        threading.Thread(target=_feed, args=(jobs, answers, environment, log, crew), daemon=True).start()
    try:
        _follow(answers, rows, show, left=len(waiting))
    finally:
        _dismiss(jobs, crew)


def _dismiss(jobs: SimpleQueue, crew: list[subprocess.Popen]) -> None:
    """Take back the jobs that are left and end every worker."""
    with contextlib.suppress(Empty):
        while True:
            jobs.get_nowait()
    for worker in crew:
        with contextlib.suppress(OSError):
            worker.stdin.close()
        worker.wait()


def _environment(run: Path) -> dict[str, str]:
    """Return a worker's environment: one thread each, and `python3` as this very interpreter."""
    arguments = ["-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False"]
    spec = {"argv": [sys.executable, *arguments], "display_name": "Python 3", "language": "python"}
    folder = inside(run).resolve() / "jupyter"
    write(folder / "kernels/python3/kernel.json", json.dumps(spec))
    paths = os.pathsep.join(filter(None, [str(folder), os.environ.get("JUPYTER_PATH")]))
    return {**os.environ, **ONE_THREAD, **NO_BARS, "PYTHONHASHSEED": "0", "JUPYTER_PATH": paths}


def _feed(jobs: SimpleQueue, answers: SimpleQueue, environment: dict, log: Path, crew: list) -> None:
    """Give one worker job after job; a worker that dies costs its job and is replaced."""
    worker = None
    while True:
        try:
            job, message = jobs.get_nowait()
        except Empty:
            return
        if worker is None or worker.poll() is not None:
            worker = _hire(environment, log)
            crew.append(worker)
        for facts in _told(worker, message, log):
            answers.put({"name": job.name, **facts})


def _told(worker: subprocess.Popen, message: str, log: Path) -> Iterator[dict[str, Any]]:
    """Hand a job to a worker and yield its answers; the last one is `kept`, `done` or `failed`."""
    with contextlib.suppress(OSError):
        worker.stdin.write(message + "\n")
        worker.stdin.flush()
        for text in worker.stdout:
            yield (facts := json.loads(text))
            if facts["state"] in progress.OVER:
                return
    error = f"its worker process ended with status {worker.wait()}; was the memory full?"
    yield {"state": "failed", "error": error, "where": str(log)}


def _hire(environment: dict[str, str], log: Path) -> subprocess.Popen:
    """Start a worker in a session of its own, so that Ctrl-C reaches the press alone."""
    command = [sys.executable, "-m", "sightglass.press.work"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with log.open("a") as errors:
        return subprocess.Popen(command, env=environment, text=True, start_new_session=True, stderr=errors, **pipes)


def _follow(answers: SimpleQueue, rows: Rows, show: Any, *, left: int) -> None:
    """Take in the workers' answers until every job is over."""
    while left:
        try:
            facts = answers.get(timeout=0.5)
        except Empty:
            show(rows)
            continue
        row = rows[facts["name"]]
        if row["state"] in ("queued", "waiting"):
            row["start"] = time.time()
        row.update(facts)
        left -= row["state"] in progress.OVER
        show(rows)


def summary(rows: Rows, *, long: float | None = None) -> list[str]:
    """Return the closing lines: counts, failures with their reasons, and notebooks that took too long."""
    count = {s: sum(r["state"] == s for r in rows.values()) for s in progress.OVER}
    lines = [f"{count['done']} run, {count['kept']} unchanged, {count['failed']} failed"]
    for row in (r for r in rows.values() if r["state"] == "failed"):
        lines += [f"failed: {row['name']}", *(f"    {x}" for x in row["error"].splitlines())]
        lines += [f"    see {row['where']}"] if row["where"] else []
    for row in rows.values():
        if long and (row.get("seconds") or 0) > long:
            lines.append(f"over {long:.0f} s: {row['name']} took {row['seconds']:.0f} s")
    return lines


def remove_orphans(root: Path, run_folder: Path, names: set[str]) -> None:
    """Delete executed notebooks whose source has left the book."""
    kept = inside(run_folder)
    for path in sorted(kept.rglob("*.json")):
        name = path.relative_to(kept).with_suffix("").as_posix()
        if not name.startswith("jupyter/") and "key" in (read_json(path) or {}) and name not in names:
            (run_folder / f"{name}.ipynb").unlink(missing_ok=True)
            path.unlink()
