"""Datasets by name, ready for training: val carved, train limited, contents hashed."""

from __future__ import annotations

import torch

from tasearch.data import cifar, cluttered_digits, folder, given
from tasearch.data.dataset import (
    AnySplit,
    ClassCounts,
    DataRequest,
    Dataset,
    FileSource,
    Source,
    Split,
    hash_splits,
)
from tasearch.data.file_split import FileSplit
from tasearch.data.memory import bytes_of, in_gigabytes, padding_of
from tasearch.data.splits import carve_val, limit_train
from tasearch.data.survey import OnRead, survey
from tasearch.domain.dotted_path import is_dotted_path
from tasearch.domain.errors import DataError, nearest
from tasearch.domain.spec import DataSpec

AUGMENTATIONS = ("none", "shift", "shift+flip", "crop-flip")
FOLDER, GIVEN = "folder:PATH", "MODULE:CALLABLE"

_DEFAULT_EPOCHS = {cluttered_digits.NAME: 10, "cifar10": 160, "cifar100": 160, FOLDER: 60, GIVEN: 60}
_DEFAULT_AUGMENT = {
    cluttered_digits.NAME: "shift",
    "cifar10": "shift+flip",
    "cifar100": "shift+flip",
    # Whether a mirrored image is still of its class cannot be known.
    FOLDER: "shift",
    GIVEN: "shift",
}


def known_datasets() -> list[str]:
    """Return the names of all datasets; `folder:PATH` and `MODULE:CALLABLE` stand for any of their form."""
    return list(_DEFAULT_EPOCHS)


def default_epochs(name: str) -> int:
    """Return how many epochs a stage on this data takes. Raises DataError for an unknown name."""
    return _DEFAULT_EPOCHS[_kind(name)]


def load_dataset(request: DataRequest, on_read: OnRead = lambda _done, _total: None) -> Dataset:
    """Return the data of a request, its splits fixed by the data alone.

    Images that stay in their files are all read once; `on_read` is told how many of how many, and may raise to stop.
    Raises DataError where the request cannot be met: unknown name, impossible option, missing or damaged files.
    """
    kind = _kind(request.name)
    augment = _augmentation(request, kind)
    source = _load(request, kind)
    train, val = _train_and_val(source)
    if request.limit_train is not None:
        train = train.subset(limit_train(train.labels, request.limit_train, len(source.class_names)))
    train, val, test, content_hash, test_hash = _hashed(request, train, val, source.test, on_read)
    num_train, channels, image_size, _ = train.shape
    mean, std = _normalisation(request, channels)
    spec = DataSpec(
        name=folder.name_of(request.name) if kind == FOLDER else request.name,
        content_hash=content_hash,
        image_size=image_size,
        channels=channels,
        num_classes=len(source.class_names),
        num_train=num_train,
        num_val=len(val),
        shift=padding_of(image_size) if augment.startswith("shift") else 0,
        flip=augment.endswith("flip"),
        crop=augment == "crop-flip",
        mean=mean,
        std=std,
    )
    return Dataset(
        spec,
        train,
        val,
        test,
        source.class_names,
        test_hash,
        ClassCounts(
            **{name: _per_class(split, spec) for name, split in (("train", train), ("val", val), ("test", test))}
        ),
        too_large=source.too_large if isinstance(source, FileSource) else None,
        # Last: a folder that is refused, or its first reading stopped, leaves nothing behind.
        remarks=folder.remarks_of(request, source, _brightest(train)) if kind == FOLDER else _remarks(source),
    )


def _brightest(train: AnySplit) -> int:
    """Return the largest value in the training images."""
    if isinstance(train, Split):
        return int(train.images.max())
    return 255 if train.pixels is None else int(train.pixels.value_counts.sum(dim=0).nonzero().max())


def _remarks(source: Source | FileSource) -> tuple[str, ...]:
    return source.remarks if isinstance(source, Source) else ()


def _per_class(split: AnySplit, spec: DataSpec) -> tuple[int, ...]:
    return tuple(torch.bincount(split.labels, minlength=spec.num_classes).tolist())


def _train_and_val(source: Source | FileSource) -> tuple[AnySplit, AnySplit]:
    """Return train and val, carved from train where the data have none."""
    if isinstance(source, Source) and source.val is not None:
        return source.train, source.val
    in_train, in_val = carve_val(source.train.labels, source.class_names)
    return source.train.subset(in_train), source.train.subset(in_val)


def _hashed(
    request: DataRequest, train: AnySplit, val: AnySplit, test: AnySplit, on_read: OnRead
) -> tuple[AnySplit, AnySplit, AnySplit, str, str]:
    """Return the splits, the hash of train and val, and the hash of test."""
    if isinstance(train, Split) and isinstance(val, Split) and isinstance(test, Split):
        return train, val, test, hash_splits(train, val), hash_splits(test)
    assert isinstance(train, FileSplit)
    assert isinstance(val, FileSplit)
    assert isinstance(test, FileSplit)
    surveys = request.data_dir / "surveys"
    splits, content_hash, test_hash = survey(
        train, val, test, root=folder.root_of(request.name), folder=surveys, on_read=on_read
    )
    return *splits, content_hash, test_hash


def _kind(name: str) -> str:
    if name.startswith(folder.PREFIX):
        return FOLDER
    if name.startswith(given.OBJECTS) or is_dotted_path(name):
        return GIVEN
    if name in _DEFAULT_EPOCHS and name not in (FOLDER, GIVEN):
        return name
    raise DataError(f"unknown dataset {name!r}", hint=nearest(name, known_datasets()))


def _normalisation(request: DataRequest, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, std = request.normalisation or ((), ())
    if mean and len(mean) != channels:
        raise DataError(
            f"--normalize has {len(mean)} means, the images have {channels} channels",
            hint=f"give {channels} means and {channels} standard deviations",
        )
    return mean, std


def _augmentation(request: DataRequest, kind: str) -> str:
    augment = _DEFAULT_AUGMENT[kind] if request.augment is None else request.augment
    if augment not in AUGMENTATIONS:
        raise DataError(f"unknown augmentation {augment!r}", hint=nearest(augment, list(AUGMENTATIONS)))
    if augment.endswith("flip") and kind == cluttered_digits.NAME:
        raise DataError(
            f"augmentation {augment!r} is not possible for {kind}: a mirrored digit is another sign",
            hint="use --augment shift or none",
        )
    return augment


def _load(request: DataRequest, kind: str) -> Source | FileSource:
    if kind == FOLDER:
        return folder.load(request)
    if kind == GIVEN:
        return given.load(request)
    source = cluttered_digits.load(request) if kind == cluttered_digits.NAME else cifar.load(request)
    _check_memory(request, source)
    return source


def _check_memory(request: DataRequest, source: Source) -> None:
    """Raise DataError where data that cannot stay in files are to take less memory than they need."""
    num_images = len(source.train) + len(source.test) + len(source.val or ())
    _, channels, image_size, _ = source.train.shape
    needed = bytes_of(num_images, image_size, channels)
    if request.memory_bytes is not None and needed > request.memory_bytes:
        raise DataError(
            f"{request.name} takes {in_gigabytes(needed)} of memory, more than the "
            f"{in_gigabytes(request.memory_bytes)} that images may take",
            hint="allow more with --memory-gb; only the images of folder:PATH can stay in their files",
        )
