"""A worker of the press: a process of its own that runs one notebook after another.

It reads jobs as lines of JSON from its standard input and answers each with lines of JSON. When its input
ends, the press that started it is gone, and the worker ends itself and its kernel.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from . import cache
from .files import write
from .plan import Edition, Job

Report = Callable[..., None]


def execute(job: Job, report: Report, *, key: str, force: bool = False) -> None:
    """Run one notebook unless another press has just done so; one at a time holds its lock."""
    from filelock import FileLock, Timeout

    lock = FileLock(job.keep(".lock"))
    job.output.parent.mkdir(parents=True, exist_ok=True)
    job.keep(".lock").parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report(state="waiting")
        lock.acquire()
    try:
        if cache.fresh(job, key) and not force:
            report(state="kept")
        else:
            job.keep(".json").unlink(missing_ok=True)
            _run(job, report, key)
    finally:
        lock.release()


def _run(job: Job, report: Report, key: str) -> None:
    """Execute into a temporary file, then put notebook and record in place."""
    import nbformat

    start = time.time()
    partial = job.keep(".partial.ipynb")
    try:
        notebook = _papermill(job, partial, report)
    except Exception as error:
        failed = job.keep(".failed.ipynb")
        if partial.is_file():
            os.replace(partial, failed)
        report(state="failed", seconds=time.time() - start, error=_sentence(error), where=str(failed))
        return
    write(job.output, nbformat.writes(_tidy(notebook)))
    partial.unlink(missing_ok=True)
    job.keep(".failed.ipynb").unlink(missing_ok=True)
    seconds = round(time.time() - start, 2)
    write(job.keep(".json"), json.dumps({"key": key, "seconds": seconds, "parameters": job.parameters}))
    report(state="done", seconds=seconds)


def _papermill(job: Job, partial: Path, report: Report) -> Any:
    """Run the notebook through papermill, from the folder where its output will lie."""
    import jupytext
    import papermill

    notebook = jupytext.read(job.source)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    _watch(report)
    folder = job.output.parent.resolve()
    settings = {"engine_name": "press", "kernel_name": "python3", "progress_bar": False, "cwd": folder}
    return papermill.execute_notebook(notebook, partial.resolve(), job.parameters, **settings)


def _watch(report: Report) -> None:
    """Register a papermill engine that reports each cell as it starts."""
    from papermill.engines import NBClientEngine, papermill_engines

    class Press(NBClientEngine):
        """The usual engine, with its steps told."""

        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **settings):
            """Run the cells in order and report the number of each one."""
            total, start = len(nb_man.nb.cells), nb_man.cell_start

            def told(cell, cell_index=None, **more):
                report(state="running", cell=(cell_index or 0) + 1, of=total)
                return start(cell, cell_index, **more)

            nb_man.cell_start = told
            return super().execute_managed_notebook(nb_man, kernel_name, **settings)

    papermill_engines.register("press", Press)


def _tidy(notebook: Any) -> Any:
    """Hide papermill's injected cell on the page and drop its paths and times."""
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags and "remove-cell" not in tags:
            cell.metadata["tags"] = [*tags, "remove-cell"]
    return notebook


def _sentence(error: Exception) -> str:
    """Say in which cell a notebook failed and why, in one or two lines."""
    if hasattr(error, "exec_count"):
        line = (error.source.strip().splitlines() or [""])[0]
        return f"cell [{error.exec_count}] `{line}`\n{error.ename}: {error.evalue}"
    return f"{type(error).__name__}: {str(error).strip() or 'no reason given'}"


def _end_with_press(jobs: SimpleQueue) -> None:
    """Pass on jobs from the standard input; when it closes, kill the kernel and end."""
    import psutil

    for line in sys.stdin:
        jobs.put(json.loads(line))
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(0)


def pack(job: Job, key: str, force: bool) -> str:
    """Write a job as one line of JSON."""
    return json.dumps({"job": asdict(job), "key": key, "force": force}, default=str)


def unpack(job: dict) -> Job:
    """Rebuild a job from its message, in which paths are texts."""
    edition = Edition(**{**job["edition"], "file": Path(job["edition"]["file"])})
    return Job(**{**job, "source": Path(job["source"]), "run": Path(job["run"]), "edition": edition})


def main() -> None:
    """Run jobs from the standard input until it closes."""
    jobs: SimpleQueue = SimpleQueue()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    threading.Thread(target=_end_with_press, args=(jobs,), daemon=True).start()
    while True:
        message = jobs.get()
        job = unpack(message["job"])

        def report(**facts: Any) -> None:
            answers.write(json.dumps(facts) + "\n")

        try:
            execute(job, report, key=message["key"], force=message["force"])
        except Exception as error:
            report(state="failed", seconds=0, error=_sentence(error), where="")


if __name__ == "__main__":
    main()
