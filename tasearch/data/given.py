"""Datasets of the user's own: a train and a test set of (image, label), from a callable or as objects."""

from __future__ import annotations

import contextlib
import logging
import operator
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasearch.data.dataset import DataRequest, Source, Split
from tasearch.data.kinds import Kind, remarks
from tasearch.data.memory import bytes_of, default_limit, in_gigabytes
from tasearch.data.pixels import UnfitImageError, to_pixels
from tasearch.domain.dotted_path import NotImportedError, imported, said
from tasearch.domain.errors import DataError

OBJECTS = "object:"
"""Begins the name of data that were handed over in Python: only the process that has them can load them."""
IMAGE_SIZES = range(4, 513)
_PAIR = "return (train, test), each with len() and [index] giving (image, label)"
_ASKED_TWICE = 8
"""Images that are asked for once more, to find random transforms."""

log = logging.getLogger(__name__)


def objects_name(pair: tuple[Any, Any]) -> str:
    """Return what a pair of dataset objects is called."""
    return f"{OBJECTS}{type(pair[0]).__name__}"


def load(request: DataRequest) -> Source:
    """Return the images of a callable `module:name`, or of the objects of the request: uint8 (N, C, S, S).

    C is 1 where every image is grey, else 3. Raises DataError where the callable cannot be had or fails, for anything
    but datasets of images of one size (unless `image_size` is given) with labels 0, 1, ..., each in train and test.
    """
    if request.image_size is not None and request.image_size not in IMAGE_SIZES:
        raise DataError(
            f"image_size {request.image_size} is not possible: it must be {IMAGE_SIZES[0]} to {IMAGE_SIZES[-1]}"
        )
    train_set, test_set = _pair(request)
    name = request.name
    kinds: Counter[Kind] = Counter()
    train = _Reading(request, train_set, f"{name}, train", kinds)
    test = _Reading(request, test_set, f"{name}, test", kinds, like=train)
    class_names = _class_names(name, (train_set, test_set), train.labels)
    _check_labels(train, class_names, against=None)
    _check_labels(test, class_names, against=train)
    channels = max(train.channels, test.channels)
    return Source(
        train=train.split(channels),
        val=None,
        test=test.split(channels),
        class_names=class_names,
        remarks=remarks(kinds, channels, int(train.pixels.max())),
    )


def _pair(request: DataRequest) -> tuple[Any, Any]:
    if request.objects is not None:
        return checked_pair(request.name, request.objects)
    if request.name.startswith(OBJECTS):
        raise DataError(
            f"{request.name}: these data were handed over as Python objects, which this process does not have",
            hint="hand them over again in Python, or say --dataset MODULE:CALLABLE when the study is created",
        )
    try:
        make = imported(request.name)
    except NotImportedError as error:
        raise DataError(f"--dataset {error.message}", hint=error.hint) from error
    if not callable(make):
        raise DataError(f"--dataset {request.name}: it is a {type(make).__name__}, not a callable", hint=_PAIR)
    try:
        # stdout is for results.
        with contextlib.redirect_stdout(sys.stderr):
            made = make()
    except (Exception, SystemExit) as error:
        raise DataError(
            f"--dataset {request.name}: the callable failed: {said(error)}", hint="it is called without arguments"
        ) from error
    return checked_pair(request.name, made)


def checked_pair(name: str, made: Any) -> tuple[Any, Any]:
    """Return a train and a test set. Raises DataError for anything else."""
    if not isinstance(made, tuple | list) or len(made) != 2:
        what = type(made).__name__ + (f" of {len(made)}" if isinstance(made, tuple | list) else "")
        raise DataError(f"--dataset {name}: got a {what} where two datasets are wanted", hint=_PAIR)
    for role, dataset in zip(("train", "test"), made, strict=True):
        missing = [method for method in ("__len__", "__getitem__") if not hasattr(type(dataset), method)]
        if missing:
            raise DataError(
                f"--dataset {name}: its {role} set is a {type(dataset).__name__} without {' and '.join(missing)}",
                hint=_PAIR,
            )
    return made[0], made[1]


