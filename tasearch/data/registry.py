"""Datasets by name, ready for training: val carved, train limited, contents hashed."""

from __future__ import annotations

from tasearch.data import cifar, cluttered_digits, folder
from tasearch.data.dataset import DataRequest, Dataset, Source, hash_splits
from tasearch.data.splits import carve_val, limit_train
from tasearch.domain.errors import DataError, nearest
from tasearch.domain.spec import DataSpec

AUGMENTATIONS = ("none", "shift", "shift+flip")
FOLDER = "folder:PATH"

_DEFAULT_EPOCHS = {cluttered_digits.NAME: 10, "cifar10": 160, "cifar100": 160, FOLDER: 60}
_DEFAULT_AUGMENT = {
    cluttered_digits.NAME: "shift",
    "cifar10": "shift+flip",
    "cifar100": "shift+flip",
    # Whether a mirrored image is still of its class cannot be known.
    FOLDER: "shift",
}


def known_datasets() -> list[str]:
    """Return the names of all datasets; `folder:PATH` stands for any path."""
    return list(_DEFAULT_EPOCHS)


def default_epochs(name: str) -> int:
    """Return how many epochs a stage on this data takes. Raises DataError for an unknown name."""
    return _DEFAULT_EPOCHS[_kind(name)]


def load_dataset(request: DataRequest) -> Dataset:
    """Return the data of a request, its splits fixed by the data alone.

    Raises DataError where the request cannot be met: unknown name, impossible option, missing or damaged files.
    """
    kind = _kind(request.name)
    augment = _augmentation(request, kind)
    source = _load(request, kind)
    train, val = source.train, source.val
    if val is None:
        in_train, in_val = carve_val(train.labels, source.class_names)
        train, val = train.subset(in_train), train.subset(in_val)
    if request.limit_train is not None:
        train = train.subset(limit_train(train.labels, request.limit_train, len(source.class_names)))
    num_train, channels, image_size, _ = train.images.shape
    spec = DataSpec(
        name=folder.name_of(request.name) if kind == FOLDER else request.name,
        content_hash=hash_splits(train, val),
        image_size=image_size,
        channels=channels,
        num_classes=len(source.class_names),
        num_train=num_train,
        num_val=len(val),
        shift=0 if augment == "none" else max(1, image_size // 8),
        flip=augment == "shift+flip",
    )
    return Dataset(spec, train, val, source.test, source.class_names, hash_splits(source.test))


def _kind(name: str) -> str:
    if name.startswith(folder.PREFIX):
        return FOLDER
    if name in _DEFAULT_EPOCHS and name != FOLDER:
        return name
    raise DataError(f"unknown dataset {name!r}", hint=nearest(name, known_datasets()))


def _augmentation(request: DataRequest, kind: str) -> str:
    augment = _DEFAULT_AUGMENT[kind] if request.augment is None else request.augment
    if augment not in AUGMENTATIONS:
        raise DataError(f"unknown augmentation {augment!r}", hint=nearest(augment, list(AUGMENTATIONS)))
    if augment == "shift+flip" and kind == cluttered_digits.NAME:
        raise DataError(
            f"augmentation {augment!r} is not possible for {kind}: a mirrored digit is another sign",
            hint="use --augment shift or none",
        )
    return augment


def _load(request: DataRequest, kind: str) -> Source:
    if kind == cluttered_digits.NAME:
        return cluttered_digits.load(request)
    if kind == FOLDER:
        return folder.load(request)
    return cifar.load(request)
