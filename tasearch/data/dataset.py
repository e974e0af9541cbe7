"""A dataset: three splits of uint8 images, in memory or in their files, and what was asked for to get it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tasearch.data.file_split import FileSplit
from tasearch.domain.spec import DataSpec

if TYPE_CHECKING:
    from hashlib import _Hash


@dataclass(frozen=True, eq=False)
class Split:
    """Images in memory with their labels."""

    images: Tensor
    """uint8 (N, C, H, W), contiguous."""
    labels: Tensor
    """int64 (N,)."""
    groups: Tensor | None = None
    """int64 (N,): images of one group are not independent (renderings of one scan). None: each its own group."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, C, H, W."""
        count, channels, height, width = self.images.shape
        return count, channels, height, width

    @property
    def num_independent(self) -> int:
        """How many independent images there are: groups, or images where each is its own group."""
        return len(self) if self.groups is None else len(set(self.groups.tolist()))

    def subset(self, indices: Tensor) -> Split:
        """Return the samples at `indices` (int64), in that order."""
        groups = None if self.groups is None else self.groups[indices]
        return Split(self.images[indices].contiguous(), self.labels[indices], groups)


AnySplit = Split | FileSplit


@dataclass(frozen=True, kw_only=True, slots=True)
class TooLarge:
    """Why images stay in their files."""

    needed_bytes: int
    """What they would take in memory."""
    limit_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassCounts:
    """How many images each class has, in the order of the classes' names."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Train and val for everyone; test only through `tasearch.data.splits.open_test` (invariant 5)."""

    spec: DataSpec
    train: AnySplit
    val: AnySplit
    _test: AnySplit
    class_names: tuple[str, ...]
    test_hash: str
    """SHA-256 over the test images and labels."""
    class_counts: ClassCounts
    too_large: TooLarge | None = None
    """None where the images are in memory."""
    remarks: tuple[str, ...] = ()
    """What was done to images that were not plain RGB, one sentence each."""

    @property
    def num_test(self) -> int:
        """How many test images there are."""
        return len(self._test)

    def close(self) -> None:
        """End the processes that decode images, if there are any; new ones start when images are needed again."""
        if isinstance(self.train, FileSplit):
            self.train.reader.close()


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """What a loader delivers, before val is carved and train is limited."""

    train: Split
    val: Split | None
    """None: to be carved from train."""
    test: Split
    class_names: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Of the images of a folder, train first."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FileSource:
    """What a loader delivers where the images stay in their files; val is to be carved from train."""

    train: FileSplit
    test: FileSplit
    class_names: tuple[str, ...]
    too_large: TooLarge


@dataclass(frozen=True, kw_only=True, slots=True)
class DataRequest:
    """Which data a user asks for."""

    name: str
    """`cluttered-digits`, `cifar10`, `cifar100`, `folder:PATH` or a callable `module:name`."""
    data_dir: Path
    """Where downloads and decoded copies are kept."""
    image_size: int | None = None
    """Height and width in pixels; None: the data's default."""
    limit_train: int | None = None
    """Train on a stratified subset of this many images; None: all."""
    augment: str | None = None
    """`none`, `shift`, `shift+flip` or `crop-flip`; None: the data's default."""
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """Mean and standard deviation of each channel, in units of [0, 1]; None: those of the training images."""
    memory_bytes: int | None = None
    """Most memory that images may take; None: a share of what is free. A folder's stay in their files above it."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where the views will be cut: its memory counts too."""
    objects: tuple[Any, Any] | None = None
    """Train and test set handed over in Python; `name` is what they are called then."""


def hash_splits(*splits: Split) -> str:
    """Return the SHA-256 over shapes, images and labels of some splits, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for split in splits:
        add_to_hash(digest, split.shape, [split.images], split.labels)
    return digest.hexdigest()


def add_to_hash(digest: _Hash, shape: tuple[int, ...], images: Iterable[Tensor], labels: Tensor) -> None:
    """Add a split to a hash, its images (uint8 (B, C, H, W)) in any number of blocks."""
    digest.update(repr(shape).encode())
    for block in images:
        digest.update(block.to(torch.uint8).contiguous().numpy().data)
    digest.update(labels.numpy().astype("<i8").data)


def value_counts(images: Tensor) -> Tensor:
    """Return how often each value occurs in each channel of uint8 images (N, C, H, W): int64 (C, 256)."""
    return torch.stack([torch.bincount(channel.reshape(-1), minlength=256) for channel in images.unbind(1)])
