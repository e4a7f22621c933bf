"""CAFE: which patches made a latent of a sparse autoencoder fire, wherever it fires."""

from .attributions import METHODS, cafe
from .insert import area, distance, insertion
from .latents import Fired, Peaks, fire, peaks
from .sae import Sae, world
from .sae_fit import train

__all__ = ["METHODS", "Fired", "Peaks", "Sae", "area", "cafe", "distance", "fire", "insertion", "peaks", "train",
           "world"]  # fmt: skip
