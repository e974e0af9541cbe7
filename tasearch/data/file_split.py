"""Images that stay in their files: a split of a dataset that does not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasearch.data.reader import ImageReader
from tasearch.domain.errors import DataError


@dataclass(frozen=True, eq=False, kw_only=True)
class SurveyedPixels:
    """What one pass over the images of a split has found."""

    checksums: NDArray[np.uint32]
    """CRC-32 of each image's pixels, (N,)."""
    value_counts: Tensor
    """How often each value 0..255 occurs in each channel: int64 (3, 256)."""
    kept_in: Path
    """The file that remembers this."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FileSplit:
    """Image files with their labels."""

    files: tuple[str, ...]
    labels: Tensor
    """int64 (N,)."""
    reader: ImageReader
    """Decodes the files; shared by the splits of a dataset."""
    pixels: SurveyedPixels | None = None
    """None until every image has been read once."""

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, C, H, W."""
        return len(self.files), 3, self.reader.size, self.reader.size

    @property
    def num_independent(self) -> int:
        """How many independent images there are: all, as far as can be known."""
        return len(self)

    def subset(self, indices: Tensor) -> FileSplit:
        """Return the samples at `indices` (int64), in that order."""
        files = tuple(self.files[index] for index in indices.tolist())
        return FileSplit(files=files, labels=self.labels[indices], reader=self.reader)

    def read(self, order: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the images of each block of indices (int64 (B,)): uint8 (B, 3, S, S).

        Raises DataError naming the first file that cannot be read, or shows other pixels than when it was surveyed:
        a stage may only learn from what its fingerprint names.
        """
        if self.pixels is None:
            raise ValueError("the split has not been surveyed")
        if not order:
            return
        # Together: on a GPU each transfer waits for the work before it.
        every = torch.cat(list(order)).cpu().numpy()
        places = np.split(every, np.cumsum([len(block) for block in order])[:-1])
        files = [[self.files[index] for index in block] for block in places]
        for block, names, decoded in zip(places, files, self.reader.read(files), strict=True):
            changed = np.flatnonzero(decoded.checksums != self.pixels.checksums[block])
            if len(changed):
                raise DataError(
                    f"image {names[changed[0]]} has changed since it was read for the first time",
                    hint=f"put the image back, or delete {self.pixels.kept_in} and begin a new study",
                )
            yield decoded.images
