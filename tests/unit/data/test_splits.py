"""val and the training subset follow from the labels alone, and keep the classes' shares."""

from __future__ import annotations

import pytest
import torch

from tasearch.data.splits import carve_val, limit_train
from tasearch.domain.errors import DataError

NAMES = ("ant", "bee", "cow")
LABELS = torch.tensor([0] * 100 + [1] * 50 + [2] * 7)[torch.randperm(157, generator=torch.Generator())]


def counts(indices: torch.Tensor) -> list[int]:
    return torch.bincount(LABELS[indices], minlength=3).tolist()


def test_val_is_a_tenth_of_each_class_and_at_least_one() -> None:
    _, val = carve_val(LABELS, NAMES)
    assert counts(val) == [10, 5, 1]


def test_train_and_val_share_nothing_and_lose_nothing() -> None:
    train, val = carve_val(LABELS, NAMES)
    assert sorted(train.tolist() + val.tolist()) == list(range(157))


def test_val_is_the_same_whatever_the_ambient_generator() -> None:
    torch.manual_seed(0)
    first = carve_val(LABELS, NAMES)[1]
    torch.manual_seed(1)
    assert torch.equal(carve_val(LABELS, NAMES)[1], first)


def test_two_images_are_enough_for_a_class() -> None:
    train, val = carve_val(torch.tensor([0, 0, 1, 1]), ("ant", "bee"))
    assert (len(train), len(val)) == (2, 2)


def test_class_with_one_image_is_named() -> None:
    with pytest.raises(DataError, match="class 'bee' has 1 training images"):
        carve_val(torch.tensor([0, 0, 1]), ("ant", "bee"))


def test_class_without_images_is_named() -> None:
    with pytest.raises(DataError, match="class 'bee' has 0 training images"):
        carve_val(torch.tensor([0, 0]), ("ant", "bee"))


@pytest.mark.parametrize("limit", [3, 10, 80, 157])
def test_subset_has_the_asked_size_and_every_class(limit: int) -> None:
    found = counts(limit_train(LABELS, limit, 3))
    assert sum(found) == limit
    assert min(found) >= 1


def test_subset_keeps_the_shares() -> None:
    assert counts(limit_train(LABELS, 80, 3)) == pytest.approx([51, 25.5, 3.6], abs=1)


def test_smaller_subset_is_inside_the_larger() -> None:
    small, large = (set(limit_train(LABELS, limit, 3).tolist()) for limit in (30, 60))
    assert small < large


def test_subset_is_not_simply_the_first_images() -> None:
    assert limit_train(LABELS, 30, 3).tolist() != list(range(30))


def test_limit_below_the_number_of_classes_is_refused() -> None:
    with pytest.raises(DataError, match="limit_train 2 is below the number of classes, 3"):
        limit_train(LABELS, 2, 3)


def test_limit_above_what_is_there_is_refused() -> None:
    with pytest.raises(DataError, match="limit_train 158 is above the number of training images, 157"):
        limit_train(LABELS, 158, 3)
