"""What a neuron or a layer stands for: the patches it answers to, their groups, CRAFT's directions, small circuits."""

from .circuits import circuit
from .clusters import Clusters, clusters
from .craft import Concepts, craft
from .patches import Patches, pooled, top_patches

__all__ = ["Clusters", "Concepts", "Patches", "circuit", "clusters", "craft", "pooled", "top_patches"]
