"""Train the captioner of MILAN: `python -m sightglass.explain.milan_train`.

It learns from neurons of networks that the book doesn't explain with it, whose regions are described by what the world
drew there. Weights and card land in data/weights/world/.
"""

from __future__ import annotations

import hashlib
import json
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..zoo import weights
from .milan import ENCODER, NAME
from .milan_data import Examples, gather
from .milan_net import Captioner, given, likelihood, write
from .milan_regions import LEVELS
from .milan_words import Account, captions

RECIPE = {
    "networks": ["densenet121", "convnext_base", "swinv2_base", "vit_l_16"], "held out": ["resnet18"],
    "images": 4800, "shards": 2, "plants": 60, "people": 8, "steps": 2000, "batch": 128, "rate": 2e-3, "decay": 0.05,
    "regions": 12, "dropout": 0.3, "width": 96, "hidden": 128, "seed": 0,
}  # fmt: skip
FREE = frozenset(("a", "an", "and", "the", "thing"))  # words that say nothing


def train() -> dict:
    """Train the captioner from its recipe, write its weights and card, return the card."""
    started = time.process_time()  # minutes of one core, whatever else the machine does
    examples = gather(RECIPE["networks"], "train", RECIPE["images"], shards=RECIPE["shards"], plants=RECIPE["plants"])
    with torch.random.fork_rng():
        torch.manual_seed(RECIPE["seed"])
        model = fit(examples, RECIPE)
    minutes = round((time.process_time() - started) / 60, 1)
    held_out = {name: scores(model, gather([name], "test", 2400)) for name in RECIPE["held out"]}
    return save(model, {"units": len(examples.facts), "minutes": minutes, "accuracy": held_out})


def numbers(facts: list[Account], people: int, seed: int, words: list[str]) -> Tensor:
    """Let people describe units, in word numbers (K, people, longest + 1), 0 where a sentence has ended."""
    from ..zoo.imagetext import tokenise

    draws = torch.Generator().manual_seed(seed)
    said = tokenise([caption for account in facts for caption in captions(account, draws, people)], words)
    return F.pad(said, (0, 1)).unflatten(0, (len(facts), people))


def fit(examples: Examples, recipe: dict) -> Captioner:
    """Train captioner and language model side by side, with a one-cycle schedule; return them in eval mode."""
    from ..zoo.losses import training_words
    from ..zoo.train import halve, optimiser

    features, words = examples.features, training_words()
    tokens = numbers(examples.facts, recipe["people"], recipe["seed"], words)
    model = Captioner(features.shape[2], words, **{name: recipe[name] for name in ("width", "hidden", "dropout")})
    flat = features.flatten(0, 1)
    model.mean.copy_(flat.mean(0))
    model.spread.copy_(flat.std(0).clamp_min(1e-4))
    adam, cycle = optimiser(model.train(), {**recipe, "warm_up": 0.1}, recipe["steps"])
    for _ in range(recipe["steps"]):
        loss = step_loss(model, features, tokens, recipe)
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        adam.step()
        cycle.step()
    return halve(model.eval().requires_grad_(False))


def step_loss(model: Captioner, features: Tensor, tokens: Tensor, recipe: dict) -> Tensor:
    """Return the loss of a random batch: one person's words on each unit, from some of its regions."""
    k, top = features.shape[:2]
    units = torch.randint(k, (recipe["batch"],))
    words = tokens[units, torch.randint(tokens.shape[1], (recipe["batch"],))]
    words = words[:, : int((words > 0).sum(1).max()) + 1]
    rows = torch.rand(len(units), top).topk(recipe["regions"], 1).indices
    seen = features[units[:, None], rows]
    chances, attention = model(seen, given(words, model.start))
    usual = model.language(given(words, model.start))
    even = (1 - attention.sum(1)).square().mean()
    return -(likelihood(chances, words) + likelihood(usual, words)).mean() + even


def scores(model: Captioner, examples: Examples) -> dict[str, float]:
    """Measure the share of captions of which every word is true, and the share of true words that they mention."""
    true, told = [], []
    for caption, account in zip(write(model, examples.features), examples.facts, strict=True):
        said, right = set(caption.split()), set(account.all().split())
        true.append(said <= right | account.more() | FREE)
        told.append(len(said & right - FREE) / max(1, len(right - FREE)))
    return {"true": round(sum(true) / len(true), 4), "told": round(sum(told) / len(told), 4)}


def save(model: Captioner, facts: dict) -> dict:
    """Write float16 weights and their card, each under a temporary name first; return the card."""
    from safetensors.torch import save as pack

    from ..files import write as write_file

    weights.check_finite(model.state_dict(), NAME)
    content = pack({k: v.half().contiguous() for k, v in model.state_dict().items()})
    sizes = {"features": model.mean.numel(), "width": RECIPE["width"], "hidden": RECIPE["hidden"]}
    card = {
        "name": NAME, "family": "MILAN", "encoder": ENCODER, "taps": LEVELS, **sizes, "words": model.words,
        "recipe": RECIPE, **facts, "parameters": sum(p.numel() for p in model.parameters()),
        "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content),
    }  # fmt: skip
    write_file(weights.FOLDER / f"{NAME}.safetensors", content)
    write_file(weights.FOLDER / f"{NAME}.json", json.dumps(card, indent=1) + "\n")
    return card


def main() -> None:
    """Train the captioner and say how well it does."""
    card = train()
    print(f"{NAME}: {card['accuracy']} in {card['minutes']} min, {card['bytes'] / 1e6:.2f} MB", flush=True)


if __name__ == "__main__":
    main()
