"""A network with its normalisation in front: what leaves tasearch. Needs torch alone, because its text leaves too."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalised(nn.Module):
    """A network that takes images in [0, 1] and normalises them per channel itself."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """`mean`, `std`: one of each per channel, in units of [0, 1]."""
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Map images in [0, 1], float32 (N, C, H, W), to logits (N, K)."""
        logits: Tensor = self.net((images - self.mean) / self.std)
        return logits
