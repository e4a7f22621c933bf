"""The human study: pages that people fill in with a browser, and what their answers say.

`write_items` keeps a run's pictures and questions in a folder, `build_study` turns it into pages that need no network,
`read` takes the files that participants saved, `numbers` and `figures` show them. See `book/vital/4-3-human-study`.
"""

from . import figures, numbers
from .answers import Answers, read
from .build import build_study
from .items import read_items, write_items
from .occlusion import occluded_pair
from .pictures import page_figure
from .words import encoder, similarity

__all__ = [
    "Answers", "build_study", "encoder", "figures", "numbers", "occluded_pair", "page_figure", "read", "read_items",
    "similarity", "write_items",
]  # fmt: skip
