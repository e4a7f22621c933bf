"""The page of results says what the run did, no more."""

import json
from pathlib import Path

import pytest

from sightglass.press import files, plan, results

CLAIM = "- {id: %s, paper: vital, claim: It is so., exhibit: %s, criterion: it is measured}\n"


@pytest.fixture
def run(book) -> Path:
    """Give a tiny book whose first notebook shows a table and decides a claim."""
    data = book / "data"
    (data / "claims.yaml").write_text(CLAIM % ("vital-1", "tab-vital-1") + CLAIM % ("vital-12", "fig-vital-2"))
    rows = [
        "id,paper,notebook,what,state",
        "tab-vital-1,vital,one,A | table,shown",
        "fig-vital-2,vital,two,B,planned",
    ]
    (data / "exhibits.csv").write_text("\n".join(rows))
    (data / "published").mkdir()
    (data / "published/vital.csv").write_text("exhibit,row,column,value,unit,note\ntab-vital-1,net,score,0.46,%,\n")
    source = book / "book/a/one.py"
    source.write_text(source.read_text() + "claim('vital-1', holds=False, because='')\n")
    text = ":::{table} Caption\n:name: tab-vital-1\n:::"
    cell = {"cell_type": "code", "outputs": [{"data": {"text/markdown": text.splitlines(True)}}]}
    home = book / "runs/world/a"
    files.write(home / "one.ipynb", json.dumps({"cells": [cell]}))
    files.write(book / "runs/world/.press/a/one.json", '{"key": "k", "seconds": 12.34}')
    decided = [{"id": n, "holds": False, "because": "0.3 < 0.4"} for n in ("vital-1", "vital-12")]
    files.write(home / "_claims.json", json.dumps(decided))
    files.write(home / "_figures/tab-vital-1.csv", "row,score\nnet,0.4711\n")
    return book


def test_page_holds_claims_exhibits_times_and_versions(run):
    page = results.page(run, plan.plan(run, "world", ["a/one"], []))
    assert "| It is so. | **not held** | 0.3 < 0.4 | {numref}`tab-vital-1` |" in page
    assert "| VITAL | 0 | 1 | 1 |" in page  # vital-12 is in the ledger, but no notebook decides it any more
    assert "| {numref}`tab-vital-1` | A \\| table | [](/a/one.ipynb) | not run |" in page
    assert "1 of 2 are shown" in page and "| `fig-vital-2` | B |" in page
    assert "| net | score | 0.46 % |" in page and "| net | 0.4711 |" in page
    assert "| [](/a/one.ipynb) | 12.3 |" in page
    assert "| python | 3." in page


def test_page_names_other_editions_that_show_an_exhibit(run):
    for name in ("mine", "world+steps=5"):
        files.write(run / f"runs/{name}/a/_figures/tab-vital-1.csv", "")
        files.write(run / f"runs/{name}/.press/a/one.json", "{}")
    page = results.page(run, plan.plan(run, "world", ["a/one"], []))
    assert "[](/a/one.ipynb) | mine |" in page
