"""Augmented views: view of a sample = f(replicate, epoch, sample), whatever else is in its batch.

So all stages of a replicate see the same views, and a teacher's logits on them can be computed once (invariants 2
and 3). Draws come from CPU generators of their own, made for all samples of an epoch at once; torch's ambient
generators are neither read nor moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tasearch.data.dataset import Split
from tasearch.domain.randomness import seed_for
from tasearch.domain.spec import DataSpec


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """Mean and standard deviation of each channel over all pixels of a split, in units of 0..255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    """1 for a channel that is constant, so that it can be divided by."""


def channel_statistics(split: Split) -> ChannelStatistics:
    """Return the statistics of a split, from exact integer sums."""
    means, stds = [], []
    for channel in split.images.unbind(1):
        counts: list[int] = torch.bincount(channel.reshape(-1), minlength=256).tolist()
        total = sum(counts)
        first = sum(value * count for value, count in enumerate(counts))
        second = sum(value * value * count for value, count in enumerate(counts))
        means.append(first / total)
        stds.append(math.sqrt(second * total - first * first) / total or 1.0)
    return ChannelStatistics(tuple(means), tuple(stds))


class ViewSource:
    """The images of a split on a device, from which the views of any epoch are cut.

    `labels` is int64 (N,) on the device.
    """

    def __init__(self, split: Split, spec: DataSpec, statistics: ChannelStatistics, device: torch.device) -> None:
        self.num_samples = len(split)
        self.device = device
        self.labels = split.labels.to(device)
        self.shift, self.flip = spec.shift, spec.flip
        self._size, self._channels = spec.image_size, spec.channels
        self._padded_size = spec.image_size + 2 * spec.shift
        inner = slice(spec.shift, spec.shift + spec.image_size)
        pixels = split.images.new_zeros((self.num_samples, self._padded_size, self._padded_size, self._channels))
        pixels[:, inner, inner] = split.images.permute(0, 2, 3, 1)
        pixels = pixels.to(device)
        # Kept as (N, H, W, C), seen as every run of `size` pixels of a row, one run starting at each pixel. A view
        # is then `size` runs, each one copy: six times faster than indexing pixels, and channels_last at once.
        num_pixels, run = pixels.numel() // self._channels, self._size
        self._runs = pixels.view(-1).as_strided((num_pixels - run + 1, run * self._channels), (self._channels, 1))
        self._row_numbers = torch.arange(self._size, device=device)
        # Repeated along a run, so that the arithmetic is over long contiguous rows.
        mean = torch.tensor(statistics.mean, dtype=torch.float32, device=device)
        scale = 1 / torch.tensor(statistics.std, dtype=torch.float32, device=device)
        self._mean, self._scale = mean.repeat(run), scale.repeat(run)

    def plain_batch(self, indices: Tensor) -> Tensor:
        """Return the samples (int64 (B,)) without augmentation: float32 (B, C, H, W), normalised per channel."""
        unmoved = torch.full((2, len(indices)), self.shift, device=self.device)
        return self.cut(indices.to(self.device), unmoved, None)

    def views(self, replicate: int, epoch: int) -> Views:
        """Return the augmented views of all samples in one epoch of one replicate."""
        return Views(self, replicate, epoch)

    def cut(self, indices: Tensor, corners: Tensor, mirrored: Tensor | None) -> Tensor:
        """Return windows of the padded samples `indices` (int64 (B,)), float32 (B, C, H, W), normalised.

        `corners` (int64 (2, B)) holds top and left of each window, 0..2*shift, where `shift` is the unmoved image;
        `mirrored` (bool (B,)) flips left and right.
        """
        count = len(indices)
        rows = (indices * self._padded_size + corners[0])[:, None] + self._row_numbers
        starts = rows * self._padded_size + corners[1][:, None]
        cut = self._runs.index_select(0, starts.view(-1))
        if mirrored is not None:
            images = cut.view(count, self._size, self._size, self._channels)
            both = torch.cat([images, images.flip(2)])
            chosen = torch.arange(count, device=self.device) + count * mirrored
            cut = both.index_select(0, chosen).view(cut.shape)
        normalised = cut.to(torch.float32).sub_(self._mean).mul_(self._scale)
        return normalised.view(count, self._size, self._size, self._channels).permute(0, 3, 1, 2)


class Views:
    """The views of all samples of a split in one epoch of one replicate."""

    def __init__(self, source: ViewSource, replicate: int, epoch: int) -> None:
        self.num_samples = source.num_samples
        self.device = source.device
        self._source = source
        self._corners: Tensor | None = None
        self._mirrored: Tensor | None = None
        if source.shift:
            generator = torch.Generator().manual_seed(seed_for(replicate, "shift", epoch))
            corners = torch.randint(0, 2 * source.shift + 1, (2, self.num_samples), generator=generator)
            self._corners = corners.to(self.device)
        if source.flip:
            generator = torch.Generator().manual_seed(seed_for(replicate, "flip", epoch))
            mirrored = torch.randint(0, 2, (self.num_samples,), generator=generator, dtype=torch.bool)
            self._mirrored = mirrored.to(self.device)

    def batch(self, indices: Tensor) -> Tensor:
        """Return the views of some samples (int64 (B,)): float32 (B, C, H, W), normalised per channel."""
        indices = indices.to(self.device)
        if self._corners is None:
            corners = torch.zeros((2, len(indices)), dtype=torch.int64, device=self.device)
        else:
            corners = self._corners[:, indices]
        mirrored = None if self._mirrored is None else self._mirrored[indices]
        return self._source.cut(indices, corners, mirrored)


def batch_order(num_samples: int, replicate: int, epoch: int) -> Tensor:
    """Return the order in which an epoch visits its samples: a permutation, int64 (num_samples,), on the CPU."""
    generator = torch.Generator().manual_seed(seed_for(replicate, "order", epoch))
    return torch.randperm(num_samples, generator=generator)
