"""What does a neuron want to see? Feature visualization, one signature for every method: `METHODS[name](...)`."""

_NAMES = ("BASELINES", "METHODS", "applies")


def __getattr__(name: str):
    """Import the methods when one is asked for, since they need torch."""
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import methods

    return getattr(methods, name)
