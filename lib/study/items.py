"""The questions of the study as a small folder: `items.json` and one PNG per picture, named by its content.

A notebook writes it, the command line turns it into pages. The file names tell participants nothing.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..files import write
from ..names import unknown
from ..plot.cells import as_pixels

# what stands beside the methods' images: nothing, reference images, or the preferred and the other image
SECTIONS = {"words": 0, "references": "some", "describe": 0, "demonstration": 2, "classes": 2, "inner": 2}
STUDIES = {"ratings": ("words", "references", "describe"), "choice": ("demonstration", "classes", "inner")}
# in these a participant sees each question with one method only, which one depends on the subset
ONE_METHOD = ("describe", "classes", "inner")
SYMBOLS = "#$%&+="  # of the subsets


def write_items(folder: str | Path, sections: Mapping[str, Mapping[str, Any]], **about: Any) -> Path:
    """Write questions and their images to a folder, `about` (network="resnet50", ...) beside them.

    sections: {"words": {"zebra": {"VITAL": image, "MACO": image}}, "references": {"channel 7": (references, {"VITAL":
    images, ...})}, "describe": like words, "classes" and "inner": {"zebra": ((preferred, other), {"VITAL": images})},
    "demonstration": like classes, one question}. An image is (3, h, w) in [0, 1]; a method may give several.
    """
    folder = Path(folder)
    questions: dict[str, list] = {}
    for section, asked in sections.items():
        if section not in SECTIONS:
            raise KeyError(unknown("section of the study", section, SECTIONS))
        questions[section] = [_question(folder, section, name, given) for name, given in asked.items()]
    check(questions)
    write(folder / "items.json", json.dumps({"about": about, "sections": questions}, indent=1, ensure_ascii=False))
    return folder


def read_items(folder: str | Path) -> dict[str, Any]:
    """Read a folder of questions back: {"about": {...}, "sections": {section: [question, ...]}}."""
    path = Path(folder) / "items.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} isn't there: study.write_items writes it")
    try:
        items = json.loads(path.read_text(encoding="utf-8"))
        check(items["sections"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} isn't a file of questions: {error}") from error
    absent = [name for name in pictures(items) if not (Path(folder) / name).is_file()]
    if absent:
        raise FileNotFoundError(f"{path} names {absent[0]}, which isn't there")
    return items


def pictures(items: Mapping[str, Any]) -> list[str]:
    """List the image files that questions show, each once."""
    questions = [question for asked in items["sections"].values() for question in asked]
    groups = [group for q in questions for group in (q["beside"], *q["images"].values())]
    return list(dict.fromkeys(name for group in groups for name in group))


def methods(questions: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the methods of a section in the order in which they are named."""
    return list(dict.fromkeys(method for question in questions for method in question["images"]))


def check(sections: Mapping[str, list[dict]]) -> None:
    """Refuse questions that can't be asked."""
    if not any(sections.get(section) for section in SECTIONS if section != "demonstration"):
        raise ValueError("there is no question to ask")
    for section, questions in sections.items():
        for question in questions:
            _check_question(section, question)
        every = methods(questions)
        if section in ONE_METHOD:
            partial = [q["name"] for q in questions if len(q["images"]) < len(every)]
            if partial:
                raise ValueError(f"{section}: every question needs the same methods ({', '.join(every)}); "
                                 f"{partial[0]!r} lacks one")  # fmt: skip
            if len(every) > len(SYMBOLS):
                raise ValueError(f"{section}: {len(SYMBOLS)} methods at most, got {len(every)}")


def _check_question(section: str, question: Mapping[str, Any]) -> None:
    """Refuse a question without images, or with the wrong number of images beside them."""
    name, beside, wanted = question["name"], len(question["beside"]), SECTIONS[section]
    if not question["images"] or not all(question["images"].values()):
        raise ValueError(f"{section}: {name!r} has no image to show")
    if (wanted == "some" and not beside) or (wanted != "some" and beside != wanted):
        raise ValueError(f"{section}: {name!r} needs {wanted} images beside those of the methods, got {beside}")


def _question(folder: Path, section: str, name: str, given: Any) -> dict[str, Any]:
    """Keep a question's images and return its entry."""
    beside, images = given if SECTIONS[section] else ((), given)
    kept = {method: [_keep(folder, i) for i in _several(shown)] for method, shown in images.items()}
    return {"name": name, "beside": [_keep(folder, i) for i in _several(beside)], "images": kept}


def _several(images: Any) -> list[Any]:
    """Make a list of one image or many."""
    if isinstance(images, list | tuple):
        return list(images)
    return list(images) if images.ndim == 4 else [images]


def _keep(folder: Path, image: Any) -> str:
    """Write an image under the name of its content, which tells nothing to who reads it."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(as_pixels(image)).save(buffer, "PNG")
    name = f"images/{hashlib.sha256(buffer.getvalue()).hexdigest()[:16]}.png"
    write(folder / name, buffer.getvalue())
    return name
