"""Sparse autoencoders: activations h as sums of few of many atoms (section V-A), plain or Matryoshka.

Plain is the paper's Eqs. 8 and 9: z = ReLU(W_e (h - b_d)), h^ = W_d z - b_h, trained on ||h - h^||^2 + lambda ||z||_1.
Matryoshka keeps the largest codes of a whole batch instead of paying for their size, and lets the first few atoms,
then more, then all of them rebuild h, so that early atoms stay general. Atoms have length 1 in both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...files import write
from ...zoo import shipped
from ...zoo.weights import read_tensors

MADE_BY = "python -m sightglass.trace.cafe.sae_train"
KINDS = ("matryoshka", "plain")
_TENSORS = ("encoder", "atoms", "before", "bias", "after", "threshold", "prefixes")


@dataclass(frozen=True)
class Sae:
    """K latents of c channels: z = ReLU(encoder (h - before) + bias) where above threshold, h^ = z atoms + after.

    encoder and atoms are (K, c), before and after (c,), bias (K,), threshold (1,); prefixes are the numbers of atoms
    that rebuild h by themselves, (1,) for a plain one. `after` is the paper's -b_h, `before` its b_d; a plain
    autoencoder has no bias and no threshold.
    """

    encoder: Tensor
    atoms: Tensor
    before: Tensor
    bias: Tensor
    after: Tensor
    threshold: Tensor
    prefixes: Tensor

    @property
    def kind(self) -> str:
        """Say which of the two it is."""
        return "matryoshka" if len(self.prefixes) > 1 else "plain"

    def drive(self, h: Tensor) -> Tensor:
        """Return what goes into the ReLU, (..., K) for h (..., c)."""
        if h.shape[-1] != self.encoder.shape[1]:
            raise ValueError(f"this autoencoder takes {self.encoder.shape[1]} channels, found {tuple(h.shape)}")
        return (h - self.before) @ self.encoder.T + self.bias

    def encode(self, h: Tensor) -> Tensor:
        """Return codes (..., K) of activations (..., c); the threshold is a gate without a gradient of its own."""
        codes = self.drive(h).relu()
        return codes * (codes > self.threshold)

    def decode(self, codes: Tensor) -> Tensor:
        """Return activations (..., c) of codes (..., K)."""
        return codes @ self.atoms + self.after


@torch.no_grad()
def quality(sae: Sae, activations: Tensor) -> dict[str, float]:
    """Measure codes of activations (n, c): relative error ||h - h^|| / ||h||, codes a PFV, share of dead latents."""
    codes = sae.encode(activations)
    error = (activations - sae.decode(codes)).norm(dim=1) / activations.norm(dim=1).clamp_min(1e-12)
    used = codes > 0
    return {
        "relative error": error.mean().item(),
        "codes": used.sum(1).float().mean().item(),
        "dead": (~used.any(0)).float().mean().item(),
    }


def tensors(sae: Sae) -> dict[str, Tensor]:
    """Return an autoencoder's tensors by name."""
    return {name: getattr(sae, name) for name in _TENSORS}


def from_tensors(state: dict[str, Tensor], source: object) -> Sae:
    """Make an autoencoder from tensors by name."""
    missing = [name for name in _TENSORS if name not in state]
    if missing:
        raise ValueError(f"{source} is no sparse autoencoder: it has no {', '.join(missing)}")
    return Sae(**{name: state[name] for name in _TENSORS})


def save(sae: Sae, path: str | Path) -> None:
    """Write an autoencoder to a safetensors file, whole or not at all."""
    from safetensors.torch import save as pack

    write(Path(path), pack({name: value.contiguous() for name, value in tensors(sae).items()}))


def load(path: str | Path) -> Sae:
    """Read an autoencoder from a safetensors file."""
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    return from_tensors(read_tensors(path), path)


def card(network: str) -> dict:
    """Return the card of the autoencoders of a world network: recipe and quality of each layer's."""
    return shipped.card(f"sae_{network.removeprefix('world/')}", MADE_BY)


def world(network: str) -> dict[str, Sae]:
    """Return the shipped autoencoders of a world network, {layer: Sae}, in the order of its layers."""
    facts, state = shipped.read(card(network)["name"], MADE_BY)
    parts = {layer: shipped.part(state, layer, "/") for layer in facts["layers"]}
    return {layer: from_tensors(part, f"{facts['name']}, {layer}") for layer, part in parts.items()}


def joined(layers: Iterable[tuple[str, Sae]]) -> dict[str, Tensor]:
    """Return the tensors of many layers' autoencoders under their layers' names."""
    return {f"{layer}/{name}": value for layer, sae in layers for name, value in tensors(sae).items()}
