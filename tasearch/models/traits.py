"""What the code of a net allows: images that lie channels last, which is faster, and layers that are merged."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_CONTIGUOUS, _UNKNOWN = "tasearch_contiguous", "tasearch_unknown_code"


def keep_contiguous(net: nn.Module) -> None:
    """Note on a net that its code reads images as (N, C, H, W) in memory too (`x.view(len(x), -1)` after a pool)."""
    setattr(net, _CONTIGUOUS, True)


def keep_layers(net: nn.Module) -> None:
    """Note on a net that its code may read what any of its layers gives out, so that none may be merged."""
    setattr(net, _UNKNOWN, True)


def may_be_merged(net: nn.Module) -> bool:
    """Whether two layers of a `Sequential` that follow each other may be made one."""
    return not getattr(net, _UNKNOWN, False)


def memory_format(net: nn.Module) -> torch.memory_format:
    """Return how a net's images lie in memory."""
    return torch.contiguous_format if getattr(net, _CONTIGUOUS, False) else torch.channels_last


def placed(net: nn.Module, device: torch.device) -> nn.Module:
    """Return the net on a device, its filters laid out as its images."""
    moved: nn.Module = net.to(device=device)
    return moved if memory_format(net) is torch.contiguous_format else moved.to(memory_format=torch.channels_last)


def as_input(images: Tensor, net: nn.Module) -> Tensor:
    """Return images (B, C, H, W) laid out for a net."""
    if memory_format(net) is torch.channels_last:
        return images.contiguous(memory_format=torch.channels_last)
    return in_rows(images)


def in_rows(images: Tensor) -> Tensor:
    """Return images that lie as (N, C, H, W), and say so: of one channel both layouts are the same bytes."""
    return images.contiguous().view(-1).view(images.shape)
