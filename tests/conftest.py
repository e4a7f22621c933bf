"""What every test shares: one thread for each process, as in the press, and a book small enough to run."""

import os
from pathlib import Path

import pytest

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

HEAD = """# %% [markdown]
# # {title}
#
# The cost is $\\\\frac{{a}}{{b}}$.

# %% tags=["parameters"]
edition = "world"
seed = 0
steps = 3

# %%
"""


def add_notebook(root: Path, name: str, code: str) -> Path:
    """Write a notebook of a title, a cell of parameters and one cell of code."""
    path = root / "book" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD.replace("\\\\", "\\").format(title=path.stem.title()) + code + "\n")
    return path


def make_book(root: Path, codes: dict[str, str]) -> Path:
    """Make a book in a folder: notebooks, an index, a table of contents, an edition and a tiny library."""
    for name, code in codes.items():
        add_notebook(root, name, code)
    chapters = "".join(f"\n      - file: {name}" for name in codes)
    toc = f"format: jb-book\nroot: index\nparts:\n  - caption: A\n    chapters:{chapters}\n"
    (root / "book/_toc.yml").write_text(toc + "      - file: results\n")
    (root / "book/index.md").write_text("# A tiny book\n\nIt has a [results page](results.md).\n")
    for folder in ("data/editions", "lib"):
        (root / folder).mkdir(parents=True)
    (root / "data/editions/world.yaml").write_text("images: {source: world}\n")
    (root / "lib/__init__.py").write_text("")
    (root / "_config.yml").write_text("title: Tiny\nonly_build_toc_files: true\nexclude_patterns: [.press, _html]\n")
    return root


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """Give a tiny book of two quick notebooks."""
    return make_book(tmp_path, {"a/one": "print(1)", "b/two": "print(2)"})
