"""The press: what it runs, what it leaves alone, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import add_notebook, make_book

from sightglass.press import build, cache, cli, files, imports, plan, progress, run

KILL = "import os\nos.kill(os.getppid(), 9)"
PRESS = [sys.executable, "-m", "sightglass", "--root"]


def press(root: Path, *words: str) -> subprocess.CompletedProcess:
    """Run one command of the press in a process of its own."""
    return subprocess.run([*PRESS, str(root), *words], capture_output=True, text=True, timeout=120)


def printed(path: Path) -> str:
    """Return everything that an executed notebook printed."""
    cells = json.loads(path.read_text())["cells"]
    outputs = [o for c in cells if c["cell_type"] == "code" for o in c["outputs"]]
    return "".join("".join(o.get("text", [])) for o in outputs)


def wait_for(condition, seconds: float = 60) -> None:
    """Wait until something is so."""
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def pressed(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess, subprocess.CompletedProcess]:
    """Run a book with a failing notebook, then one of its notebooks with a parameter."""
    tell = "import os\nprint(steps, os.getcwd(), os.environ['OMP_NUM_THREADS'])"
    codes = {"a/good": tell, "a/bad": "seed\n1 / 0", "b/fine": "print('fine')", "b/gone": KILL}
    root = make_book(tmp_path_factory.mktemp("pressed"), codes)
    return root, press(root, "run", "world"), press(root, "run", "world", "-p", "steps=50", "good")


def test_failed_notebook_stops_no_other(pressed):
    root, first, _ = pressed
    assert first.returncode == 1
    assert "2 run, 0 unchanged, 2 failed" in first.stdout
    assert "failed: a/bad\n    cell [2] `seed`\n    ZeroDivisionError: division by zero" in first.stdout
    assert (root / "runs/world/.press/a/bad.failed.ipynb").is_file()
    assert not (root / "runs/world/a/bad.ipynb").exists()
    assert printed(root / "runs/world/b/fine.ipynb") == "fine\n"


def test_worker_that_dies_costs_its_own_notebook_only(pressed):
    assert "failed: b/gone\n    its worker process ended with status -9" in pressed[1].stdout


def test_notebook_runs_where_its_output_lies_with_one_thread(pressed):
    root = pressed[0]
    assert printed(root / "runs/world/a/good.ipynb") == f"3 {root}/runs/world/a 1\n"


def test_parameters_go_to_a_run_of_their_own(pressed):
    root, _, second = pressed
    assert second.returncode == 0 and "runs/world+steps=50" in second.stdout
    path = root / "runs/world+steps=50/a/good.ipynb"
    assert printed(path).startswith("50 ") and printed(root / "runs/world/a/good.ipynb").startswith("3 ")
    injected = [c for c in json.loads(path.read_text())["cells"] if "steps = 50" in "".join(c["source"])]
    assert injected[0]["metadata"]["tags"] == ["injected-parameters", "remove-cell"]


def test_list_says_what_is_up_to_date(pressed, capsys):
    assert cli.main(["--root", str(pressed[0]), "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "up to date" in line] == ["a/good", "b/fine"]
    assert [line.split()[0] for line in lines if "to be run" in line] == ["a/bad", "b/gone"]


def test_killed_press_leaves_no_process_and_resumes(tmp_path):
    flag, mark, count = tmp_path / "go", tmp_path / "pid", tmp_path / "count"
    slow = f"""import os, pathlib, time
