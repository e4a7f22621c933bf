"""Settings of VITAL: the official ones, and those of the world. See `book/vital/3-2-distribution-matching`."""

from torch import nn

from ..names import unknown

# what the published optimiser does, and what 64 pixels and a small network need (see the notebook)
PRESETS = {
    "paper": dict(steps=2000, lr=1.0, jitter=30 / 224, start=1.0, centre=0.0, tv=0.0, l2=0.0,
                  weights="even", relevance=None, taps=None),
    "world": dict(steps=100, lr=1.0, jitter=6 / 64, start=0.5, centre=0.4, tv=5e-4, l2=0.0,
                  weights="scale-free", relevance=None, taps=None),
}  # fmt: skip
# where a network needs something else, by timm class and, for the official ViTs, by patch size; in the world because
# a transformer's picture is grainy at the full step
EXCEPTIONS = {
    "paper": {
        "DenseNet": dict(weights=(1, 1, 1, 1, 100)),
        "ConvNeXt": dict(weights=(10, 1, 1, 1, 1)),
        "VisionTransformer 16": dict(tv=3e-3, l2=3e-3),
        "VisionTransformer 32": dict(tv=3e-4, l2=3e-4, weights=(1, 1, 1, 1, 0.1)),
    },
    "world": {
        "ConvNeXt": dict(steps=150, tv=4e-4),
        "VisionTransformer": dict(steps=130, lr=0.3, start=1.0),
        "VisionTransformer 16": dict(steps=130, lr=0.3, start=1.0, tv=6e-4),
        "SwinTransformerV2": dict(steps=130, lr=0.3),
    },
}


def settings(
    model: nn.Module, preset: str, options: dict, *, method: str = "vital", presets: dict = PRESETS,
    exceptions: dict = EXCEPTIONS,
) -> dict:  # fmt: skip
    """Return a preset's settings for a network with the caller's options in place; unknown names are refused."""
    if preset not in presets:
        raise KeyError(unknown("preset", preset, presets))
    for option in options:
        if option not in presets[preset]:
            raise TypeError(unknown(f"option of {method}", option, presets[preset]))
    name = type(model).__name__
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", [""])[0]
    known = exceptions.get(preset, {})
    return presets[preset] | (known.get(f"{name} {patch}") or known.get(name, {})) | options
