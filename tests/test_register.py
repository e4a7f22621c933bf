"""Register of exhibits, published numbers and claims agree with each other and with the notebooks."""

import ast
import math
import re
from collections import Counter

import pytest

from sightglass.files import records
from sightglass.names import DATA, ROOT

PAPERS = ("vital", "featinv", "linear", "ierf")
OWN_PARTS = ("world", "together")
# how far the papers count, and what they name by letters
NUMBERED = {
    "fig-vital": 44, "tab-vital": 6, "alg-vital": 1,
    "fig-featinv": 6, "tab-featinv": 2, "alg-featinv": 1,
    "fig-le": 15, "tab-le": 15, "alg-le": 1,
    "fig-ierf": 26, "tab-ierf": 4,
}
LETTERED = {"tab-featinv-a2", "fig-featinv-a3", "fig-featinv-a4", "fig-featinv-b", "fig-featinv-c1"}
OWN = {"tab-vital-x1", "fig-featinv-x1", "tab-ierf-x1"}
CELLS = {
    "tab-vital-1": 90, "tab-vital-2": 170, "tab-vital-3": 6, "tab-vital-4": 16, "tab-vital-5": 20,
    "tab-vital-6": 30, "tab-featinv-1": 24, "tab-featinv-2": 18,
    "tab-le-1": 30, "tab-le-2": 38, "tab-le-3": 10, "tab-le-4": 10, "tab-le-5": 10, "tab-le-6": 6,
    "tab-le-7": 2, "tab-le-8": 12, "tab-le-9": 20, "tab-le-10": 28, "tab-le-11": 28, "tab-le-12": 10,
    "tab-le-13": 12, "tab-le-14": 6, "tab-le-15": 12,
    "tab-ierf-1": 170, "tab-ierf-2": 73, "tab-ierf-3": 44, "tab-ierf-4": 30,
}


REGISTER = {row["id"]: row for row in records(DATA / "exhibits.csv")}
PUBLISHED = {paper: records(DATA / f"published/{paper}.csv") for paper in PAPERS}
CLAIMS = records(DATA / "claims.yaml")


def literal(node):
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def calls(name, position):
    """List (notebook, string argument) of every call of a function in the notebooks."""
    found = []
    for path in sorted((ROOT / "book").rglob("*.py")):
        # lines such as %matplotlib belong to notebooks and not to Python
        source = re.sub(r"(?m)^\s*[%!].*$", "", path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call) or len(node.args) <= position:
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called == name:
                notebook = path.relative_to(ROOT / "book").with_suffix("").as_posix()
                found.append((notebook, literal(node.args[position])))
    return found


def makers(ids):
    """Map ids of the register to the path of the notebook that makes them."""
    return {id: f"{REGISTER[id]['paper']}/{REGISTER[id]['notebook']}" for id in ids}


def cell(exhibit, row, column):
    """Read one published number, which must exist once."""
    found = [r for rows in PUBLISHED.values() for r in rows
             if (r["exhibit"], r["row"], r["column"]) == (exhibit, row, column)]
    assert len(found) == 1, (exhibit, row, column)
    return float(found[0]["value"])


def table(exhibit):
    """Return {(row, column): value} of a published table, without numbers that the text alone gives."""
    return {(r["row"], r["column"]): float(r["value"]) for rows in PUBLISHED.values() for r in rows
            if r["exhibit"] == exhibit and "not a cell" not in r["note"]}


def test_register_lists_every_exhibit_of_the_papers():
    rows = records(DATA / "exhibits.csv")
    assert list(rows[0]) == ["id", "paper", "notebook", "what", "state"]
    assert max(Counter(row["id"] for row in rows).values()) == 1
    papers = {id for id, row in REGISTER.items() if not re.search(r"-x\d+$", id)}
    numbered = {f"{kind}-{i}" for kind, last in NUMBERED.items() for i in range(1, last + 1)}
    assert papers == numbered | LETTERED
    assert len(papers | OWN) == 129 and OWN <= set(REGISTER)


@pytest.mark.parametrize("row", REGISTER.values(), ids=REGISTER)
def test_register_rows_are_well_formed(row):
    prefix = {"linear": "le"}.get(row["paper"], row["paper"])
    assert row["paper"] in PAPERS + OWN_PARTS
    assert re.fullmatch(rf"(fig|tab|alg)-{prefix}-(\d+|[abc]\d*|x\d+)", row["id"])
    assert row["state"] in ("planned", "shown")
    assert re.fullmatch(r"[a-z0-9-]+", row["notebook"]) and row["what"]


