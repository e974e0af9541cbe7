"""Any folder of images: `train/<class>/*` and `test/<class>/*` (or `val/`), as torchvision's ImageFolder reads it."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets import ImageFolder

from tasearch.data import decoded_store
from tasearch.data.dataset import DataRequest, FileSource, Source, Split, TooLarge
from tasearch.data.decode import decode, image_size
from tasearch.data.file_split import FileSplit
from tasearch.data.kinds import kinds_of_files, remarks
from tasearch.data.memory import bytes_of, default_limit
from tasearch.data.reader import ImageReader
from tasearch.domain.errors import DataError

PREFIX = "folder:"
IMAGE_SIZES = range(4, 513)
DEFAULT_IMAGE_SIZE = 64
"""Where the images are not all squares of one size."""
LARGEST_COMMON_SIZE = 256
"""A larger common size is not taken by default: hardly anybody means to train on it."""

_UNUSED = "val"
"""Where there is a folder test."""
_CHUNK = 256
_MAX_THREADS = 8

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Listing:
    """The image files of one split folder."""

    files: tuple[str, ...]
    """Paths as text: tens of thousands of Path objects would take seconds."""
    labels: tuple[int, ...]
    class_names: tuple[str, ...]


def name_of(request_name: str) -> str:
    """Return the data's name without where it lies on this machine: `folder:pets` for `folder:some/where/pets`."""
    return PREFIX + root_of(request_name).resolve().name


def load(request: DataRequest) -> Source | FileSource:
    """Return all images as uint8 (N, 3, S, S), their shorter side resized to S, then the centre.

    S is `image_size`, by default the size of all images where they are squares of one size (up to 256), else 64.
    `test/` is the test set, or `val/` where there is no `test/`. A decoded copy is kept in `data_dir/decoded`, unless
    the images are more than fits into memory: then they stay in their files.
    Raises DataError where folders, classes or images are missing, or an image cannot be read.
    """
    size = request.image_size
    if size is not None and size not in IMAGE_SIZES:
        raise DataError(
            f"image_size {size} is not possible for a folder of images: it must be "
            f"{IMAGE_SIZES[0]} to {IMAGE_SIZES[-1]}"
        )
    root = root_of(request.name)
    train_dir, test_dir = _split_dirs(root)
    train, test = _list_images(train_dir), _list_images(test_dir)
    _check_classes(train, test, train_dir, test_dir)
    files = train.files + test.files
    kept = request.data_dir / "decoded" / f"{decoded_store.key_of(root, files, size)}.safetensors"
    known_size = size or decoded_store.image_size_of(kept, "train")
    source = _in_files(request, train, test, known_size or _default_size(files))
    return source or _in_memory(train, test, size, kept)


def remarks_of(request: DataRequest, source: Source | FileSource, brightest: int = 255) -> tuple[str, ...]:
    """Return what was left out of a loaded folder, and what was done to its images that were not plain RGB.

    `brightest`: largest value in the training images. Raises DataError for a lost file.
    """
    root = root_of(request.name)
    both = len(_test_dirs(root)) == 2
    left_out = (f"the folder {_UNUSED} is not used: the images to choose by are carved from train",) if both else ()
    files = source.files if isinstance(source, Source) else source.train.files + source.test.files
    key = decoded_store.key_of(root, files, None)
    kinds = kinds_of_files(files, request.data_dir / "kinds" / f"{key}.safetensors")
    return left_out + remarks(kinds, channels=3, brightest=brightest)


def _in_files(request: DataRequest, train: _Listing, test: _Listing, size: int) -> FileSource | None:
    """Return splits whose images stay in their files, or None where they fit into memory."""
    needed = bytes_of(len(train.files) + len(test.files), size)
    limit = default_limit(request.device) if request.memory_bytes is None else request.memory_bytes
    if needed <= limit:
        return None
    reader = ImageReader(size)
    splits = [
        FileSplit(files=listing.files, labels=torch.tensor(listing.labels, dtype=torch.int64), reader=reader)
        for listing in (train, test)
    ]
    return FileSource(
        train=splits[0],
        test=splits[1],
        class_names=train.class_names,
        too_large=TooLarge(needed_bytes=needed, limit_bytes=limit),
    )


