"""What a training batch is compared with: labels for classifiers, true phrases for image-text networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]  # (model, normalised images, their rows) -> scalar


def classify(labels: Tensor, smoothing: float) -> Loss:
    """Return the cross-entropy against labels (n,) of a task."""

    def loss(model: nn.Module, images: Tensor, rows: Tensor) -> Tensor:
        target = labels[rows].to(images.device)
        return F.cross_entropy(model(images).float(), target, label_smoothing=smoothing)

    return loss


def sigmoid_loss(logits: Tensor, true: Tensor) -> Tensor:
    """Judge every (image, phrase) pair by itself: logits and truth (n, m)."""
    return F.binary_cross_entropy_with_logits(logits, true.float(), reduction="none").sum(1).mean()


def softmax_loss(logits: Tensor, true: Tensor) -> Tensor:
    """Share each image's weight over all its true phrases, and each phrase's over all its images."""
    by_phrase = true.any(0)
    both = ((logits, true), (logits.T[by_phrase], true.T[by_phrase]))
    return sum(F.cross_entropy(z, t.float() / t.sum(1, keepdim=True)) for z, t in both) / 2


def fit_phrases(scenes, kind: str, seed: int) -> Loss:
    """Return the loss against every concept phrase, and against captions written anew for each batch."""
    from .. import world
    from . import phrases

    known, concept, fact = phrases.mentions(), phrases.concept_truth(scenes), phrases.facts(scenes)
    forms = [phrases.concept_phrases(form) for form in (0, 1)]
    pair_loss = {"sigmoid": sigmoid_loss, "softmax": softmax_loss}[kind]
    draws = torch.Generator().manual_seed(seed)

    def loss(model: nn.Module, images: Tensor, rows: Tensor) -> Tensor:
        draw = int(torch.randint(2**31, (), generator=draws))
        captions = list(dict.fromkeys(world.captions(scenes[rows], draw)))
        said = phrases.truth(phrases.mentioned(captions, known), fact[rows])
        true = torch.cat([concept[rows], said], 1).to(images.device)
        # Two calls, since padding short names to the length of captions would cost more than both.
        vectors = torch.cat([model.phrases(forms[draw % 2]), model.phrases(captions)])
        return pair_loss(model.compare(model(images), vectors).float(), true)

    return loss


def training_words() -> list[str]:
    """Return every word that a concept phrase or a caption can use."""
    from . import phrases
    from .imagetext import vocabulary

    return vocabulary([*phrases.mentions(), *phrases.concept_phrases(0), *phrases.concept_phrases(1), "a an and the"])
