"""The house look: fonts, widths, and one colour per method everywhere, safe for colour-blind readers.

The palette is that of Okabe and Ito; markers go with the colours, so that colour is never the only sign.
"""

from typing import Any

from ..names import unknown

DPI, WIDEST = 110, 8.0
INK, FAINT = "#222222", "#8A8A8A"
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
# A colour belongs to one method in the whole book; methods that share one never meet in a figure.
METHOD_COLOURS = {
    "real": "#444444", "random": "#999999",
    "vital": "#D55E00", "maco": "#0072B2", "fourier": "#56B4E9", "deepinversion": "#009E73", "pii": "#CC79A7",
    "pixels": "#E69F00",
    "featinv": "#D55E00", "featinv pooled": "#E69F00", "nearest": "#0072B2", "regression": "#009E73",
    "le label": "#E69F00", "le siglip": "#D55E00", "clip-dissect": "#0072B2", "milan": "#009E73",
    "network dissection": "#CC79A7",
    "srd": "#D55E00", "cafe": "#E69F00", "attnlrp": "#009E73", "lrp": "#117733", "gradient": "#999999",
    "input x gradient": "#666666", "guided backpropagation": "#CC79A7", "smoothgrad": "#AA4499",
    "integrated gradients": "#882255", "deeplift": "#661100", "fullgrad": "#332288", "gradcam": "#0072B2",
    "gradcam++": "#56B4E9", "layercam": "#88CCEE", "xgradcam": "#44AA99", "scorecam": "#6699CC",
    "ablationcam": "#DDCC77",
}  # fmt: skip
METHOD_MARKERS = {"real": ".", "vital": "s", "maco": "^", "fourier": "o", "deepinversion": "*", "pii": "D"}
ALIASES = {
    "deepinv": "deepinversion", "realimages": "real", "original": "real", "guidedbp": "guidedbackpropagation",
    "guidedbackprop": "guidedbackpropagation", "saliency": "gradient", "clipdissect": "clip-dissect",
    "inputgradient": "inputxgradient", "ig": "integratedgradients", "netdissect": "networkdissection",
    "gradcampp": "gradcam++", "linear": "le siglip", "pluginversion": "pii", "plugininversion": "pii",
}  # fmt: skip


def style() -> None:
    """Set the house look for every figure drawn from now on."""
    import matplotlib as mpl
    from cycler import cycler

    mpl.rcParams.update({
        "figure.figsize": (WIDEST, 3.2), "figure.dpi": DPI, "savefig.dpi": DPI, "figure.facecolor": "white",
        "savefig.facecolor": "white", "figure.constrained_layout.use": True, "font.family": "DejaVu Sans",
        "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8,
        "legend.fontsize": 8, "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False,
        "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK, "xtick.color": FAINT,
        "ytick.color": FAINT, "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.linewidth": 0.8,
        "axes.axisbelow": True, "axes.grid": False, "grid.color": "#E3E3E3", "grid.linewidth": 0.6,
        "axes.prop_cycle": cycler(color=PALETTE), "lines.linewidth": 1.6, "lines.markersize": 5,
        "image.cmap": SEQUENTIAL, "image.interpolation": "nearest", "hist.bins": 40,
    })  # fmt: skip


def _plain(name: str) -> str:
    """Reduce a method's name to its letters, digits and plusses."""
    return "".join(c for c in name.lower() if c.isalnum() or c == "+")


def _method(name: str, table: dict[str, Any]) -> Any:
    """Look a method up by any usual spelling of its name."""
    known = {_plain(key): value for key, value in table.items()}
    key = _plain(_plain_alias(name))
    if key not in known:
        raise ValueError(unknown("method", name, table) + "; add yours to plot.METHOD_COLOURS")
    return known[key]


def _plain_alias(name: str) -> str:
    """Follow a method's other names to the one in the table."""
    return ALIASES.get(_plain(name), name)


def colour(method: str) -> str:
    """Give a method's colour, the same in every figure of the book."""
    return _method(method, METHOD_COLOURS)


def marker(method: str) -> str:
    """Give a method's marker, so that colour is never the only sign."""
    return _method(method, METHOD_MARKERS)
