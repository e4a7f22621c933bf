"""Read the files that participants saved: every one checked, each participant once, people only.

A file that a program filled in through a browser says so itself and is left out, so that nothing simulated is ever
shown as somebody's answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..plot.look import METHOD_COLOURS
from .items import STUDIES

if TYPE_CHECKING:
    from pandas import DataFrame

FORMAT = "sightglass study 1"
# what an answer of each section must hold, beside its question and method
VALUES = {
    "words": {"score": range(1, 6)},
    "references": {"score": range(1, 6)},
    "describe": {"word": str},
    "classes": {"chosen": ("preferred", "other"), "confidence": range(1, 4)},
    "inner": {"chosen": ("preferred", "other"), "confidence": range(1, 4)},
}
COLUMNS = ("study", "participant", "section", "question", "method", "score", "word", "chosen", "confidence", "order",
           "position")  # fmt: skip
ABOUT = ("study", "participant", "build", "started", "saved", "subset", "age", "gender")


@dataclass(frozen=True)
class Answers:
    """What was answered, a line per answer; by whom, a line per participant of a study; which files don't count."""

    answers: DataFrame
    people: DataFrame
    left_out: tuple[str, ...]

    def of(self, section: str) -> DataFrame:
        """Take the answers of one section."""
        return self.answers[self.answers["section"] == section].reset_index(drop=True)

    def count(self, study: str) -> int:
        """Count the participants of a study."""
        return int((self.people["study"] == study).sum())


def read(folder: str | Path, *, programs: bool = False) -> Answers:
    """Read every JSON file of a folder; `programs` lets the files of automated browsers in, for tests of the pages.

    A folder without files, or one that isn't there, gives empty tables: nobody was asked.
    """
    import pandas as pd

    found, left_out = {}, []
    for path in sorted(Path(folder).glob("*.json")):
        record = _load(path)
        if record["automated"] and not programs:
            left_out.append(f"{path.name} was filled in by a program, not by a person")
            continue
        key = record["study"], record["participant"]
        if key in found:
            older, record = sorted((found[key], record), key=lambda r: r["saved"])
            left_out.append(f"{older['file']} is an older file of the same participant")
        found[key] = record
    _one_build(found.values())
    rows = [answer | {"study": study, "participant": participant} for (study, participant), record in found.items()
            for answer in record["answers"]]  # fmt: skip
    answers = pd.DataFrame(sorted(rows, key=_rank)).reindex(columns=COLUMNS)
    answers["correct"] = (answers["chosen"] == "preferred").astype(float).where(answers["chosen"].notna())
    people = pd.DataFrame([{k: r.get(k) or "" for k in ABOUT} for r in found.values()]).reindex(columns=ABOUT)
    return Answers(answers, people, tuple(left_out))


def _rank(answer: dict[str, Any]) -> tuple:
    """Order answers by section, the book's order of methods, and question with its numbers read as numbers."""
    parts = re.split(r"(\d+)", answer["question"])
    known = [*METHOD_COLOURS]
    method = answer["method"].lower()
    place = known.index(method) if method in known else len(known)
    numbers = [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
    return [*VALUES].index(answer["section"]), place, method, numbers, answer["participant"]


def _load(path: Path) -> dict[str, Any]:
    """Read one file; anything that isn't a whole set of answers is refused by name."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        problem = _problem(record)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"it can't be read ({type(error).__name__}: {error})"
    if problem:
        raise ValueError(f"{path.name} isn't a file of answers that the study saved: {problem}")
    return record | {"file": path.name}


def _problem(record: Any) -> str:
    """Say what is wrong with a file's content, "" when nothing is."""
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        return f"it doesn't say format: {FORMAT!r}"
    if record["study"] not in STUDIES:
        return f"the study {record['study']!r} is none of {', '.join(STUDIES)}"
    if not isinstance(record["automated"], bool) or not record["participant"] or not record["saved"]:
        return "participant, saved or automated is missing"
    for number, answer in enumerate(record["answers"], 1):
        problem = _wrong(answer, STUDIES[record["study"]])
        if problem:
            return f"answer {number}: {problem}"
    return "" if record["answers"] else "it holds no answers"


def _wrong(answer: dict[str, Any], sections: Iterable[str]) -> str:
    """Say what is wrong with one answer."""
    section = answer["section"]
    if section not in sections or section not in VALUES:
        return f"there is no section {section!r}"
    if not (answer["question"] and answer["method"]):
        return "question or method is missing"
    for name, valid in VALUES[section].items():
        value = answer[name]
        if not (isinstance(value, str) and value.strip() if valid is str else value in valid):
            return f"{name} is {value!r}"
    return ""


def _one_build(records: Iterable[dict[str, Any]]) -> None:
    """Refuse to mix answers to different sets of pictures."""
    builds: dict[str, list[str]] = {}
    for record in records:
        builds.setdefault(record["build"], []).append(record["file"])
    if len(builds) > 1:
        told = "; ".join(f"{build}: {len(files)}, such as {files[0]}" for build, files in builds.items())
        raise ValueError(f"the files answer {len(builds)} different builds of the study ({told}): a folder for each")
