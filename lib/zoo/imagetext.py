"""Two towers that meet in one space: a timm network for images, a small one for phrases.

The explainer, the simulator and the CLIP-like network of the world; trained by `sightglass.zoo.train`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..names import unknown

LONGEST = 32


class TextTower(nn.Module):
    """Word embeddings, then their mean or a small transformer, then an MLP."""

    def __init__(self, words: int, out: int, *, kind: str = "mean", width: int = 96, depth: int = 1):
        super().__init__()
        self.embedding = nn.Embedding(words + 1, width, padding_idx=0)
        self.mixer = _transformer(width, depth) if kind == "transformer" else None
        self.position = nn.Parameter(0.02 * torch.randn(LONGEST, width)) if self.mixer else None
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, out))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map word numbers (n, length), 0 where a phrase has ended, to vectors (n, out)."""
        x, there = self.embedding(tokens), tokens > 0
        if self.mixer is not None:
            x = self.mixer(x + self.position[: x.shape[1]], src_key_padding_mask=~there)
        x = x.masked_fill(~there[..., None], 0.0).sum(1) / there.sum(1, keepdim=True)
        return self.head(x)


class ImageText(nn.Module):
    """An image tower and a text tower, compared by cosine, with a learned scale and bias."""

    def __init__(self, image: dict, text: dict, width: int, words: Sequence[str]):
        super().__init__()
        from .families import construct

        self.image = construct(image["builder"], image["arguments"], classes=width)
        self.text = TextTower(len(words), width, **text)
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        self.bias = nn.Parameter(torch.tensor(-5.0))
        self.words = list(words)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (n, 3, h, w) to unit vectors (n, width)."""
        return F.normalize(self.image(images), dim=-1)

    def phrases(self, phrases: Sequence[str]) -> Tensor:
        """Map phrases to unit vectors (n, width)."""
        tokens = tokenise(phrases, self.words).to(self.log_scale.device)
        return F.normalize(self.text(tokens), dim=-1)

    def compare(self, images: Tensor, phrases: Tensor) -> Tensor:
        """Return the logits (n, m) that image vectors (n, width) fit phrase vectors (m, width)."""
        return images @ phrases.T * self.log_scale.exp() + self.bias


def _transformer(width: int, depth: int) -> nn.Module:
    """Build the layers that let words look at each other."""
    layer = nn.TransformerEncoderLayer(
        width, 4, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)


def split_words(phrase: str) -> list[str]:
    """Cut a phrase into lower-case words without punctuation."""
    return [word for word in (part.strip(".,;:!?'\"") for part in phrase.lower().split()) if word]


def vocabulary(phrases: Sequence[str]) -> list[str]:
    """Return the sorted words of many phrases."""
    return sorted({word for phrase in phrases for word in split_words(phrase)})


def tokenise(phrases: Sequence[str], words: Sequence[str]) -> Tensor:
    """Turn phrases into word numbers (n, longest phrase) from 1, padded with 0."""
    if isinstance(phrases, str):
        raise TypeError(f"expected a list of phrases, found one string: {phrases!r}")
    number = {word: i for i, word in enumerate(words, 1)}
    rows = [[_number_of(word, number, phrase) for word in split_words(phrase)] for phrase in phrases]
    for phrase, row in zip(phrases, rows, strict=True):
        if not 0 < len(row) <= LONGEST:
            raise ValueError(f"a phrase has 1 to {LONGEST} words, found {len(row)} in {phrase!r}")
    return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


def _number_of(word: str, number: dict[str, int], phrase: str) -> int:
    """Look up a word of a phrase."""
    if word not in number:
        raise ValueError(f"the network never learned a word of {phrase!r}: {unknown('word', word, number)}")
    return number[word]
