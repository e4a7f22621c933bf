"""How good a visualization is, in numbers: what networks say of it, and how far it is from real images.

Every results table of the book uses these. Images are float (n, 3, h, w) in [0, 1], or bytes, on any device.
"""

from .embedding import tsne
from .frechet import floor, frechet
from .images import accuracy, eight_bits, features
from .neurons import auc, mad
from .uncertainty import bootstrap, standard_error, wilson
from .zero_shot import class_vectors, default_templates, zero_shot

__all__ = [
    "accuracy", "auc", "bootstrap", "class_vectors", "default_templates", "eight_bits", "features", "floor",
    "frechet", "mad", "standard_error", "tsne", "wilson", "zero_shot",
]  # fmt: skip
