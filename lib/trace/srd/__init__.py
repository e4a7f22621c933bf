"""SRD: how much each position of a layer has in each position of the next, forwards as iERFs and backwards as maps.

`backward` is the fast way, one modified backward pass; `forward` the definition; `replay` a form with true gradients.
"""

from .backward import Srd, ierf, mixture, relevance_of_layers, srd
from .encode import resolutions
from .forward import forward_ierf, sharing_ratios
from .replay import srd_differentiable

__all__ = ["Srd", "forward_ierf", "ierf", "mixture", "relevance_of_layers", "resolutions", "sharing_ratios", "srd",
           "srd_differentiable"]  # fmt: skip
