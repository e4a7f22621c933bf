"""Sightglass: look inside vision networks, one notebook at a time."""

from importlib import import_module

__version__ = "0.1.0"

# Everything is fetched on first use, so that `import sightglass` stays quick and loads no torch.
_NAMES = {
    "kept": ("press.kept", "kept"),
    "kept_each": ("press.kept", "kept_each"),
    "load": ("editions", "load"),
    "model": ("zoo", "model"),
}
_MODULES = (
    "concepts", "editions", "explain", "metrics", "plot", "press", "relevance", "show", "study", "visualize", "world",
    "zoo",
)  # fmt: skip

__all__ = [*_NAMES, *_MODULES, "__version__"]


def __getattr__(name: str):
    """Import a public name of the package when it is first asked for."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _NAMES:
        module, attribute = _NAMES[name]
        return getattr(import_module(f"{__name__}.{module}"), attribute)
    raise AttributeError(f"sightglass has no {name!r}; it has {', '.join(sorted(__all__))}")


def __dir__() -> list[str]:
    """List the public names, so that tab completion finds the lazy ones."""
    return sorted(__all__)
