"""The world: scenes drawn by code, with the truth known for every pixel. See `book/world/inside`."""

from .pen import PARTS, TEXTURES
from .planning import HARD, Plan, edit, plan
from .scene import Scenes, draw
from .splits import PROBE_PARTS, SPLITS, references, split, split_plan
from .vocabulary import BACKGROUNDS, COLOURS, CONCEPTS, FAMILIES, GROUPS, KINDS, NOUNS, TASKS, captions, parents, place

__all__ = [
    "BACKGROUNDS", "COLOURS", "CONCEPTS", "FAMILIES", "GROUPS", "HARD", "KINDS", "NOUNS", "PARTS", "PROBE_PARTS",
    "Plan", "SPLITS", "Scenes", "TASKS", "TEXTURES", "captions", "draw", "edit", "parents", "place", "plan",
    "references", "split", "split_plan",
]  # fmt: skip
