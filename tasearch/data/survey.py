"""One pass over images that stay in their files: their hash, channel values and checksums, kept for the next start."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL
import torch
from numpy.typing import NDArray
from PIL import features
from torch import Tensor

from tasearch.data import decoded_store
from tasearch.data.dataset import add_to_hash, value_counts
from tasearch.data.file_split import FileSplit, SurveyedPixels

BLOCK = 512
_NAMES = ("hashes", "checksums", "value_counts")

log = logging.getLogger(__name__)

OnRead = Callable[[int, int], None]
"""Told how many images of how many have been read; may raise to stop."""


def survey(
    train: FileSplit, val: FileSplit, test: FileSplit, *, root: Path, folder: Path, on_read: OnRead
) -> tuple[tuple[FileSplit, FileSplit, FileSplit], str, str]:
    """Return the splits with what their pixels are, the hash of train and val, and the hash of test.

    The hashes are those of the same images in memory. `root` is what file names are relative to. The result is kept
    in `folder`, and found there as long as no file's name, length or time has changed.
    Raises DataError naming a file that cannot be read.
    """
    splits = train, val, test
    kept = folder / f"{_key(root, splits)}.safetensors"
    stored = decoded_store.read(kept, _NAMES)
    if stored is None:
        stored = _read_all(splits, on_read)
        decoded_store.write(kept, dict(zip(_NAMES, stored, strict=True)))
    hashes, checksums, counts = stored
    content_hash, test_hash = (bytes(line.tolist()).hex() for line in hashes)
    cuts = np.cumsum([len(split) for split in splits])[:-1]
    surveyed = tuple(
        replace(split, pixels=SurveyedPixels(checksums=sums, value_counts=values, kept_in=kept))
        for split, sums, values in zip(
            splits, np.split(checksums.numpy().view(np.uint32), cuts), counts.view(torch.int64), strict=True
        )
    )
    return (surveyed[0], surveyed[1], surveyed[2]), content_hash, test_hash


def _key(root: Path, splits: tuple[FileSplit, ...]) -> str:
    """Return 64 hexadecimal digits that change with the files, their order, and what decodes them."""
    parts = [decoded_store.key_of(root, split.files, split.reader.size) for split in splits]
    decoder = f"Pillow {PIL.__version__}, libjpeg {features.version('jpg')}"
    return hashlib.sha256("\n".join([*parts, decoder]).encode()).hexdigest()


def _read_all(splits: tuple[FileSplit, ...], on_read: OnRead) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two hashes (uint8 (2, 32)), checksums and value counts as bytes, each over all splits."""
    total, done = sum(len(split) for split in splits), 0
    log.info("reading %d images once, at %d x %d", total, *splits[0].shape[2:])
    checksums: list[NDArray[np.uint32]] = []
    counts = torch.zeros((len(splits), 3, 256), dtype=torch.int64)

    def images(split: FileSplit, count: Tensor) -> Iterator[Tensor]:
        nonlocal done
        blocks = [split.files[start : start + BLOCK] for start in range(0, len(split), BLOCK)]
        for decoded in split.reader.read(blocks):
            checksums.append(decoded.checksums)
            count += value_counts(decoded.images)
            yield decoded.images
            done += len(decoded.images)
            on_read(done, total)

    content, of_test = hashlib.sha256(), hashlib.sha256()
    try:
        for split, digest, count in zip(splits, (content, content, of_test), counts, strict=True):
            add_to_hash(digest, split.shape, images(split, count), split.labels)
    finally:
        splits[0].reader.close()
    hashes = torch.tensor([list(digest.digest()) for digest in (content, of_test)], dtype=torch.uint8)
    sums = torch.from_numpy(np.concatenate(checksums).view(np.uint8))
    return hashes, sums, counts.view(torch.uint8)
