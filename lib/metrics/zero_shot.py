"""What an image-text network, as an independent judge, says that images show. See `tab-vital-1`.

A judge is a network of the zoo or of open_clip: `judge(x)` and `judge.phrases(texts)` give unit vectors.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .images import batches

Template = str | Callable[[str], str]


def default_templates(judge: nn.Module) -> list[Template]:
    """Return the phrases that a judge is asked about by default: the world's, or the 80 of ImageNet for open_clip."""
    if not hasattr(judge, "words"):
        from open_clip import OPENAI_IMAGENET_TEMPLATES

        return list(OPENAI_IMAGENET_TEMPLATES)
    from ..world import BACKGROUNDS, place
    from ..world.vocabulary import article

    # every place once, so that none of them speaks for a class
    return ["{}", article, *(partial(at_place, where=place(background)) for background in BACKGROUNDS)]


def at_place(name: str, where: str) -> str:
    """Say where a thing is: `an owl on grass`."""
    from ..world.vocabulary import article

    return f"{article(name)} {where}"


@torch.no_grad()
def class_vectors(judge: nn.Module, classes: Sequence[str], templates: Sequence[Template]) -> Tensor:
    """Average the vectors of each class's phrases: unit vectors (classes, width)."""
    say = [form.format if isinstance(form, str) else form for form in templates]
    vectors = [judge.phrases([form(name) for form in say]).mean(0) for name in classes]
    return F.normalize(torch.stack(vectors), dim=-1)


@torch.no_grad()
def zero_shot(
    judge: nn.Module,
    images: Tensor,
    classes: Sequence[str],
    target: Tensor,
    *,
    templates: Sequence[Template] | None = None,
    batch: int = 120,
) -> tuple[float, float]:
    """Return how often the target (n,) is a judge's first choice among the classes, and among its first five."""
    target = torch.as_tensor(target)
    strange = [t for t in target.tolist() if not 0 <= t < len(classes)]
    if len(target) != len(images) or strange:
        found = f"{len(target)}, among them {strange[0]}" if strange else f"{len(target)}"
        raise ValueError(f"{len(images)} images need as many targets from 0 to {len(classes) - 1}, got {found}")
    wanted = class_vectors(judge, classes, default_templates(judge) if templates is None else templates)
    vectors = torch.cat([judge(x) for x in batches(judge, images, batch)])
    ranked = (vectors @ wanted.T).topk(min(5, len(classes))).indices.cpu() == target.cpu()[:, None]
    return ranked[:, 0].float().mean().item(), ranked.any(1).float().mean().item()
