"""MILAN's writer: a decoder that attends to the regions of one neuron, a language model, and the search for words."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LONGEST = 12  # words of a caption
TOGETHER = 64  # units whose sentences are searched for together
END = 0  # ends a sentence, and pads it; words count from 1, the start follows the last word


class Language(nn.Module):
    """How likely sentences are, whatever they are about."""

    def __init__(self, words: int, width: int):
        super().__init__()
        self.embedding = nn.Embedding(words + 2, width)
        self.mixer = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, words + 1)

    def forward(self, given: Tensor) -> Tensor:
        """Map words so far (n, length), start first, to log-chances of the next ones (n, length, words + 1)."""
        return self.out(self.mixer(self.embedding(given))[0]).log_softmax(-1)


class Captioner(nn.Module):
    """Write about region features (n, regions, features) word by word, attending to the regions."""

    def __init__(self, features: int, words: Sequence[str], *, width=96, hidden=128, dropout=0.3):
        super().__init__()
        self.words = list(words)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.look = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, width), nn.GELU(), nn.LayerNorm(width))
        self.embedding = nn.Embedding(len(words) + 2, width)
        self.begin = nn.Linear(width, hidden)
        self.query, self.key, self.fit = nn.Linear(hidden, width), nn.Linear(width, width), nn.Linear(width, 1)
        self.gate = nn.Linear(hidden, width)
        self.cell = nn.GRUCell(2 * width, hidden)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden + width, len(words) + 1))
        self.language = Language(len(words), 64)

    def see(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Turn region features into what is attended to (n, regions, width), and the first state (n, hidden)."""
        seen = self.look((features - self.mean) / self.spread)
        return seen, self.begin(seen.mean(1)).tanh()

    def step(self, seen: Tensor, state: Tensor, word: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take the last word (n,); return log-chances of the next (n, words + 1), the state and the attention."""
        share = self.fit((self.key(seen) + self.query(state)[:, None]).tanh())[..., 0].softmax(1)
        view = self.gate(state).sigmoid() * torch.einsum("nr,nrw->nw", share, seen)
        state = self.cell(torch.cat([self.embedding(word), view], 1), state)
        return self.out(torch.cat([state, view], 1)).log_softmax(-1), state, share

    def forward(self, features: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Read along sentences (n, length), start first: log-chances (n, length, words + 1) and attention."""
        seen, state = self.see(features)
        chances, shares = [], []
        for word in given.unbind(1):
            chance, state, share = self.step(seen, state, word)
            chances.append(chance)
            shares.append(share)
        return torch.stack(chances, 1), torch.stack(shares, 1)

    @property
    def start(self) -> int:
        """Return the number that stands before the first word."""
        return len(self.words) + 1


def given(tokens: Tensor, start: int) -> Tensor:
    """Shift sentences (n, length) by one, so that each word is foretold from those before it."""
    return F.pad(tokens[:, :-1], (1, 0), value=start)


def likelihood(chances: Tensor, tokens: Tensor) -> Tensor:
    """Sum log-chances (n, length, words + 1) of sentences' words, their first end included: (n,)."""
    counted = F.pad(tokens[:, :-1] != END, (1, 0), value=True)
    return (chances.gather(2, tokens[..., None])[..., 0] * counted).sum(1)


@torch.no_grad()
def write(captioner: Captioner, features: Tensor, *, beam: int = 50, weight: float = 0.2) -> list[str]:
    """Write a sentence about each unit's region features (K, regions, features)."""
    if beam < 1 or weight < 0:
        raise ValueError(f"beam is 1 or more and weight is not negative, got {beam} and {weight}")
    return [words for some in features.split(TOGETHER) for words in written(captioner, some, beam, weight)]


def written(captioner: Captioner, features: Tensor, beam: int, weight: float) -> list[str]:
    """Find sentences by beam search, then choose by what the regions add to a language model's liking."""
    tokens, score = search(captioner, features, beam)
    k, b, length = tokens.shape
    flat = tokens.flatten(0, 1)
    usual = likelihood(captioner.language(given(flat, captioner.start)), flat).view(k, b)
    best = (score - weight * usual.where(score.isfinite(), 0.0)).argmax(1)
    rows = tokens[torch.arange(k, device=tokens.device), best].tolist()
    return [" ".join(captioner.words[i - 1] for i in row if i != END) for row in rows]


def search(captioner: Captioner, features: Tensor, beam: int) -> tuple[Tensor, Tensor]:
    """Return the likeliest sentences of each unit, (K, beam, LONGEST + 1), and their log-chances (K, beam)."""
    seen, state = captioner.see(features)
    k, choices = len(features), len(captioner.words) + 1
    seen, state = (part[:, None].expand(-1, beam, *part.shape[1:]).flatten(0, 1) for part in (seen, state))
    tokens = torch.full((k, beam, LONGEST + 1), END, device=features.device)
    score = torch.full((k, beam), -torch.inf, device=features.device)
    score[:, 0] = 0.0  # all beams are alike at first
    word = torch.full((k * beam,), captioner.start, device=features.device)
    units = torch.arange(k, device=features.device)[:, None]
    for place in range(LONGEST + 1):
        chance, state, _ = captioner.step(seen, state, word)
        chance = only_allowed(chance.view(k, beam, choices), word.view(k, beam), place)
        score, at = (score[..., None] + chance).flatten(1).topk(beam, 1)
        origin, word = at // choices, at % choices
        tokens, state = tokens[units, origin], state.view(k, beam, -1)[units, origin].flatten(0, 1)
        tokens[:, :, place], word = word, word.flatten()
        if not word.any():
            break
    return tokens, score


def only_allowed(chance: Tensor, word: Tensor, place: int) -> Tensor:
    """Let ended sentences only end again, at no cost, no sentence be empty, and all end after the longest."""
    chance = chance.clone()
    if place == 0:
        chance[..., END] = -torch.inf
    if place == LONGEST:
        chance[..., 1:] = -torch.inf
    ended = torch.full_like(chance[0, 0], -torch.inf)
    ended[END] = 0.0
    return torch.where((word == END)[..., None], ended, chance)