def test_shown_exhibits_are_shown_once_by_their_notebook():
    expected = makers(id for id, row in REGISTER.items() if row["state"] == "shown")
    shown = calls("show", 1)
    assert all(id for _, id in shown), "show(...) needs its id as a plain string"
    assert sorted((id, notebook) for notebook, id in shown) == sorted(expected.items())


@pytest.mark.parametrize("paper", PAPERS)
def test_published_numbers_are_well_formed(paper):
    rows = PUBLISHED[paper]
    assert list(rows[0]) == ["exhibit", "row", "column", "value", "unit", "note"]
    for row in rows:
        assert REGISTER[row["exhibit"]]["paper"] == paper, row
        assert row["row"] and row["column"] and math.isfinite(float(row["value"])), row
        assert row["unit"] in ("", "%", "s", "h", "people", "concepts", "1-3"), row
        assert row["unit"] != "%" or 0 <= float(row["value"]) <= 100, row
    places = Counter((row["exhibit"], row["row"], row["column"]) for row in rows)
    assert max(places.values()) == 1, places.most_common(1)


def test_published_tables_are_complete():
    assert {id: len(table(id)) for id in CELLS} == CELLS
    # the supplement with table A.2 of FeatInv is not public
    tables = {id for id in REGISTER if re.fullmatch(r"tab-\w+-\d+", id)}
    assert tables == set(CELLS)


def test_published_tables_agree_where_they_print_the_same_number():
    extended = table("tab-vital-2")
    setup = {"MACO": " / r224", "Fourier": " / r224", "DeepInversion": " / bs64"}
    noted = {r["row"] for r in PUBLISHED["vital"] if re.match("same (four )?numbers", r["note"])}
    assert len(noted) == 5
    for (row, column), value in table("tab-vital-1").items():
        twin = row + setup.get(row.split(" / ")[1], ""), column.replace("FID", "FID own")
        assert (twin not in extended) if row in noted else extended[twin] == value, (row, column)
    for column in ("accuracy", "FID", "zero-shot top-1", "zero-shot top-5"):
        vital = cell("tab-vital-1", "ResNet50 / VITAL", column)
        assert vital == cell("tab-vital-5", "50 references", column)
        assert vital == cell("tab-vital-6", "ImageNet / train references", column)
    for network in ("ResNet50", "ConvNeXt", "SwinV2"):
        for top in ("top-5", "top-1"):
            spatial = cell("tab-featinv-1", f"spatial / {network}", f"{top} match")
            assert cell("tab-featinv-2", network, f"{network} {top}") == spatial
    for (_, column), value in table("tab-le-3").items():
        assert cell("tab-le-9", "Optim", column) == value
    for method in ("LE(Label)", "LE(SigLIP)"):
        assert cell("tab-le-8", "greedy search", method) == cell("tab-le-2", "ResNet50", method)
        assert cell("tab-le-10", "layer4", f"{method} length") == cell("tab-le-4", "ResNet50", method)
    for (row, column), value in table("tab-ierf-4").items():
        assert row != "clamped mean" or cell("tab-ierf-1", "SRD-input", column) == value


@pytest.mark.parametrize("beta", ["0.0003", "0.002", "0.02", "0.1", "0.5"])
def test_top_impact_of_all_neurons_is_the_mean_over_layers(beta):
    sizes = {"conv1": 64, "layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048}
    mean = sum(n * cell("tab-le-1", beta, layer) for layer, n in sizes.items()) / sum(sizes.values())
    assert mean == pytest.approx(cell("tab-le-1", beta, "all"), abs=0.01)


def test_claims_are_well_formed():
    for paper in PAPERS:
        ids = [claim["id"] for claim in CLAIMS if claim["paper"] == paper]
        assert ids == [f"{paper}-{i}" for i in range(1, len(ids) + 1)] and len(ids) >= 10
    for claim in CLAIMS:
        assert list(claim) == ["id", "paper", "claim", "exhibit", "criterion"], claim
        assert REGISTER[claim["exhibit"]]["paper"] == claim["paper"], claim
        assert claim["claim"].endswith(".") and len(claim["criterion"]) > 20, claim


def test_claims_of_shown_exhibits_are_decided_once_by_their_notebook():
    made = makers(id for id, row in REGISTER.items() if row["state"] == "shown")
    expected = {claim["id"]: made[claim["exhibit"]] for claim in CLAIMS if claim["exhibit"] in made}
    decided = calls("claim", 0)
    assert all(id for _, id in decided), "claim(...) needs its id as a plain string"
    assert sorted((id, notebook) for notebook, id in decided) == sorted(expected.items())
