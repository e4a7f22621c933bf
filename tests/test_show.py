"""Figures, tables and claims: what is displayed, what is saved, and which mistakes are refused."""

import json
import sys
import threading
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sightglass import published, tables
from sightglass.names import unknown
from sightglass.show import claim, show

module = sys.modules["sightglass.show"]  # the package's own attribute `show` may be the function


CLAIMS = """
- {id: vital-7, claim: 'Fifty  images are enough.'}
- {id: le-1, claim: x}
"""
PUBLISHED = """exhibit,row,column,value,unit,note
tab-vital-5,5,accuracy,99.40,%,
tab-vital-5,5,FID,40.30,,
tab-vital-5,50,accuracy,99.90,%,best
tab-vital-5,50,FID,-,,
"""


@pytest.fixture(autouse=True)
def run(monkeypatch, tmp_path):
    """Make a working folder with a small register, ledger and published table; return what is displayed."""
    data = tmp_path / "data"
    (data / "published").mkdir(parents=True)
    (data / "exhibits.csv").write_text("id,paper\nfig-vital-3,vital\ntab-vital-5,vital\nalg-vital-1,vital\n")
    (data / "claims.yaml").write_text(CLAIMS)
    (data / "published" / "vital.csv").write_text(PUBLISHED)
    shown = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "DATA", data)
    monkeypatch.setattr(published, "DATA", data)
    monkeypatch.setattr(module, "emit", shown.append)
    module.register.cache_clear()
    module.claims.cache_clear()
    yield shown
    module.register.cache_clear()
    module.claims.cache_clear()
    plt.close("all")


class Drawing:
    """What show needs of a drawing, such as a concept graph."""

    def to_figure(self):
        return plt.figure(figsize=(2, 1))

    def to_svg(self, key, *, alt):
        return f'<svg id="{key}" aria-label="{alt}"></svg>'

    def to_json(self):
        return '{"nodes": []}'


def test_a_drawing_is_shown_as_svg_and_saved_in_three_forms(run, tmp_path):
    show(Drawing(), "fig-vital-3", "A graph.", alt="Two dots and a line.")
    svg = '<svg id="fig-vital-3" aria-label="Two dots and a line."></svg>'
    assert (tmp_path / "_figures/fig-vital-3.svg").read_text() == svg and svg in run[0]["text/html"]
    assert json.loads((tmp_path / "_figures/fig-vital-3.json").read_text()) == {"nodes": []}
    with Image.open(tmp_path / "_figures/fig-vital-3.png") as picture:
        assert picture.width == 2 * picture.height
    page = run[0]["text/markdown"]
    assert "A graph." in page and ":file: _figures/fig-vital-3.svg" in page and page.endswith(":::")


def test_errors_stand_beside_their_values():
    frame = pd.DataFrame({"row": ["a", "b"], "x, paper": ["0.12", "–"], "x, here": [0.4691, 0.2],
                          "x ±, paper": ["0.002", "–"], "x ±, here": [0.00651, np.nan], "y ±": [1, 2]})  # fmt: skip
    text = tables.tidy(frame)
    assert text.head == ["row", "x", "y ±"] and text.numeric == [False, True, True]
    assert [row[1].replace("\u00a0", " ") for row in text.rows] == ["0.469 ± 0.0065 (0.12 ± 0.002)", "0.200"]


def test_figure_is_saved_displayed_and_closed(run, tmp_path):
    fig = plt.figure(figsize=(8, 2))
    caption = "Both {cite:t}`gorgun2025` & `x`\n see {numref}`table one <tab-vital-5>`."
    show(fig, "fig-vital-3", caption, alt="Two <bars>.")
    assert Image.open(tmp_path / "_figures/fig-vital-3.png").size == (880, 220)
    assert not plt.get_fignums()
    bundle = run[0]
    assert "Both gorgun2025 &amp; <code>x</code> see table one." in bundle["text/html"]
    assert 'alt="Two &lt;bars&gt;."' in bundle["text/html"] and "base64," in bundle["text/html"]
    head = ":::{figure} _figures/fig-vital-3.png\n:name: fig-vital-3\n:alt: Two <bars>.\n\n"
    assert bundle["text/markdown"].startswith(head)
    assert "{cite:t}`gorgun2025`" in bundle["text/markdown"]


