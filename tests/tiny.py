"""Tiny things that tests of inversion share: smooth pictures, and a network of two maps."""

import torch
from torch import nn


def pictures(n: int = 16, size: int = 16, seed: int = 0) -> torch.Tensor:
    """Make smooth pictures (n, 3, size, size) in [0, 1]."""
    coarse = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1)


class Net(nn.Module):
    """A network of two maps and a head."""

    def __init__(self, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.early, self.late = nn.Conv2d(3, 4, 4, 4), nn.Conv2d(4, 6, 2, 2)
        self.head = nn.Linear(6, 5)
        self.pretrained_cfg = dict(mean=(0.5,) * 3, std=(0.25,) * 3)

    def forward(self, x):
        """Classify."""
        return self.head(self.late(self.early(x).relu()).relu().mean((2, 3)))
