"""How near a word is to the true one: cosine similarity of a text encoder's vectors. See `fig-vital-42`.

By default the encoder is the text tower of the world's `clip`, which works offline and knows the world's words; the
paper used another (Universal Sentence Encoder), so similarities of the two are on different scales.
"""

from collections.abc import Callable, Sequence
from difflib import get_close_matches

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Encode = Callable[[Sequence[str]], Tensor]
# what people call the world's things, in the words that its networks have learned
SYNONYMS = {
    "mushroom": "agaric", "toadstool": "agaric", "fungus": "agaric", "ladybug": "ladybird", "beetle": "ladybird",
    "bumblebee": "bee", "honeybee": "bee", "wasp": "bee", "bunny": "rabbit", "hare": "rabbit", "dog": "dalmatian",
    "puppy": "dalmatian", "kitten": "cat", "kitty": "cat", "pony": "horse", "foal": "horse", "owlet": "owl",
    "boat": "sailboat", "ship": "sailboat", "yacht": "sailboat", "spaceship": "rocket", "missile": "rocket",
    "automobile": "car", "taxi": "car", "coach": "bus", "daisy": "sunflower", "flower": "sunflower",
    "fruit": "plant", "tree": "plant", "nemo": "clownfish", "beacon": "lighthouse", "bug": "insect",
    "airballoon": "balloon", "robin": "finch", "gray": "grey", "stripes": "striped", "dots": "spotted",
}  # fmt: skip
SMALL = {"a", "an", "the", "and", "of", "with", "in", "on", "at"}


def encoder(name: str | nn.Module = "world/clip") -> Encode:
    """Return a function from phrases to unit vectors (n, width), zero where no word is known.

    `name` is a network with `phrases`, the name of such a world network, or a model of sentence-transformers.
    """
    if isinstance(name, str) and not name.startswith("world/"):
        return _sentences(name)
    if isinstance(name, str):
        from ..zoo import model

        name = model(name)
    words = getattr(name, "words", None)
    return lambda texts: _vectors(name, [known(text, words) if words else text for text in texts])


def similarity(answers: Sequence[str], truths: Sequence[str], encode: Encode) -> Tensor:
    """Return the cosine similarity (n,) of each answer to its truth; an answer without a known word counts 0."""
    if len(answers) != len(truths):
        raise ValueError(f"{len(answers)} answers need as many true words, got {len(truths)}")
    if not answers:
        return torch.zeros(0)
    return (encode(list(answers)) * encode(list(truths))).sum(1).cpu()


def known(text: str, words: Sequence[str]) -> str:
    """Say a phrase in the words that a network has learned: synonyms, singulars, small slips of the pen."""
    parts = text.lower().replace("hot air balloon", "balloon").replace("-", " ").split()
    found = [word for part in parts if (word := _word(part.strip(".,;:!?'\""), words))]
    return " ".join(found) if set(found) - SMALL else ""


def _word(word: str, words: Sequence[str]) -> str:
    """Find a word of the vocabulary that means the same, "" when there is none."""
    for form in (word, word.removesuffix("s"), word.removesuffix("es")):
        form = SYNONYMS.get(form, form)
        if form in words:
            return form
    near = get_close_matches(word, [*words, *SYNONYMS], n=1, cutoff=0.83) if len(word) > 3 else []
    return SYNONYMS.get(near[0], near[0]) if near else ""


@torch.no_grad()
def _vectors(network: nn.Module, texts: Sequence[str]) -> Tensor:
    """Encode phrases, the empty ones as zero vectors."""
    there = [i for i, text in enumerate(texts) if text]
    if not there:
        return torch.zeros(len(texts), 1)
    vectors = F.normalize(network.phrases([texts[i] for i in there]).float(), dim=-1).cpu()
    return torch.zeros(len(texts), vectors.shape[1]).index_copy(0, torch.tensor(there), vectors)


def _sentences(name: str) -> Encode:
    """Take an encoder of sentence-transformers, where that is installed."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise ModuleNotFoundError(
            f"the encoder {name!r} needs sentence-transformers, which isn't installed; world/clip needs nothing more"
        ) from None
    model = SentenceTransformer(name)
    return lambda texts: model.encode(list(texts), convert_to_tensor=True, normalize_embeddings=True).cpu()
