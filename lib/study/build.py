"""Turn a folder of questions into the study's pages: static files that ask nothing of any network."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from ..files import write
from .items import ONE_METHOD, STUDIES, SYMBOLS, methods, pictures, read_items

PAGES = Path(__file__).parent / "pages"


def build_study(out: str | Path, items: str | Path, *, contact: str = "") -> Path:
    """Write the pages of both studies to a folder, from the questions in another; `contact` gets the answers."""
    out, source = Path(out), Path(items)
    found = read_items(source)
    if out.exists() and not (out.is_dir() and ((out / "items.js").is_file() or not any(out.iterdir()))):
        raise FileExistsError(f"{out} is there already and isn't a study: name a new folder")
    shutil.rmtree(out / "images", ignore_errors=True)
    for name in pictures(found):
        write(out / name, (source / name).read_bytes())
    asked = {section: questions for section, questions in found["sections"].items() if questions}
    study = {
        "build": hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12],
        "contact": contact,
        "symbols": SYMBOLS,
        "methods": {section: methods(asked[section]) for section in ONE_METHOD if section in asked},
        "sections": asked,
    }
    write(out / "items.js", f"const STUDY = {json.dumps(study, ensure_ascii=False, indent=1)};\n")
    for page in sorted(PAGES.iterdir()):
        if page.suffix != ".html" or _has_questions(page.stem, asked):
            write(out / page.name, page.read_bytes())
        else:
            (out / page.name).unlink(missing_ok=True)
    return out


def _has_questions(page: str, asked: Mapping[str, list]) -> bool:
    """Tell whether a page is the first one, or that of a study with questions to ask."""
    return page not in STUDIES or any(s in asked for s in STUDIES[page] if s != "demonstration")
