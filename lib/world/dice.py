"""Random numbers that are a pure function of (seed, index, name).

Every draw has a name, so changing one thing in a scene leaves all other draws as they were, and an image has the same
pixels in whatever batch it is drawn. Used by every module of the world.
"""

import hashlib
from functools import cache

import torch
from torch import Tensor

GOLDEN, FIRST, SECOND = (c - 2**64 for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def shift(z: Tensor, bits: int) -> Tensor:
    """Shift right and fill with zeros (torch fills with the sign)."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def mix(z: Tensor) -> Tensor:
    """Scramble 64-bit integers so that neighbours share nothing (the finaliser of SplitMix64)."""
    z = (z ^ shift(z, 30)) * FIRST
    z = (z ^ shift(z, 27)) * SECOND
    return z ^ shift(z, 31)


@cache
def code(name: str) -> int:
    """Turn a name into a signed 64-bit integer, the same in every process."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


class Dice:
    """One stream of named random numbers per image; every result has a leading axis of images."""

    def __init__(self, keys: Tensor):
        self.keys = keys

    @classmethod
    def of(cls, seed: int, index: Tensor) -> "Dice":
        """Give each image of a seed its own stream."""
        return cls(mix(index.long() * GOLDEN + mix(torch.tensor(seed) + code("seed"))))

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, which: Tensor) -> "Dice":
        return Dice(self.keys[which])

    def child(self, name: str) -> "Dice":
        """Start an independent stream, for example for the second object of a scene."""
        return Dice(mix(self.keys ^ code(name)))

    def bits(self, name: str, *shape: int) -> Tensor:
        """Draw 64 random bits for each place of a field (n, *shape)."""
        places = torch.arange(1, 1 + torch.Size(shape).numel(), device=self.keys.device) * GOLDEN
        return mix(mix(self.keys ^ code(name))[:, None] + places).view(-1, *shape)

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0, *, shape: tuple[int, ...] = (1, 1)) -> Tensor:
        """Draw evenly from [low, high)."""
        return shift(self.bits(name, *shape), 40).float() * ((high - low) * 2.0**-24) + low

    def normal(self, name: str, *, shape: tuple[int, ...] = (1, 1)) -> Tensor:
        """Draw bell-shaped numbers of mean 0 and deviation 1: the sum of four 16-bit uniforms, never beyond 3.5."""
        bits = self.bits(name, *shape)
        total = sum((bits >> k) & 0xFFFF for k in (0, 16, 32, 48))
        return (total.float() * 2.0**-16 - 2.0) * 3.0**0.5

    def choice(self, name: str, options: int) -> Tensor:
        """Draw one integer below `options` per image, (n,)."""
        return shift(self.bits(name, 1), 33).squeeze(1) % options

    def coin(self, name: str, probability: float = 0.5) -> Tensor:
        """Draw yes or no per image, (n,)."""
        return self.uniform(name, shape=(1,)).squeeze(1) < probability
