"""Nets of a user, as `tests.nets:NAME` names them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Small(nn.Module):
    """A net that drops out, and that can only read images that lie as (N, C, H, W)."""

    def __init__(self, num_classes: int, in_channels: int, width: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(0.3)
        self.linear = nn.Linear(width * 4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        found = F.adaptive_avg_pool2d(torch.relu(self.norm(self.conv(images))), 2)
        logits: Tensor = self.linear(self.drop(found.view(found.size(0), -1)))
        return logits


def small(num_classes: int, in_channels: int = 3) -> nn.Module:
    return Small(num_classes, in_channels)


def large(num_classes: int, in_channels: int = 3) -> nn.Module:
    return Small(num_classes, in_channels, width=32)


def medium(num_classes: int, in_channels: int = 3) -> nn.Module:
    return Small(num_classes, in_channels, width=16)


medium_too = medium


class _OfFixedBatch(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.LazyLinear(num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(images.reshape(len(images), -1))
        return logits


def of_fixed_batch(num_classes: int) -> nn.Module:
    return _OfFixedBatch(num_classes)


def lazy(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(num_classes))


def raises(num_classes: int) -> nn.Module:
    raise ValueError(f"no net for {num_classes}")


def no_net(num_classes: int) -> dict[str, int]:
    return {"num_classes": num_classes}


def takes_nothing() -> nn.Module:
    return nn.Flatten()


def needs_more(num_classes: int, depth: int) -> nn.Module:
    return nn.Linear(depth, num_classes)


def one_class_too_many(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes + 1))


def probabilities(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes), nn.Softmax(dim=1))


class _Two(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.LazyLinear(num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor] | Tensor:
        logits = self.linear(images.flatten(1))
        return (logits, logits) if self.training else logits


def two_outputs(num_classes: int) -> nn.Module:
    return _Two(num_classes)


class _AlwaysDrops(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.LazyLinear(num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(F.dropout(images.flatten(1)))
        return logits


def drops_in_eval(num_classes: int) -> nn.Module:
    return _AlwaysDrops(num_classes)


def nothing_to_train(num_classes: int) -> nn.Module:
    del num_classes
    return nn.Flatten()


def not_finite(num_classes: int) -> nn.Module:
    linear = nn.Linear(192, num_classes)
    nn.init.constant_(linear.bias, float("nan"))
    return nn.Sequential(nn.Flatten(), linear)


_NETS = iter(range(10**6))


def another_each_time(num_classes: int) -> nn.Module:
    linear = nn.Linear(192, num_classes)
    nn.init.constant_(linear.bias, float(next(_NETS)))
    return nn.Sequential(nn.Flatten(), linear)


class _Masked(nn.Module):
    """Adds a mask with infinities to its logits, of which none is masked."""

    mask: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.LazyLinear(num_classes + 1)
        self.register_buffer("mask", torch.tensor([0.0] * num_classes + [-torch.inf]))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = (self.linear(images.flatten(1)) + self.mask)[:, :-1]
        return logits


def masked(num_classes: int) -> nn.Module:
    return _Masked(num_classes)


class _Wrapped(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.module = nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.module(images)
        return logits


def wrapped(num_classes: int) -> nn.Module:
    return _Wrapped(num_classes)


class _Recurrent(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.rows = nn.LSTM(8, 16, batch_first=True)
        self.head = nn.Linear(16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.rows(images[:, 0])[0][:, -1])
        return logits


def recurrent(num_classes: int) -> nn.Module:
    return _Recurrent(num_classes)


def talks(num_classes: int) -> nn.Module:
    print("building")
    return masked(num_classes)


class _Special(_Wrapped):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(torch.special.bessel_j0(images))


def special(num_classes: int) -> nn.Module:
    return _Special(num_classes)


class _Breaks(Small):
    """Trains on the two images of a check and on no more."""

    def forward(self, images: Tensor) -> Tensor:
        if self.training and len(images) > 2:
            raise ValueError("more than two images")
        return super().forward(images)


def breaks(num_classes: int, in_channels: int = 3) -> nn.Module:
    return _Breaks(num_classes, in_channels, width=16)
