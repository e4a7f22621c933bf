"""What neurons stand for, in words: linear explanations from a matrix of concepts. See Part II of the book."""

from .ablation import Ablation, Rows, ablation
from .calibration import calibrate
from .cause import Effects, causes, effects, judge
from .dissect import Dissection, dissect, maps_of
from .explanations import Explanations, of_words
from .exports import load
from .head import Head, head_of, loss_changes
from .impact import BETAS, head_impacts, layer_impacts, top_impact
from .masks import Category, world_categories
from .matrix import Matrix, cosines, encode, from_labels, from_text, usable, with_parents
from .methods import METHODS, described, played, scores
from .painting import paintable, painted
from .probe import Probe, activations, last_units, matrices, mlp_units, probe, probing, seen_by, usual_taps
from .simulate import correlations, dead, mean_and_error, simulate
from .solve import explain
from .splits import Splits, split
from .trace import trace
from .vocabularies import concepts, labels, truth
from .wpmi import best_words, soft_wpmi

__all__ = [
    "BETAS", "METHODS", "Ablation", "Category", "Dissection", "Effects", "Explanations", "Head", "Matrix", "Probe",
    "Rows", "Splits", "ablation", "activations", "best_words", "calibrate", "causes", "concepts", "correlations",
    "cosines", "dead", "described", "dissect", "effects", "encode", "explain", "from_labels", "from_text",
    "head_impacts", "head_of", "judge", "labels", "last_units", "layer_impacts", "load", "loss_changes", "maps_of",
    "matrices", "mean_and_error", "mlp_units", "of_words", "paintable", "painted", "played", "probe", "probing",
    "scores", "seen_by", "simulate", "soft_wpmi", "split", "top_impact", "trace", "truth", "usable", "usual_taps",
    "with_parents", "world_categories",
]  # fmt: skip
