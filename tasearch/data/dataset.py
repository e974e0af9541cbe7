"""A dataset in memory: three splits of uint8 images, and what was asked for to get it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tasearch.domain.spec import DataSpec


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels."""

    images: Tensor
    """uint8 (N, C, H, W), contiguous."""
    labels: Tensor
    """int64 (N,)."""
    groups: Tensor | None = None
    """int64 (N,): images of one group are not independent (renderings of one scan). None: each its own group."""

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> Split:
        """Return the samples at `indices` (int64), in that order."""
        groups = None if self.groups is None else self.groups[indices]
        return Split(self.images[indices].contiguous(), self.labels[indices], groups)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Train and val for everyone; test only through `tasearch.data.splits.open_test` (invariant 5)."""

    spec: DataSpec
    train: Split
    val: Split
    _test: Split
    class_names: tuple[str, ...]
    test_hash: str
    """SHA-256 over the test images and labels."""

    @property
    def num_test(self) -> int:
        """How many test images there are."""
        return len(self._test)


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """What a loader delivers, before val is carved and train is limited."""

    train: Split
    val: Split | None
    """None: to be carved from train."""
    test: Split
    class_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataRequest:
    """Which data a user asks for."""

    name: str
    """`cluttered-digits`, `cifar10`, `cifar100` or `folder:PATH`."""
    data_dir: Path
    """Where downloads and decoded copies are kept."""
    image_size: int | None = None
    """Height and width in pixels; None: the data's default."""
    limit_train: int | None = None
    """Train on a stratified subset of this many images; None: all."""
    augment: str | None = None
    """`none`, `shift` or `shift+flip`; None: the data's default."""


def hash_splits(*splits: Split) -> str:
    """Return the SHA-256 over shapes, images and labels of some splits, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(repr(tuple(split.images.shape)).encode())
        digest.update(split.images.to(torch.uint8).contiguous().numpy().data)
        digest.update(split.labels.numpy().astype("<i8").data)
    return digest.hexdigest()