def test_what_sticks_out_of_a_figure_is_kept(tmp_path):
    fig = plt.figure(figsize=(2, 1))
    fig.text(1.2, 0.5, "outside")
    show(fig, "fig-vital-3", "c", alt="a.")
    assert Image.open(tmp_path / "_figures/fig-vital-3.png").size[0] > 250


def test_table_keeps_its_digits_in_the_file_and_rounds_on_the_page(run, tmp_path):
    frame = pd.DataFrame({"name": ["a|b", "c"], "value": [0.123456789, np.nan], "n": [3, 4000]})
    show(frame, "tab-vital-5", "Numbers.")
    assert pd.read_csv(tmp_path / "_figures/tab-vital-5.csv")["value"][0] == pytest.approx(0.123457)
    text = run[0]["text/markdown"]
    assert text.startswith(":::{table} Numbers.\n:name: tab-vital-5\n:class: results\n\n")
    assert "| :--- | ---: | ---: |" in text and "| a\\|b | 0.123 | 3 |" in text and "| c | – | 4000 |" in text
    assert '<td style="text-align:right">0.123</td>' in run[0]["text/html"]


@pytest.mark.parametrize("values, want", [
    ([3612.4, 12.0, 0.262], ["3612", "12.0", "0.26"]),
    ([99.9, 8.126], ["99.90", "8.13"]), ([360.74, 1.0], ["360.7", "1.00"]),
    ([0.5556, 0.1], ["0.556", "0.100"]), ([1.234e-5, 0.0], ["1.2e-05", "0"]), ([3, 24], ["3", "24"]),
    ([np.float32(0.25), "not available: x"], ["0.250", "not available: x"]), ([True, None], ["True", "–"]),
])  # fmt: skip
def test_digits_follow_the_largest_number(values, want):
    assert tables.digits(values) == want


@pytest.mark.parametrize("id, sentence", [
    ("fig-vital-4", "did you mean fig-vital-3"), ("fig-vital-x1", "unknown exhibit"),
    ("Figure 3", "isn't of the form"), ("tab-vital-5", "is a table's id"),
])  # fmt: skip
def test_wrong_ids_are_refused_and_nothing_is_saved(id, sentence, tmp_path):
    with pytest.raises((ValueError, TypeError), match=sentence):
        show(plt.figure(), id, "c", alt="a.")
    assert not (tmp_path / "_figures").exists()


def test_figures_need_alt_text_and_a_width_that_fits():
    with pytest.raises(ValueError, match="alt is missing"):
        show(plt.figure(), "fig-vital-3", "c")
    with pytest.raises(ValueError, match="12.0 inches wide, the page holds 8"):
        show(plt.figure(figsize=(12, 3)), "fig-vital-3", "c", alt="a.")
    with pytest.raises(TypeError, match="got int"):
        show(3, "fig-vital-3", "c")


def test_own_ids_pass_without_a_register(tmp_path):
    (tmp_path / "data/exhibits.csv").unlink()
    module.register.cache_clear()
    show(plt.figure(), "fig-mine-x1", "c", alt="a.")
    with pytest.raises(ValueError, match="own end in -x1"):
        show(plt.figure(), "fig-vital-3", "c", alt="a.")


def test_claim_enters_the_ledger_once(run, tmp_path):
    claim("le-1", holds=None, because="No network.")
    claim("vital-7", holds=False, because="99.1 against 99.9.")
    claim("vital-7", holds=np.bool_(True), because="99.9\n against 99.9.")
    entries = json.loads((tmp_path / "_claims.json").read_text())
    assert entries == [
        {"id": "le-1", "holds": None, "because": "No network."},
        {"id": "vital-7", "holds": True, "because": "99.9 against 99.9."},
    ]
    line = "**Claim vital-7: held.** *Fifty images are enough.* 99.9 against 99.9."
    assert run[-1]["text/markdown"] == line
    assert "not tested" in run[0]["text/plain"] and "not held" in run[1]["text/plain"]
    with pytest.raises(ValueError, match="did you mean vital-7"):
        claim("vital-77", holds=True, because="x")
    with pytest.raises(ValueError, match="because is missing"):
        claim("vital-7", holds=True, because=" ")