pathlib.Path({str(mark)!r}).write_text(str(os.getpid()))
while not pathlib.Path({str(flag)!r}).exists():
    time.sleep(0.05)"""
    root = make_book(tmp_path / "r", {"a/fast": f"print(1, file=open({str(count)!r}, 'a'))", "a/slow": slow})
    first = subprocess.Popen([*PRESS, str(root), "run", "world", "--jobs", "2"], stdout=subprocess.DEVNULL)
    done = root / "runs/world/.press/a/fast.json"
    wait_for(lambda: mark.exists() and mark.read_text() and done.exists())
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait_for(lambda: not os.path.exists(f"/proc/{mark.read_text()}"), 10)
    assert not (root / "runs/world/a/slow.ipynb").exists()
    flag.touch()
    second = press(root, "run", "world")
    assert second.returncode == 0 and "1 run, 1 unchanged, 0 failed" in second.stdout
    assert count.read_text() == "1\n"


def test_two_presses_at_once_run_a_notebook_once(tmp_path):
    count = tmp_path / "count"
    code = f"import time\nprint(1, file=open({str(count)!r}, 'a'))\ntime.sleep(1)"
    root = make_book(tmp_path / "r", {"a/one": code})
    both = [subprocess.Popen([*PRESS, str(root), "run", "world"], stdout=subprocess.PIPE) for _ in range(2)]
    told = sorted(p.communicate(timeout=60)[0].decode().splitlines()[-2] for p in both)
    assert [p.returncode for p in both] == [0, 0]
    assert told == ["0 run, 1 unchanged, 0 failed", "1 run, 0 unchanged, 0 failed"]
    assert count.read_text() == "1\n"


def test_site_is_built_once_and_a_warning_fails_it(book, capsys):
    assert cli.main(["--root", str(book), "build"]) == 2
    assert "not run yet, or failed: a/one, b/two" in capsys.readouterr().err
    assert press(book, "run", "world").returncode == 0
    first = press(book, "build")
    assert first.returncode == 0, first.stderr
    index = book / "runs/world/_html/index.html"
    assert index.is_file() and (index.parent / "_static/mathjax/tex-svg.js").stat().st_size > 1e6
    assert "## Times" in (book / "runs/world/results.md").read_text()
    second = press(book, "build")
    assert second.returncode == 0 and second.stdout.startswith("unchanged")
    (book / "book/index.md").write_text("# A tiny book\n\n{ref}`nowhere`\n")
    third = press(book, "build")
    assert third.returncode == 1 and "undefined label: 'nowhere'" in third.stderr
    assert "results page" in index.read_text()  # the last good site stays


REFUSALS = {
    "wrld": "unknown edition 'wrld': did you mean world?",
    "mine.yaml": "mine.yaml; shipped editions are",
    "world c": "unknown part 'c'",
    "world b/tow": "did you mean b/two",
    "world -p stps=3": "unknown parameter 'stps': did you mean steps?",
    "world -p steps=many": "parameter 'steps' is a number (now 3), not 'many'",
    "world -p steps": "isn't of the form name=value",
    "world -p steps=[1": "the value isn't readable",
    "world -p edition=other": "the edition is the word after `run`",
    "world --jobs 0": "--jobs must be 1 or more, not 0",
}


@pytest.mark.parametrize("words", REFUSALS)
def test_bad_request_is_refused_before_anything_runs(book, capsys, words):
    assert cli.main(["--root", str(book), "run", *words.split()]) == 2
    told = capsys.readouterr().err
    assert REFUSALS[words] in told and told.count("\n") == 1
    assert not (book / "runs").exists()


@pytest.mark.parametrize("trouble", ["No space left on device", "Not a directory"])
def test_runs_that_cannot_be_written_are_told_in_one_line(book, capsys, monkeypatch, trouble):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    if trouble == "Not a directory":
        (book / "runs").write_text("in the way")
    else:
        monkeypatch.setattr(Path, "write_bytes", full)
    assert cli.main(["--root", str(book), "run", "world"]) == 2
    told = capsys.readouterr().err
    assert trouble in told and "runs/world" in told and told.count("\n") == 1


def test_computed_parameter_is_refused(book, capsys):
    path = book / "book/a/one.py"
    path.write_text(path.read_text().replace("steps = 3", "steps = seed * 2"))
    assert cli.main(["--root", str(book), "run", "world"]) == 2
    assert "`steps = seed * 2` must be a plain value" in capsys.readouterr().err


@pytest.fixture
def library(book) -> Path:
    """Give the tiny book a library whose packages import each other in every way."""
    lazy = "_NAMES = {'tool': ('deep', 'tool')}\ndef __getattr__(name):\n    ...\n"
    texts = {
        "__init__": lazy,
        "left": "from . import shared",
        "right": "",
        "shared": "x = 1",
        "deep/__init__": lazy,
    }
    for name, text in {**texts, "deep/inner": "from ..left import y", "deep/deep": ""}.items():
        path = book / f"lib/{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return book


USES = {
    "from sightglass import left": {"left", "shared"},
    "import sightglass.right as r": {"right"},
    "def f():\n    from sightglass.deep.inner import z": {"deep/__init__", "deep/inner", "left", "shared"},
    "import sightglass as sg\nsg.tool()": {"deep/__init__"},
    "import sightglass as sg\nsg.left.shared": {"left", "shared"},
    "from sightglass.deep import tool": {"deep/__init__", "deep/deep"},
    "import numpy": set(),
}


@pytest.mark.parametrize("code", USES)
def test_imports_are_followed(library, code):
    path = add_notebook(library, "a/one", code)
    found = {p.relative_to(library / "lib").with_suffix("").as_posix() for p in imports.needed(library / "lib", path)}
    assert found - {"__init__"} == USES[code]


def test_library_change_reruns_dependants_only(library):
    add_notebook(library, "a/one", "from sightglass import left")
    add_notebook(library, "b/two", "from sightglass import right")
    jobs = plan.plan(library, "world", [], [])
    before = [cache.key(library, j) for j in jobs]
    (library / "lib/shared.py").write_text("x = 22")
    after = [cache.key(library, j) for j in jobs]
    assert before[0] != after[0] and before[1] == after[1]


def test_key_knows_weights_parameters_and_own_rows(library):
    (library / "lib/show.py").write_text("")
    (library / "lib/zoo.py").write_text("")
    add_notebook(library, "a/one", "from sightglass import show, zoo")
    job = plan.plan(library, "world", ["a"], [])[0]
    keys = [cache.key(library, job)]
    (library / "data/weights").mkdir()
    (library / "data/weights/net.safetensors").write_bytes(b"1")
    keys.append(cache.key(library, job))
    header, register = "id,paper,notebook,what,state\n", library / "data/exhibits.csv"
    register.write_text(header + "fig-a-1,a,one,x,planned\n")
    keys.append(cache.key(library, job))
    keys.append(cache.key(library, plan.plan(library, "world", ["a"], ["seed=7"])[0]))
    assert len(set(keys)) == 4
    register.write_text(header + "fig-a-1,a,one,x,shown\nfig-b-1,b,two,y,planned\n")
    assert cache.key(library, job) == keys[2]


def test_write_leaves_the_old_file_when_killed(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    files.write(path, "1")
    monkeypatch.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        files.write(path, "22")
    assert files.read_json(path) == 1


def test_pages_are_found_in_a_clone_below_a_hidden_folder(tmp_path):
    root = make_book(tmp_path / ".hidden", {"a/one": ""})
    build.gather(root, [], root / "runs/world")
    assert (root / "runs/world/index.md").is_file() and not (root / "runs/world/a/one.py").exists()


def test_removed_notebook_takes_its_output_along(book):
    job = plan.plan(book, "world", ["a"], [])[0]
    files.write(job.output, "{}")
    files.write(job.keep(".json"), '{"key": "k", "seconds": 1}')
    run.remove_orphans(book, job.run, {"a/one", "b/two"})
    assert job.output.exists()
    run.remove_orphans(book, job.run, {"b/two"})
    assert not job.output.exists() and not job.keep(".json").exists()


def test_summary_names_what_took_too_long():
    rows = {"a/one": {"name": "a/one", "state": "done", "seconds": 61.0}}
    assert run.summary(rows, long=60)[-1] == "over 60 s: a/one took 61 s"
    assert run.summary(rows, long=None) == ["1 run, 0 unchanged, 0 failed"]


def test_table_is_redrawn_on_a_terminal_and_told_once_elsewhere(capsys):
    rows = {"a/one": {"name": "a/one", "state": "running", "start": time.time(), "cell": 2, "of": 9}}
    for live in (True, False):
        show = progress.table(["a/one"], live=live)
        show(rows)
        show({"a/one": {"name": "a/one", "state": "done", "seconds": 1.25}})
        show({"a/one": {"name": "a/one", "state": "done", "seconds": 1.25}})
        told = capsys.readouterr().out
        assert told.count("1.2 s  done") == (2 if live else 1)
        assert told.count("2/9") == told.count("\x1b[1A") / 2 == (1 if live else 0)


def test_clean_deletes_the_named_run_only(book, capsys):
    for name in ("world", "mine"):
        (book / "runs" / name).mkdir(parents=True)
    assert cli.main(["--root", str(book), "clean", "mine"]) == 0
    assert [p.name for p in (book / "runs").iterdir()] == ["world"]
    assert cli.main(["--root", str(book), "clean", "wolrd"]) == 2
    assert "did you mean world" in capsys.readouterr().err


def test_doctor_prints_what_is_missing_and_how_to_get_it(book, capsys, monkeypatch):
    from sightglass import editions

    rows = [("images", "found", "24 classes"), ("network a", "missing", "make zoo trains it")]
    monkeypatch.setattr(editions, "doctor", lambda name: rows)
    assert cli.main(["--root", str(book), "doctor"]) == 1
    assert capsys.readouterr().out.splitlines() == ["found    images", "missing  network a  make zoo trains it"]


def test_serve_refuses_without_a_site_or_a_port(book, capsys):
    assert cli.main(["--root", str(book), "serve"]) == 2
    assert "no site yet; `python -m sightglass build world` makes it" in capsys.readouterr().err
    (book / "runs/world/_html").mkdir(parents=True)
    assert cli.main(["--root", str(book), "serve", "--port", "99999"]) == 2
    assert "port 99999 can't be used" in capsys.readouterr().err


def test_edition_file_with_a_mistake_is_refused(book, capsys):
    path = book / "mine.yaml"
    path.write_text("imagse: {source: world}\n")
    assert cli.main(["--root", str(book), "run", str(path)]) == 2
    assert "imagse" in capsys.readouterr().err
