"""The world's splits: which scenes they hold, drawn once and kept in a cache file.

The cache folder is $SIGHTGLASS_CACHE, or ~/.cache/sightglass; a file is written under a temporary name and renamed, so
a run that is killed leaves nothing half-written behind.
"""

import ast
import hashlib
import os
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ..files import write
from .dice import Dice
from .planning import HOME, Plan, plan
from .scene import Scenes, draw
from .styles import STYLES
from .vocabulary import BACKGROUNDS, NOUNS

CORRUPTIONS = ("noise", "blur", "pixels", "contrast", "grey")
BLOCK = 960  # scenes drawn between two progress calls


@dataclass(frozen=True)
class Split:
    """How many scenes a split has, its seed, and what sets it apart."""

    size: int
    seed: int
    options: dict = field(default_factory=dict)
    styles: tuple[str, ...] = ("drawn",)
    away: bool = False  # never on the noun's own background


SPLITS = {
    "train": Split(24_000, 1),
    # four images of ten are hard here, three of ten in training: a network that never errs leaves nothing to explain
    "val": Split(2_400, 2, dict(hard=0.4)), "probe": Split(10_000, 3), "test": Split(2_400, 4, dict(hard=0.4)),
    "pairs": Split(1_200, 5, dict(pairs=1.0, hard=0.0)),
    "inverted": Split(960, 6, styles=("inverted",)), "sketch": Split(960, 7, styles=("sketch",)),
    "elsewhere": Split(960, 8, away=True), "noise": Split(960, 9, styles=("noise",)),
    "corrupt": Split(1_200, 10, styles=CORRUPTIONS),
}  # fmt: skip
PROBE_PARTS = {"train": slice(0, 7000), "val": slice(7000, 8000), "test": slice(8000, 10_000)}


def split_plan(name: str, index: Tensor | range) -> Plan:
    """Plan scenes of a split."""
    if name not in SPLITS:
        raise KeyError(f"no split {name!r}; the world has {', '.join(SPLITS)}")
    split = SPLITS[name]
    scenes = plan(index, split.seed, **split.options)
    styles = torch.tensor([list(STYLES).index(s) for s in split.styles])
    # one round of nouns in one style, the next round in the next
    scenes = replace(scenes, style=styles[(scenes.index // len(NOUNS)) % len(styles)])
    if split.away:
        step = 1 + Dice(scenes.keys).choice("away", len(BACKGROUNDS) - 1)
        scenes = replace(scenes, background=(HOME[scenes.label] + step) % len(BACKGROUNDS))
    return scenes


def cache_folder() -> Path:
    """Return the folder for files that can be made again."""
    return Path(os.environ.get("SIGHTGLASS_CACHE") or Path.home() / ".cache" / "sightglass")


@lru_cache(maxsize=1)
def fingerprint() -> str:
    """Name the code that draws (not its comments or layout), so that a changed drawing makes new files."""
    trees = [ast.dump(ast.parse(path.read_text())) for path in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256("".join(trees).encode()).hexdigest()[:12]


def draw_blocks(scenes: Plan, size: int, *, maps: bool, progress: str = "") -> Scenes:
    """Draw many scenes on one thread (more only get in each other's way), saying how far it is on standard error."""
    from tqdm import tqdm

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = torch.arange(len(scenes)).split(BLOCK)
        bar = tqdm(rows, desc=progress, leave=False, disable=not progress or len(rows) < 3)
        return Scenes.cat([draw(scenes[r], size, maps=maps) for r in bar])
    finally:
        torch.set_num_threads(threads)


def split(name: str, n: int | None = None, size: int = 64, *, maps: bool = True) -> Scenes:
    """Return the first n scenes of a split (all unless told), from the cache file or drawn now."""
    from safetensors.torch import load_file

    scenes = split_plan(name, range(SPLITS[name].size if n is None and name in SPLITS else n or 0))
    path = (
        cache_folder() / f"world-{fingerprint()}" / f"{name}-{len(scenes)}-{size}{'' if maps else '-flat'}.safetensors"
    )
    if path.exists():
        return Scenes(**load_file(path))
    drawn = draw_blocks(scenes, size, maps=maps, progress=f"drawing {name}")
    keep(path, drawn)
    return drawn


def keep(path: Path, scenes: Scenes) -> None:
    """Write scenes whole or not at all; a cache that can't be written is said, not fatal."""
    import warnings

    from safetensors.torch import save

    try:
        write(path, save({f.name: getattr(scenes, f.name).contiguous() for f in fields(scenes)}))
    except OSError as error:
        warnings.warn(f"{path.parent} can't keep drawn images ({error.strerror}); set SIGHTGLASS_CACHE", stacklevel=3)


def references(nouns: list[str], n: int = 50, *, seed: int = 0, size: int = 64, name: str = "train") -> Tensor:
    """Draw n images of each noun alone, unhidden and not hard: (nouns, n, 3, size, size) in [0, 1]."""
    chosen = []
    for noun in nouns:
        if noun not in NOUNS:
            raise KeyError(f"no noun {noun!r}; the world has {', '.join(NOUNS)}")
        rounds = torch.arange(seed * 4 * n, (seed + 1) * 4 * n)  # far more than enough: six in ten are plain
        scenes = split_plan(name, rounds * len(NOUNS) + NOUNS.index(noun))
        plain = (scenes.second < 0) & (scenes.hard < 0) & (scenes.occluders == 0)
        chosen.append(scenes[plain.nonzero()[:n, 0]])
    drawn = draw_blocks(Plan.cat(chosen), size, maps=False)
    return drawn.pixels().unflatten(0, (len(nouns), n))
