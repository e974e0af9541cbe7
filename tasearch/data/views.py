"""Augmented views: view of a sample = f(replicate, epoch, sample), whatever else is in its batch.

So all stages of a replicate see the same views, and a teacher's logits on them can be computed once (invariants 2
and 3). Draws come from CPU generators of their own, made for all samples of an epoch at once; torch's ambient
generators are neither read nor moved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasearch.data.crops import Crops
from tasearch.data.dataset import AnySplit, Split, value_counts
from tasearch.data.file_split import FileSplit
from tasearch.domain.randomness import seed_for
from tasearch.domain.spec import DataSpec


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """Mean and standard deviation of each channel over all pixels of a split, in units of 0..255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    """1 for a channel that is constant, so that it can be divided by."""


def channel_statistics(split: AnySplit) -> ChannelStatistics:
    """Return the statistics of a split, from exact integer sums. Images in files must have been surveyed."""
    if isinstance(split, Split):
        counts_of_channels = value_counts(split.images)
    elif split.pixels is not None:
        counts_of_channels = split.pixels.value_counts
    else:
        raise ValueError("the split has not been surveyed")
    means, stds = [], []
    counts: list[int]
    for counts in counts_of_channels.tolist():
        total = sum(counts)
        first = sum(value * count for value, count in enumerate(counts))
        second = sum(value * value * count for value, count in enumerate(counts))
        means.append(first / total)
        stds.append(math.sqrt(second * total - first * first) / total or 1.0)
    return ChannelStatistics(tuple(means), tuple(stds))


def normalisation_of(spec: DataSpec, train: AnySplit) -> ChannelStatistics:
    """Return what images are normalised by: what the data say, else the statistics of the training images."""
    if spec.mean:
        return ChannelStatistics(tuple(255 * value for value in spec.mean), tuple(255 * value for value in spec.std))
    return channel_statistics(train)