class _Reading:
    """One of the two sets, read once."""

    def __init__(
        self, request: DataRequest, dataset: Any, name: str, kinds: Counter[Kind], *, like: _Reading | None = None
    ) -> None:
        """Read every sample; images must be of the size of those of `like`. Raises DataError."""
        self.name, self._request, self._dataset = name, request, dataset
        count = self._length()
        log.info("reading %d images of %s", count, name)
        first = self._sample(0, kinds=Counter())[0]
        self.size = self._checked_size(first, like)
        self._check_memory(count, first.shape[0])
        self.pixels = np.empty((count, first.shape[0], self.size, self.size), dtype=np.uint8)
        self.labels: list[int] = []
        for index in range(count):
            image, label = self._sample(index, kinds)
            self._keep(index, image)
            self.labels.append(label)
        for index in range(min(count, _ASKED_TWICE)):
            self._check_same(index)

    @property
    def channels(self) -> int:
        """1 where every image is grey, else 3."""
        return int(self.pixels.shape[1])

    def split(self, channels: int) -> Split:
        """Return the images with that many channels and their labels."""
        pixels = self.pixels if channels == self.channels else np.repeat(self.pixels, channels, axis=1)
        return Split(torch.from_numpy(pixels), torch.tensor(self.labels, dtype=torch.int64))

    def _length(self) -> int:
        try:
            count = len(self._dataset)
        except Exception as error:
            raise DataError(f"{self.name}: len() failed: {said(error)}", hint=_PAIR) from error
        if count < 1:
            raise DataError(f"{self.name}: the dataset is empty", hint=_PAIR)
        return count

    def _sample(self, index: int, kinds: Counter[Kind]) -> tuple[NDArray[np.uint8], int]:
        where = f"{self.name}[{index}]"
        try:
            with contextlib.redirect_stdout(sys.stderr):
                sample = self._dataset[index]
        except Exception as error:
            raise DataError(f"{where} failed: {said(error)}", hint=_PAIR) from error
        if not isinstance(sample, tuple | list) or len(sample) != 2:
            what = type(sample).__name__ + (f" of {len(sample)}" if isinstance(sample, tuple | list) else "")
            raise DataError(f"{where}: got a {what} where (image, label) is wanted", hint=_PAIR)
        try:
            pixels, kind = to_pixels(sample[0], self._request.image_size)
        except UnfitImageError as error:
            raise DataError(f"{where}: {error.message}", hint=error.hint) from error
        kinds[kind] += 1
        return pixels, _label(sample[1], where)

    def _checked_size(self, first: NDArray[np.uint8], like: _Reading | None) -> int:
        _, height, width = first.shape
        if height != width or height not in IMAGE_SIZES:
            raise DataError(
                f"{self.name}[0]: its image is {width} x {height}; without --image-size images must be squares of "
                f"{IMAGE_SIZES[0]} to {IMAGE_SIZES[-1]} pixels",
                hint="--image-size N resizes the shorter side to N and takes the centre",
            )
        if like is not None and like.size != height:
            raise DataError(
                f"{self.name}[0]: its image is {width} x {height}, those of {like.name} are {like.size} x {like.size}",
                hint="--image-size N makes them all N x N",
            )
        return int(height)

    def _check_memory(self, count: int, channels: int) -> None:
        needed = bytes_of(count, self.size, channels)
        given = self._request.memory_bytes
        limit = default_limit(self._request.device) if given is None else given
        if needed > limit:
            raise DataError(
                f"{self.name} takes {in_gigabytes(needed)} of memory, more than the {in_gigabytes(limit)} that images "
                "may take",
                hint="allow more with --memory-gb; only the images of folder:PATH can stay in their files",
            )

    def _keep(self, index: int, image: NDArray[np.uint8]) -> None:
        if image.shape[1:] != (self.size, self.size):
            raise DataError(
                f"{self.name}[{index}]: its image is {image.shape[2]} x {image.shape[1]}, the first is "
                f"{self.size} x {self.size}",
                hint="--image-size N resizes the shorter side to N and takes the centre",
            )
        if image.shape[0] > self.channels:
            # The first colours among grey images.
            self.pixels = np.repeat(self.pixels, image.shape[0], axis=1)
        self.pixels[index] = image

    def _check_same(self, index: int) -> None:
        image, label = self._sample(index, Counter())
        if label != self.labels[index] or not (self.pixels[index] == image).all():
            raise DataError(
                f"{self.name}[{index}] is another sample every time it is asked for",
                hint="leave random transforms out: --augment varies training images, and val and test must stay",
            )


def _label(value: Any, where: str) -> int:
    """Return a label as an int. Raises DataError for anything but a single integer."""
    if isinstance(value, torch.Tensor | np.ndarray) and value.ndim == 0:
        value = value.item()
    if not isinstance(value, bool | np.bool_):
        with contextlib.suppress(TypeError):
            return operator.index(value)
    shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") and value.shape else f" ({value!r:.40})"
    raise DataError(
        f"{where}: its label is a {type(value).__name__}{shape}, not an integer",
        hint="labels are the classes' numbers, 0, 1, ...",
    )


def _class_names(name: str, pair: tuple[Any, Any], labels: Sequence[int]) -> tuple[str, ...]:
    """Return the names in `.classes` of train, else the numbers. Raises DataError where test has other names."""
    train, test = (_own_names(dataset) for dataset in pair)
    if train is not None and test is not None and train != test:
        raise DataError(
            f"--dataset {name}: train and test have different classes: {_few(train)} and {_few(test)}",
            hint="`.classes` of both must be the same names in the same order",
        )
    if train is None and test is None and max(labels) >= len(labels):
        raise DataError(
            f"--dataset {name}: {len(labels):,} training images, and one has the label {max(labels)}",
            hint="labels are 0, 1, ... without gaps",
        )
    return train or test or tuple(str(label) for label in range(max(labels) + 1))


def _own_names(dataset: Any) -> tuple[str, ...] | None:
    classes = getattr(dataset, "classes", None)
    return tuple(map(str, classes)) if isinstance(classes, list | tuple) and classes else None


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f", ... ({len(names)})" if len(names) > 5 else "")


def _check_labels(reading: _Reading, class_names: tuple[str, ...], *, against: _Reading | None) -> None:
    """Raise DataError for labels without a class, and for classes without an image."""
    count = len(class_names)
    for index, label in enumerate(reading.labels):
        if against is not None and label not in range(count):
            raise DataError(
                f"{reading.name}[{index}]: label {label} does not occur in {against.name}, whose labels are 0 to "
                f"{count - 1}",
                hint="train and test need the same classes",
            )
        if label not in range(count):
            raise DataError(
                f"{reading.name}[{index}]: label {label} is outside 0 to {count - 1}",
                hint="labels are the classes' numbers, 0, 1, ..., one for each name in `.classes`",
            )
    present = set(reading.labels)
    if len(present) < 2 and against is None:
        raise DataError(
            f"{reading.name}: every label is {reading.labels[0]}; at least 2 classes are needed",
            hint="is the label the second of (image, label)?",
        )
    missing = [name for label, name in enumerate(class_names) if label not in present]
    if missing:
        other = "" if against is None else f", which {against.name} has"
        raise DataError(
            f"{reading.name}: no image of class {_few(missing)}{other}",
            hint="labels are 0, 1, ... without gaps, and every class is in train and in test",
        )
