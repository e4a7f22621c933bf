"""Editions: a YAML file says what a run looks at (pictures and networks), and every notebook takes one.

``load("world")`` or ``load("my.yaml")`` gives a frozen record that draws or reads images, builds
networks, and says of anything it can't give why not. Every notebook of the book starts with it.
"""

from .doctor import Need, doctor
from .record import Edition, Images, Network, Pictures
from .spec import available, load, read

__all__ = ["Edition", "Images", "Need", "Network", "Pictures", "available", "doctor", "load", "read"]
