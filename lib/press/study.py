"""The commands of the human study: pages from a run's pictures, figures and tables from what people saved."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .files import Refused, write
from .plan import find_edition

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..study import Answers

NOTEBOOK = "vital/4-3"  # writes the pictures and questions


def build(root: Path, edition: str, out: Path, contact: str) -> int:
    """Write the pages of the study from the pictures of an edition's run."""
    from ..study import build_study, read_items

    chosen = find_edition(root, edition)
    items = root / "runs" / chosen.name / "vital" / "study"
    if not (items / "items.json").is_file():
        command = f"python -m sightglass run {chosen.value} {NOTEBOOK} --force"
        raise Refused(f"the {chosen.name} edition has no pictures for the study yet; `{command}` makes them")
    try:
        build_study(out, items, contact=contact)
    except ValueError as error:
        raise Refused(error) from error
    for section, questions in read_items(items)["sections"].items():
        print(f"{section:<14} {len(questions)} question{'s' * (len(questions) != 1)}")
    print(f"open {os.path.relpath(out / 'index.html')}; README.txt beside it says how to ask people")
    return 0


def read(folder: Path, encoder: str) -> int:
    """Print what the answers of a folder say, and write figures and tables beside them."""
    from .. import study

    if not folder.is_dir():
        raise Refused(f"{folder} isn't a folder of answers")
    try:
        answers = study.read(folder)
    except ValueError as error:
        raise Refused(error) from error
    for reason in answers.left_out:
        print(f"left out: {reason}")
    if not len(answers.people):
        raise Refused(f"nobody was asked: {folder} holds no file of a person's answers")
    try:
        described = study.numbers.with_similarity(answers.of("describe"), study.encoder(encoder))
    except (ModuleNotFoundError, KeyError) as error:
        raise Refused(error.args[0]) from error
    _print_counts(answers)
    for name, table in _tables(answers, described).items():
        write(folder / "results" / f"{name}.csv", table.to_csv(index=False, float_format="%.4g"))
        if not name.endswith("-each") and len(table):
            print(f"\n{name}\n{table.round(3).to_string(index=False)}")
    _draw(answers, described, folder / "results")
    print(f"\nfigures and tables in {os.path.relpath(folder / 'results')} (words compared by {encoder})")
    return 0


def _print_counts(answers: "Answers") -> None:
    """Print how many people took part in each study."""
    for name in ("ratings", "choice"):
        count = answers.count(name)
        print(f"{name}: {count} {'person' if count == 1 else 'people'}")


def _tables(answers: "Answers", described: "DataFrame") -> dict[str, "DataFrame"]:
    """Return the tables of the study by name."""
    from ..study.numbers import correctness, demographics, means, quantiles

    each = ("question", "method")
    words, references, classes, inner = (answers.of(s) for s in ("words", "references", "classes", "inner"))
    return {
        "scores-words": means(words, "score"), "scores-words-each": means(words, "score", each),
        "scores-references": means(references, "score"),
        "scores-references-each": means(references, "score", each),
        "similarity": quantiles(described), "similarity-each": quantiles(described, by=each),
        "choices-classes": correctness(classes), "choices-inner": correctness(inner),
        "people": demographics(answers.people),
    }  # fmt: skip


def _draw(answers: "Answers", described: "DataFrame", folder: Path) -> None:
    """Draw the study's figures under the names that they have in the book."""
    import matplotlib

    matplotlib.use("Agg")
    from .. import plot
    from ..show import png
    from ..study import figures, numbers

    plot.style()
    words, references = answers.of("words"), answers.of("references")
    drawn = {
        "fig-vital-7": figures.summary(words, references, described),
        "fig-vital-15": figures.people_bars(numbers.demographics(answers.people)),
        "fig-vital-40": figures.scores_by_question(words),
        "fig-vital-41": figures.scores_by_question(references),
        "fig-vital-42": figures.similarity_by_question(described),
        "fig-vital-44": figures.choices(answers.of("classes"), answers.of("inner")),
    }
    for name, figure in drawn.items():
        write(folder / f"{name}.png", png(figure))