class ViewSource:
    """The images of a split, from which the views of any epoch are cut on a device.

    They lie on the device, or stay in their files and come block by block; the views are the same bits either way.
    `labels` is int64 (N,) on the device.
    """

    def __init__(self, split: AnySplit, spec: DataSpec, statistics: ChannelStatistics, device: torch.device) -> None:
        self.num_samples = len(split)
        self.device = device
        self.labels = split.labels.to(device)
        self.labels_on_cpu = split.labels
        self.shift, self.flip, self.crop = spec.shift, spec.flip, spec.crop
        self._size, self._channels = spec.image_size, spec.channels
        self._padded_size = spec.image_size + 2 * spec.shift
        self._row_numbers = torch.arange(self._size, device=device)
        # Repeated along a run, so that the arithmetic is over long contiguous rows.
        mean = torch.tensor(statistics.mean, dtype=torch.float32, device=device)
        scale = 1 / torch.tensor(statistics.std, dtype=torch.float32, device=device)
        self._mean, self._scale = mean.repeat(self._size), scale.repeat(self._size)
        self._files = split if isinstance(split, FileSplit) else None
        self._runs = self._as_runs(split.images) if isinstance(split, Split) else None

    @property
    def image_size(self) -> int:
        """Height and width of a view in pixels."""
        return self._size

    @property
    def is_resident(self) -> bool:
        """Whether the images lie on the device."""
        return self._runs is not None

    def _as_runs(self, images: Tensor) -> Tensor:
        """Return images (uint8 (N, C, H, W)) padded, on the device, as every run of `size` pixels of a row."""
        inner = slice(self.shift, self.shift + self._size)
        pixels = images.new_zeros((len(images), self._padded_size, self._padded_size, self._channels))
        pixels[:, inner, inner] = images.permute(0, 2, 3, 1)
        pixels = pixels.to(self.device)
        # Kept as (N, H, W, C), one run starting at each pixel. A view is then `size` runs, each one copy: six times
        # faster than indexing pixels, and channels_last at once.
        num_pixels, run = pixels.numel() // self._channels, self._size
        return pixels.view(-1).as_strided((num_pixels - run + 1, run * self._channels), (self._channels, 1))

    def plain_batch(self, indices: Tensor) -> Tensor:
        """Return the samples (int64 (B,)) without augmentation: float32 (B, C, H, W), normalised per channel."""
        return next(self.plain_blocks([indices]))

    def plain_blocks(self, order: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield `plain_batch` of each block of indices."""
        for indices, (runs, places) in zip(order, self._located(order), strict=True):
            unmoved = torch.full((2, len(indices)), self.shift, device=self.device)
            yield self._cut(runs, places, unmoved, None)

    def views(self, replicate: int, epoch: int) -> Views:
        """Return the augmented views of all samples in one epoch of one replicate."""
        return Views(self, replicate, epoch)

    def view_blocks(self, order: Sequence[Tensor], corners: Tensor | None, mirrored: Tensor | None) -> Iterator[Tensor]:
        """Yield windows of the padded samples of each block of indices, float32 (B, C, H, W), normalised.

        `corners` (int64 (2, N)) holds top and left of each sample's window, 0..2*shift, where `shift` is the unmoved
        image; `mirrored` (bool (N,)) flips left and right.
        """
        for indices, (runs, places) in zip(order, self._located(order), strict=True):
            chosen = indices.to(self.device)
            window = places.new_zeros((2, len(chosen))) if corners is None else corners[:, chosen]
            yield self._cut(runs, places, window, None if mirrored is None else mirrored[chosen])

    def _located(self, order: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield for each block of indices the runs that hold it, and its samples' places there."""
        if self._runs is not None:
            for indices in order:
                yield self._runs, indices.to(self.device)
        elif self._files is not None:
            for images in self._files.read(order):
                yield self._as_runs(images.to(self.device)), torch.arange(len(images), device=self.device)

    def _cut(self, runs: Tensor, places: Tensor, corners: Tensor, mirrored: Tensor | None) -> Tensor:
        """Return windows (float32 (B, C, H, W), normalised) of the padded images at `places`, one corner each."""
        count = len(places)
        rows = (places * self._padded_size + corners[0])[:, None] + self._row_numbers
        starts = rows * self._padded_size + corners[1][:, None]
        cut = runs.index_select(0, starts.view(-1))
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
        self._crops: Crops | None = None
        if source.shift:
            generator = torch.Generator().manual_seed(seed_for(replicate, "shift", epoch))
            corners = torch.randint(0, 2 * source.shift + 1, (2, self.num_samples), generator=generator)
            self._corners = to_device(corners, self.device)
        if source.flip:
            generator = torch.Generator().manual_seed(seed_for(replicate, "flip", epoch))
            mirrored = torch.randint(0, 2, (self.num_samples,), generator=generator, dtype=torch.bool)
            self._mirrored = to_device(mirrored, self.device)
        if source.crop:
            self._crops = Crops(self.num_samples, source.image_size, replicate, epoch, self.device)

    def batch(self, indices: Tensor) -> Tensor:
        """Return the views of some samples (int64 (B,)): float32 (B, C, H, W), normalised per channel."""
        return next(self.blocks([indices]))

    def blocks(self, order: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield `batch` of each block of indices; images in files are decoded ahead of the block that is asked for."""
        blocks = self._source.view_blocks(order, self._corners, self._mirrored)
        if self._crops is None:
            return blocks
        return (self._crops.cut(images, indices) for images, indices in zip(blocks, order, strict=True))


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a CPU tensor on a device, without waiting for what is queued there."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def batch_order(num_samples: int, replicate: int, epoch: int) -> Tensor:
    """Return the order in which an epoch visits its samples: a permutation, int64 (num_samples,), on the CPU."""
    generator = torch.Generator().manual_seed(seed_for(replicate, "order", epoch))
    return torch.randperm(num_samples, generator=generator)