def test_claims_of_notebooks_that_run_at_once_all_arrive(tmp_path):
    names = [f"c-{i}" for i in range(12)]
    (tmp_path / "data/claims.yaml").write_text("".join(f"- {{id: {name}, claim: x}}\n" for name in names))
    options = {"holds": True, "because": "so"}
    threads = [threading.Thread(target=claim, args=(name,), kwargs=options) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {entry["id"] for entry in json.loads((tmp_path / "_claims.json").read_text())} == set(names)


def test_a_full_disk_leaves_the_old_picture_and_no_other(monkeypatch, tmp_path):
    show(pd.DataFrame({"n": [1]}), "tab-vital-5", "c")

    def full(path, content):
        open(path, "wb").close()  # a file of which nothing fits
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        show(pd.DataFrame({"n": [2]}), "tab-vital-5", "c")
    assert [p.name for p in (tmp_path / "_figures").iterdir()] == ["tab-vital-5.csv"]
    assert (tmp_path / "_figures/tab-vital-5.csv").read_text() == "n\n1\n"


def test_published_beside_measured():
    paper = published.published("tab-vital-5")
    assert list(paper["printed"]) == ["99.40", "40.30", "99.90", "-"] and np.isnan(paper["value"][3])
    measured = pd.DataFrame({"accuracy": [97.5, 96.0]}, index=["few", "ours"])
    frame = published.beside(measured, "tab-vital-5", rows={"5": "few"}, missing={"50": "the run has 10 images"})
    assert list(frame["row"]) == ["5", "50", "ours"]
    assert list(frame["accuracy (%), paper"]) == ["99.40", "99.90", "–"]
    assert list(frame["accuracy (%), here"].fillna(-1)) == [97.5, -1, 96.0]
    assert frame["FID, here"].isna().all()
    assert list(frame["note"]) == ["", "not available: the run has 10 images", ""]
    text = tables.tidy(frame)
    assert text.head == ["row", "accuracy (%)", "FID"] and text.numeric == [False, True, True]
    rows = ["5|97.50 (99.40)|– (40.30)", "50 [a]|– (99.90)|– (-)", "ours|96.00|–"]
    assert ["|".join(row).replace("\u00a0", " ") for row in text.rows] == rows
    assert text.notes[1:] == ["[a] Not available: the run has 10 images."]
    with pytest.raises(ValueError, match="did you mean tab-vital-5"):
        published.published("tab-vital-55")
    with pytest.raises(ValueError, match="unknown column"):
        published.beside(pd.DataFrame({"acc": [1.0]}), "tab-vital-5")


def test_long_tables_get_a_line_per_group():
    rows = [["A / x", "1"], ["A / y / z", "2"], ["B / x", "3"], ["B / w", "4"]]
    want = [["**A**", ""], ["x", "1"], ["y / z", "2"], ["**B**", ""], ["x", "3"], ["w", "4"]]
    assert tables.grouped(rows) == want and tables.grouped(rows[1:3]) == rows[1:3]
    assert "<strong>A</strong>" in tables.to_html(tables.Text(["n", "v"], want, [False, True], []))


def test_captions_keep_their_look_as_html():
    assert module.plain("see *all* of **it**, `a * b`") == "see <em>all</em> of <strong>it</strong>, <code>a * b</code>"
    for text in ("2 * 3 * 4", "a*b*c", "* one", "{numref}`x`"):
        assert "<em>" not in module.plain(text)


def test_unknown_names_list_the_nearest():
    sentence = "unknown network 'Resnet5': did you mean resnet50? Valid: vgg16, resnet50"
    assert unknown("network", "Resnet5", ["vgg16", "resnet50"]) == sentence
    assert "40 names are valid" in unknown("class", "zzz", [f"n{i}" for i in range(40)])
    assert "none to choose from" in unknown("class", "zzz", [])
