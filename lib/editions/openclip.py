"""Image-text networks of open_clip with the interface of the world's own: vectors, phrases, compare."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class OpenClip(nn.Module):
    """An open_clip network and its tokenizer."""

    def __init__(self, network: nn.Module, tokenizer: Callable[[list[str]], Tensor]):
        super().__init__()
        self.network, self.tokenizer = network, tokenizer

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (n,3,h,w) to unit vectors (n, width)."""
        return F.normalize(self.network.encode_image(images), dim=-1)

    def phrases(self, phrases: Sequence[str]) -> Tensor:
        """Map phrases to unit vectors (m, width)."""
        tokens = self.tokenizer(list(phrases)).to(self.network.logit_scale.device)
        return F.normalize(self.network.encode_text(tokens), dim=-1)

    def compare(self, images: Tensor, phrases: Tensor) -> Tensor:
        """Return the logits (n, m) that image vectors fit phrase vectors."""
        bias = getattr(self.network, "logit_bias", None)
        logits = images @ phrases.T * self.network.logit_scale.exp()
        return logits if bias is None else logits + bias


def fetch(name: str, weights: str) -> nn.Module:
    """Take a pretrained network: ``hf-hub:org/name``, or a name with its pretrained tag as weights."""
    import open_clip

    try:
        network, _ = open_clip.create_model_from_pretrained(name, pretrained=weights or None)
        model = OpenClip(network, open_clip.get_tokenizer(name))
    except (OSError, RuntimeError) as error:
        raise RuntimeError(f"open_clip could not give {name} {weights}: {error}") from None
    scale = open_clip.get_model_preprocess_cfg(network)
    size = scale["size"] if isinstance(scale["size"], (tuple, list)) else (scale["size"],) * 2
    colours = {"mean": tuple(scale["mean"]), "std": tuple(scale["std"])}
    model.pretrained_cfg = {**colours, "input_size": (3, *size)}
    return model
