"""Explanations in files that other programs read, and back again: .csv for tables, .json for records."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import torch

from ..files import write
from ..names import unknown
from .explanations import Explanations

COLUMNS = ("unit", "concept", "weight", "bias", "score")


def save(found: Explanations, path: str | Path) -> None:
    """Write a .csv file with a line for each concept, or a .json file with a record for each unit."""
    path = Path(path)
    write(path, FORMATS[kind(path)][0](found))


def load(path: str | Path) -> Explanations:
    """Read what `save` wrote. A .csv file knows only the concepts that are used, a .json file all of them."""
    path = Path(path)
    return FORMATS[kind(path)][1](path.read_text(encoding="utf-8"), path.name)


def kind(path: Path) -> str:
    """Return a file's suffix, if explanations can be in such a file."""
    if path.suffix not in FORMATS:
        raise ValueError(unknown("kind of file", path.suffix or path.name, FORMATS))
    return path.suffix


def to_lines(found: Explanations) -> str:
    """Write a line for each concept of each unit, and one without a concept for a unit that has none."""
    text = io.StringIO()
    sheet = csv.writer(text, lineterminator="\n")
    sheet.writerow(COLUMNS)
    for k, (bias, score) in enumerate(zip(found.bias.tolist(), found.score.tolist(), strict=True)):
        for weight, name in found.terms(k) or [("", "")]:
            sheet.writerow((k, name, weight, bias, score))
    return text.getvalue()


def from_lines(text: str, source: str) -> Explanations:
    """Read what `to_lines` wrote."""
    sheet = csv.DictReader(io.StringIO(text))
    if missing := set(COLUMNS) - set(sheet.fieldnames or ()):
        raise ValueError(f"{source} lacks {', '.join(sorted(missing))}: explanations have {', '.join(COLUMNS)}")
    units: dict[int, dict[str, Any]] = {}
    for row in sheet:
        unit = units.setdefault(int(row["unit"]), {"terms": [], "bias": row["bias"], "score": row["score"]})
        if row["concept"]:
            unit["terms"].append((row["weight"], row["concept"]))
    if sorted(units) != list(range(len(units))):
        raise ValueError(f"{source} holds {len(units)} units, so their numbers must be 0 to {len(units) - 1}")
    names = dict.fromkeys(name for k in sorted(units) for _, name in units[k]["terms"])
    return assemble(tuple(names), [units[k] for k in sorted(units)])


def to_records(found: Explanations) -> str:
    """Write the concept set, and for each unit its terms, bias and score (null where there is none)."""
    units = [
        {"terms": found.terms(k), "bias": bias, "score": None if math.isnan(score) else score}
        for k, (bias, score) in enumerate(zip(found.bias.tolist(), found.score.tolist(), strict=True))
    ]
    return json.dumps({"names": found.names, "units": units}, ensure_ascii=False, indent=1) + "\n"


def from_records(text: str, source: str) -> Explanations:
    """Read what `to_records` wrote."""
    content = json.loads(text)
    if not isinstance(content, dict) or not {"names", "units"} <= content.keys():
        raise ValueError(f"{source} holds no explanations: they are a record of names and units")
    return assemble(tuple(content["names"]), content["units"])


def assemble(names: tuple[str, ...], units: list[dict[str, Any]]) -> Explanations:
    """Put units of terms (weight, name), bias and score together."""
    number = {name: i for i, name in enumerate(names)}
    width = max((len(unit["terms"]) for unit in units), default=1) or 1
    concept = torch.full((len(units), width), -1)
    weight = torch.zeros(len(units), width)
    for k, unit in enumerate(units):
        for i, (value, name) in enumerate(unit["terms"]):
            if name not in number:
                raise KeyError(unknown("concept", name, names))
            concept[k, i], weight[k, i] = number[name], float(value)
    bias = torch.tensor([float(unit["bias"]) for unit in units])
    score = torch.tensor([math.nan if unit["score"] is None else float(unit["score"]) for unit in units])
    return Explanations(names, concept, weight, bias, score)


FORMATS = {".csv": (to_lines, from_lines), ".json": (to_records, from_records)}
