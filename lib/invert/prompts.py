"""Captions as a few vectors: what a sentence says of each thing it mentions, without a text encoder.

A caption mentions at most two objects and a place. Each is a sum of rows of the unit matrix, one row per word ("small",
"red", "car"), so that colour and size stay with their object, and the model's first matrix is a table of its own words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..names import unknown

SPECIAL = ("any scene", "nothing", "not said")
ANY, NOTHING, UNSAID = range(3)
TOKENS, MOST = 3, 3  # two objects and a place; words of one of them
HEADS = 64  # diffusers pools prompts by so many heads, and their number divides the width


def world_words() -> tuple[str, ...]:
    """Return the words that the world's captions are made of."""
    from .. import world

    return (*world.NOUNS, *world.COLOURS, "small", *(world.place(place) for place in world.BACKGROUNDS))


def width(words: Sequence[str]) -> int:
    """Return the width of a prompt's vectors."""
    return -(-(len(words) + len(SPECIAL)) // HEADS) * HEADS


def read(captions: Sequence[str], words: Sequence[str]) -> Tensor:
    """Turn captions into word numbers (n, tokens, words of a token), -1 where a token has no more words."""
    number = {word: i for i, word in enumerate(words, len(SPECIAL))}
    known: dict[str, list[list[int]]] = {}
    for caption in captions:
        if caption not in known:
            known[caption] = _read_one(caption, number)
    ids = [known[caption] for caption in captions]
    return torch.tensor(ids, dtype=torch.long).view(len(captions), TOKENS, MOST)


def _read_one(caption: str, number: dict[str, int]) -> list[list[int]]:
    """Read one caption: two objects, then the place; an empty one says nothing."""
    if not caption:
        return [[NOTHING, -1, -1]] * TOKENS
    where = [word for word in number if word.startswith(("in ", "on ", "at ")) and f" {caption}".endswith(f" {word}")]
    place = max(where, key=len, default="")
    objects = caption.removesuffix(place).strip()
    parts = [re.sub(r"^an? ", "", part) for part in objects.split(" and ")] if objects else []
    if len(parts) >= TOKENS:
        raise ValueError(f"a caption mentions at most {TOKENS - 1} objects, found {len(parts)} in {caption!r}")
    said = [[part] if part in number else part.split() for part in parts]
    said += [[]] * (TOKENS - 1 - len(said)) + [[place] if place else []]
    wrong = [word for words in said for word in words if word not in number]
    if wrong or max(map(len, said)) > MOST:
        raise ValueError(unknown(f"word in the caption {caption!r}:", (wrong or [caption])[0], number))
    rows = [[number[word] for word in words] or [UNSAID] for words in said]
    return [row + [-1] * (MOST - len(row)) for row in rows]


def special(which: int, n: int) -> Tensor:
    """Return the prompt ANY (some picture of the world) or NOTHING n times, (n, tokens, words)."""
    return torch.tensor([which, -1, -1]).expand(n, TOKENS, MOST)


def embed(ids: Tensor, wide: int) -> Tensor:
    """Turn word numbers (n, tokens, words) into vectors (n, tokens, wide)."""
    if ids.numel() and int(ids.max()) >= wide:
        raise ValueError(f"word numbers go up to {wide - 1} here, found {int(ids.max())}")
    return F.one_hot(ids + 1, wide + 1)[..., 1:].sum(-2).float() * wide**0.5


def forget(ids: Tensor, draws: torch.Generator, *, share: float, nothing: float, token: float = 0.1) -> Tensor:
    """Replace prompts by ANY (a share) or NOTHING, and leave single mentions of the others out."""
    n = len(ids)
    luck, each = torch.rand(n, 1, 1, generator=draws), torch.rand(n, TOKENS, 1, generator=draws)
    unsaid = special(UNSAID, n)
    kept = torch.where(each < token, unsaid, ids)
    kept = torch.where(luck < share + nothing, special(NOTHING, n), kept)
    return torch.where(luck < share, special(ANY, n), kept)
