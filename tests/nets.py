"""Nets of a user, as `tests.nets:NAME` names them."""

from __future__ import annotations

import random

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


class _Projected(nn.Module):
    """Multiplies images by numbers that were drawn once; where these are kept differs."""

    drawn: Tensor

    def __init__(self, num_classes: int, keeps: str) -> None:
        super().__init__()
        drawn = torch.randn(64, 16)
        if keeps == "attribute":
            self.drawn = drawn
        else:
            self.register_buffer("drawn", drawn, persistent=keeps == "buffer")
        self.linear = nn.Linear(16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(images.flatten(1)[:, :64] @ self.drawn)
        return logits


def projects_by_attribute(num_classes: int) -> nn.Module:
    return _Projected(num_classes, "attribute")


def projects_by_lost_buffer(num_classes: int) -> nn.Module:
    return _Projected(num_classes, "lost")


def projects_by_buffer(num_classes: int) -> nn.Module:
    return _Projected(num_classes, "buffer")


class _Scrambled(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.order = torch.randperm(64)
        self.linear = nn.Linear(64, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(images.flatten(1)[:, self.order])
        return logits


def scrambled(num_classes: int) -> nn.Module:
    return _Scrambled(num_classes)


class _OwnDraws(nn.Module):
    """Adds noise from a generator of its own in training."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(3)
        self.linear = nn.Linear(64, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        found = images.flatten(1)[:, :64]
        if self.training:
            found = found + torch.randn(found.shape, generator=self.generator)
        logits: Tensor = self.linear(found)
        return logits


def draws_by_itself(num_classes: int) -> nn.Module:
    return _OwnDraws(num_classes)


class _RunningScale(nn.Module):
    """Divides by a running mean that it keeps as a Python float, from pass `first` on."""

    def __init__(self, num_classes: int, first: int) -> None:
        super().__init__()
        self.first, self.passes, self.scale = first, 0, 1.0
        self.linear = nn.Linear(64, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        found = images.flatten(1)[:, :64]
        if self.training:
            self.passes += 1 if self.first == 0 else len(images) > 2
            if self.passes > self.first:
                self.scale = 0.9 * self.scale + 10.0
        logits: Tensor = self.linear(found) + torch.arange(4.0) * (self.scale - 1)
        return logits


def running_scale(num_classes: int) -> nn.Module:
    return _RunningScale(num_classes, 0)


def late_running_scale(num_classes: int) -> nn.Module:
    """Return a net that keeps state outside its state dict, only after several batches larger than an inspection's."""
    return _RunningScale(num_classes, 5)


class _LateDraws(nn.Module):
    """Scrambles its input from the sixth training batch of more than two images on, in an order outside its state."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.passes, self.order = 0, torch.arange(64)
        self.linear = nn.Linear(64, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        self.passes += self.training and len(images) > 2
        if self.training and self.passes == 6:
            self.order = torch.randperm(64)
        logits: Tensor = self.linear(images.flatten(1)[:, self.order])
        return logits


def late_draws(num_classes: int) -> nn.Module:
    return _LateDraws(num_classes)


def starts_alike(num_classes: int, in_channels: int = 1) -> nn.Module:
    """Return a net whose code sets the seed, as notebooks do."""
    torch.manual_seed(42)
    return Small(num_classes, in_channels)


_KEPT = nn.Linear(64, 4)


def the_same_net_each_time(num_classes: int) -> nn.Module:
    del num_classes
    return nn.Sequential(nn.Flatten(), _KEPT)


class _EvalScale(nn.Module):
    """Counts its passes in training in an attribute, and uses the count in eval mode alone."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.passes = 0
        self.linear = nn.Linear(64, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        self.passes += self.training
        logits: Tensor = self.linear(images.flatten(1)[:, :64])
        return logits if self.training else logits * (1 + self.passes)


def counts_for_eval(num_classes: int) -> nn.Module:
    return _EvalScale(num_classes)


class _OnFeatures(nn.Module):
    """A linear layer on the first 64 values of an image, after whatever a subclass does to them."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(64, num_classes)

    def change(self, found: Tensor) -> Tensor:
        return found

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.change(images.flatten(1)[:, :64]))
        return logits


class StandardisedOnce(_OnFeatures):
    """Takes a shift from the first batch of training, and notes in a plain flag that it has."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.shift, self.is_done = nn.Parameter(torch.zeros(64)), False

    def change(self, found: Tensor) -> Tensor:
        if self.training and not self.is_done:
            self.is_done = True
            with torch.no_grad():
                self.shift.copy_(-found.mean(dim=0))
        return found + self.shift


class CountsToFive(_OnFeatures):
    """Halves its input in training after five passes, which it counts in an attribute."""

    passes = 0

    def change(self, found: Tensor) -> Tensor:
        self.passes += self.training
        return found * 0.5 if self.training and self.passes > 5 else found


class BehindZeros(_OnFeatures):
    """Projects by random numbers that no state dict has, before a layer of zeros."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.drawn = torch.randn(64, 64)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def change(self, found: Tensor) -> Tensor:
        return found @ self.drawn


class DrawsRarely(_OnFeatures):
    """Draws in each pass whether to leave out its input, which it never does in the passes of a test."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.generators = {"drop": random.Random(0)}

    def change(self, found: Tensor) -> Tensor:
        return found * 0 if self.training and self.generators["drop"].random() < 1e-9 else found


class SeedsItsGenerator(_OnFeatures):
    """Draws from a generator of its own that a buffer seeds in each pass."""

    passes: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.generator = torch.Generator()
        self.register_buffer("passes", torch.zeros((), dtype=torch.long))

    def change(self, found: Tensor) -> Tensor:
        if not self.training:
            return found
        self.passes += 1
        self.generator.manual_seed(int(self.passes))
        return found + torch.randn(found.shape, generator=self.generator)


class Remembers(_OnFeatures):
    """Keeps the means of its batches in a buffer that grows."""

    seen: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.register_buffer("seen", torch.zeros(1, 64))

    def change(self, found: Tensor) -> Tensor:
        if self.training:
            self.seen = torch.cat([self.seen, found.detach().mean(dim=0, keepdim=True)])
        return found


class FailsLater(_OnFeatures):
    """Fails in the third pass of training."""

    passes = 0

    def change(self, found: Tensor) -> Tensor:
        self.passes += self.training
        if self.passes > 2:
            raise ValueError("no third pass")
        return found


class _WithBuffer(_OnFeatures):
    def __init__(self, num_classes: int, kept: Tensor) -> None:
        super().__init__(num_classes)
        self.register_buffer("kept", kept)


def with_float8(num_classes: int) -> nn.Module:
    return _WithBuffer(num_classes, torch.ones(3).to(torch.float8_e4m3fn))


def with_nan(num_classes: int) -> nn.Module:
    return _WithBuffer(num_classes, torch.full((4,), float("nan")))


def with_sparse(num_classes: int) -> nn.Module:
    return _WithBuffer(num_classes, torch.eye(4).to_sparse())


def with_expanded(num_classes: int) -> nn.Module:
    return _WithBuffer(num_classes, torch.ones(1, 1).expand(4, 4))
