"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) through torchvision, downloaded once."""

from __future__ import annotations

import contextlib
import pickle
import sys
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import datasets

from tasearch.data.dataset import DataRequest, Source, Split
from tasearch.domain.errors import DataError

NAMES = ("cifar10", "cifar100")
IMAGE_SIZE = 32


def load(request: DataRequest) -> Source:
    """Return 50,000 / 10,000 images, uint8 (N, 3, 32, 32), from `data_dir/<name>`, downloaded there if missing.

    Raises DataError where the archive can be neither read nor downloaded, and for an image size other than 32.
    """
    if request.image_size not in (None, IMAGE_SIZE):
        raise DataError(
            f"image_size {request.image_size} is not possible for {request.name}: "
            f"its images are {IMAGE_SIZE} x {IMAGE_SIZE}",
            hint="leave --image-size out; folder:PATH takes any size",
        )
    train, test = (_open(request, train=is_train) for is_train in (True, False))
    return Source(
        train=to_split(train.data, train.targets),
        val=None,
        test=to_split(test.data, test.targets),
        class_names=tuple(train.classes),
    )


def to_split(images: NDArray[np.uint8], labels: list[int]) -> Split:
    """Turn uint8 images (N, H, W, C) and their labels into a split, uint8 (N, C, H, W)."""
    return Split(
        images=torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))),
        labels=torch.tensor(labels, dtype=torch.int64),
    )


def _open(request: DataRequest, *, train: bool) -> Any:
    kind = datasets.CIFAR10 if request.name == "cifar10" else datasets.CIFAR100
    folder = request.data_dir / request.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # stdout is for results; a library that speaks there speaks on stderr instead.
        with contextlib.redirect_stdout(sys.stderr):
            return kind(root=folder, train=train, download=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{request.name} is not in {folder} and could not be downloaded: {reason}",
            hint=f"download {kind.filename} from {kind.url} and put it into {folder}",
        ) from error
