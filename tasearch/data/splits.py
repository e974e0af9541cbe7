"""Which images are for training, for choosing and for the final answer: pure functions of the labels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasearch.data.dataset import AnySplit, Dataset
from tasearch.data.draws import Draws
from tasearch.domain.errors import DataError

VAL_FRACTION = 0.1


def open_test(dataset: Dataset) -> AnySplit:
    """Return the test split: the only function that does (invariant 5). Call it after selection has ended."""
    return dataset._test


def carve_val(labels: Tensor, class_names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Return the indices (int64, ascending) that stay in train and those that become val.

    val gets 10% of each class, at least one image. Raises DataError where a class has fewer than 2 images.
    """
    counts = torch.bincount(labels, minlength=len(class_names)).tolist()
    for name, count in zip(class_names, counts, strict=True):
        if count < 2:
            raise DataError(
                f"class {name!r} has {count} training images: at least 2 are needed, one to train on and one for val",
                hint="add images to the class, or remove it from train and test",
            )
    in_val = np.zeros(len(labels), dtype=bool)
    for members in _shuffled_classes(labels, "split val"):
        in_val[members[: max(1, round(VAL_FRACTION * len(members)))]] = True
    return torch.from_numpy(np.flatnonzero(~in_val)), torch.from_numpy(np.flatnonzero(in_val))


def limit_train(labels: Tensor, limit: int, num_classes: int) -> Tensor:
    """Return the indices (int64, ascending) of a stratified subset of `limit` images.

    Every class keeps its share, at least one image. A smaller subset is contained in every larger one.
    Raises DataError where `limit` is below the number of classes or above the number of images.
    """
    if limit < num_classes:
        raise DataError(
            f"limit_train {limit} is below the number of classes, {num_classes}",
            hint=f"use --limit-train {num_classes} or more",
        )
    if limit > len(labels):
        raise DataError(
            f"limit_train {limit} is above the number of training images, {len(labels)} (without val)",
            hint=f"use --limit-train {len(labels)} or less, or leave it out for all images",
        )
    # An image's rank within its class as a fraction of the class: any prefix of this order is stratified.
    order = np.empty(len(labels))
    for members in _shuffled_classes(labels, "split limit"):
        order[members] = (np.arange(len(members)) + 0.5) / len(members)
        order[members[0]] = 0.0
    chosen = np.argsort(order, kind="stable")[:limit]
    return torch.from_numpy(np.sort(chosen))


def _shuffled_classes(labels: Tensor, purpose: str) -> list[NDArray[np.int64]]:
    """Return the indices of each class that has any, in a fixed random order."""
    values = labels.numpy()
    shuffled = Draws(purpose).permutation(len(values))
    return [shuffled[values[shuffled] == label] for label in np.unique(values)]
