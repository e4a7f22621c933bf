"""A map of features in the plane. See `fig-vital-6`, `fig-vital-16` and `fig-vital-17`."""

import torch
from torch import Tensor


def tsne(*features: Tensor, perplexity: float = 30, seed: int = 0) -> list[Tensor]:
    """Embed several sets of features (n, d) together by t-SNE; return a set of points (n, 2) for each."""
    from sklearn.manifold import TSNE

    every = torch.cat([f.detach().cpu().float() for f in features])
    if not 0 < perplexity < len(every):
        raise ValueError(f"t-SNE with a perplexity of {perplexity:g} needs more points than that, got {len(every)}")
    points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(every.numpy())
    return list(torch.from_numpy(points).split([len(f) for f in features]))