def _in_memory(train: _Listing, test: _Listing, size: int | None, kept: Path) -> Source:
    """Return decoded splits, from the copy in `kept` where it is there and whole; else the copy is made."""
    images = decoded_store.read(kept, ("train", "test"))
    if images is None:
        files = train.files + test.files
        decoded = _decode_all(files, size if size is not None else _default_size(files))
        images = decoded[: len(train.files)], decoded[len(train.files) :]
        decoded_store.write(kept, {"train": images[0], "test": images[1]})
    return Source(
        train=Split(images[0], torch.tensor(train.labels, dtype=torch.int64)),
        val=None,
        test=Split(images[1], torch.tensor(test.labels, dtype=torch.int64)),
        class_names=train.class_names,
        files=train.files + test.files,
    )


def root_of(request_name: str) -> Path:
    """Return the folder that a request names. Raises DataError where it names none."""
    path = request_name.removeprefix(PREFIX)
    if not path:
        raise DataError("folder: needs a path", hint="write folder:PATH, with PATH/train and PATH/test")
    return Path(path).expanduser()


def _split_dirs(root: Path) -> tuple[Path, Path]:
    """Return the folders of train and test."""
    layout = "expected train/<class>/ and test/<class>/ (or val/<class>/) with images"
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", hint=layout)
    if not (root / "train").is_dir():
        raise DataError(f"{root} has no folder train", hint=layout)
    present = _test_dirs(root)
    if not present:
        raise DataError(f"{root} has neither a folder test nor a folder val", hint=layout)
    return root / "train", present[0]


def _test_dirs(root: Path) -> list[Path]:
    return [root / name for name in ("test", _UNUSED) if (root / name).is_dir()]


def _list_images(folder: Path) -> _Listing:
    """Return the images below a split folder, by class and name. Raises DataError for a class without any."""
    class_names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    if len(class_names) < 2:
        raise DataError(
            f"{folder} has {len(class_names)} class folders: at least 2 are needed",
            hint="put the images of each class into a folder of its own",
        )
    listing = ImageFolder(str(folder), allow_empty=True)
    files = tuple(path for path, _ in listing.samples)
    labels = tuple(label for _, label in listing.samples)
    empty = sorted(set(range(len(class_names))) - set(labels))
    if empty:
        names = ", ".join(str(folder / class_names[label]) for label in empty)
        raise DataError(f"no image in class folder {names}", hint="add images, or remove the folder from every split")
    return _Listing(files, labels, tuple(class_names))


def _check_classes(train: _Listing, test: _Listing, train_dir: Path, test_dir: Path) -> None:
    differing = [
        f"{', '.join(sorted(names))} only in {folder}"
        for names, folder in (
            (set(train.class_names) - set(test.class_names), train_dir),
            (set(test.class_names) - set(train.class_names), test_dir),
        )
        if names
    ]
    if differing:
        raise DataError(
            f"the classes of {train_dir.name} and {test_dir.name} differ: {'; '.join(differing)}",
            hint="both need the same class folders",
        )


def _default_size(files: Sequence[str]) -> int:
    """Return the common size of all images where they are squares of one size, else `DEFAULT_IMAGE_SIZE`.

    Reads headers only, and stops at the first image that differs.
    """
    first = image_size(files[0])
    if first[0] != first[1] or first[0] not in IMAGE_SIZES or first[0] > LARGEST_COMMON_SIZE:
        return DEFAULT_IMAGE_SIZE
    return first[0] if all(image_size(file) == first for file in files) else DEFAULT_IMAGE_SIZE


def _decode_all(files: Sequence[str], size: int) -> Tensor:
    """Return all images, uint8 (N, 3, size, size), decoded on a few threads (Pillow releases the GIL)."""
    log.info("decoding %d images at %d x %d", len(files), size, size)
    pixels = np.empty((len(files), 3, size, size), dtype=np.uint8)

    def fill(start: int) -> None:
        for position in range(start, min(start + _CHUNK, len(files))):
            pixels[position] = decode(files[position], size)

    pool = ThreadPoolExecutor(max_workers=min(_MAX_THREADS, os.cpu_count() or 1))
    try:
        for _ in pool.map(fill, range(0, len(files), _CHUNK)):
            pass
    finally:
        # After a damaged file the rest need not be decoded.
        pool.shutdown(cancel_futures=True)
    return torch.from_numpy(pixels)
