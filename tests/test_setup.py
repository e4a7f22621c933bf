"""The set-up: a light import, whole pins, and notebooks committed as they should be."""

import json
import re
import subprocess
import sys
import tomllib

import jupytext
import pytest

from sightglass.names import ROOT
from sightglass.press import build, plan

NOTEBOOKS = plan.notebooks(ROOT)


def test_import_is_quick_and_loads_no_torch():
    code = "import sys, time; t = time.time(); import sightglass; print(time.time() - t, 'torch' in sys.modules)"
    told = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout for _ in range(2)]
    assert min(float(t.split()[0]) for t in told) < 1
    assert told[0].split()[1] == "False"


def test_unknown_name_of_the_package_is_answered():
    import sightglass

    with pytest.raises(AttributeError, match="sightglass has no 'modle'; it has .*model"):
        _ = sightglass.modle


def test_every_requirement_is_pinned_without_an_address():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    wrong = [p for p in pins if not re.fullmatch(r"[\w.-]+==[\w.]+( ; sys_platform == \"linux\")?", p)]
    assert not wrong and len(pins) > 100


def test_every_dependency_has_a_pin():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + sum(project["optional-dependencies"].values(), [])
    pins = re.findall(r"(?m)^([\w.-]+)==", (ROOT / "requirements.txt").read_text())
    known = {re.sub(r"[-_.]+", "-", p).lower() for p in pins}
    names = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", w)[0]).lower() for w in wanted}
    assert names <= known


def test_every_folder_of_the_package_is_installed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = [p.parent.relative_to(ROOT / "lib").parts for p in (ROOT / "lib").rglob("__init__.py")]
    assert sorted(listed) == sorted(".".join(["sightglass", *f]) for f in folders)


def test_every_notebook_is_a_page():
    assert set(NOTEBOOKS) <= set(build.pages(ROOT))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_has_an_equal_pair_without_outputs(name):
    path = NOTEBOOKS[name].with_suffix(".ipynb")
    assert path.is_file(), f"{path.name} is missing; `make pair` writes it"
    pair = json.loads(path.read_text())
    assert not any(c.get("outputs") or c.get("execution_count") for c in pair["cells"])
    assert pair["metadata"]["kernelspec"]["name"] == "python3", "papermill needs the kernel's name"
    cells = [
        [(c.cell_type, c.source, c.metadata.get("tags")) for c in jupytext.read(p).cells]
        for p in (path, NOTEBOOKS[name])
    ]
    assert cells[0] == cells[1], f"{name}: the .py and the .ipynb differ; `make pair` writes the .ipynb anew"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_starts_with_the_common_parameters(name):
    known = plan.declared(NOTEBOOKS[name])
    assert list(known)[:3] == ["edition", "seed", "device"]
    assert (known["edition"], known["device"]) == ("world", "auto")
