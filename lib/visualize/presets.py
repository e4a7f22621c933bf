"""Settings of VITAL: the official ones, and those of the world. See `book/vital/3-2-distribution-matching`."""

from torch import nn

from ..names import unknown

# what the published optimiser does, and what 64 pixels and a small network need (see the notebook)
PRESETS = {
    "paper": dict(steps=2000, lr=1.0, jitter=30 / 224, start=1.0, tv=0.0, l2=0.0, weights="even",
                  relevance=None, taps=None),
    "world": dict(steps=150, lr=1.0, jitter=6 / 64, start=0.05, tv=5e-4, l2=0.0, weights="scale-free",
                  relevance=None, taps=None),
}  # fmt: skip
# where a network needs something else, by timm class and, for the official ViTs, by patch size; in the world because
# a transformer's picture is grainy at the full step, and a DenseNet's where little is smoothed
EXCEPTIONS = {
    "paper": {
        "DenseNet": dict(weights=(1, 1, 1, 1, 100)),
        "ConvNeXt": dict(weights=(10, 1, 1, 1, 1)),
        "VisionTransformer 16": dict(tv=3e-3, l2=3e-3),
        "VisionTransformer 32": dict(tv=3e-4, l2=3e-4, weights=(1, 1, 1, 1, 0.1)),
    },
    "world": {
        "DenseNet": dict(tv=1e-3),
        "ConvNeXt": dict(tv=2e-4),
        "VisionTransformer": dict(steps=250, lr=0.3, tv=2e-3),
        "SwinTransformerV2": dict(steps=250, lr=0.3, tv=5e-4),
    },
}


def settings(model: nn.Module, preset: str, options: dict) -> dict:
    """Return a preset's settings for a network with the caller's options in place; unknown names are refused."""
    if preset not in PRESETS:
        raise KeyError(unknown("preset", preset, PRESETS))
    for option in options:
        if option not in PRESETS[preset]:
            raise TypeError(unknown("option of vital", option, PRESETS[preset]))
    name = type(model).__name__
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", [""])[0]
    special = EXCEPTIONS[preset].get(f"{name} {patch}") or EXCEPTIONS[preset].get(name, {})
    return PRESETS[preset] | special | options
