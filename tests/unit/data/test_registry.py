"""From a request to a dataset: defaults, limits, hashes, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tasearch.data import cifar, cluttered_digits
from tasearch.data.dataset import AnySplit, DataRequest, Dataset, Source, Split
from tasearch.data.registry import default_epochs, known_datasets, load_dataset
from tasearch.data.splits import open_test
from tasearch.domain.errors import DataError


def digits(limit_train: int | None = None, augment: str | None = None) -> Dataset:
    request = DataRequest(name="cluttered-digits", data_dir=Path("unused"), limit_train=limit_train, augment=augment)
    return load_dataset(request)


def held(split: AnySplit) -> Split:
    """Return a split whose images are in memory."""
    assert isinstance(split, Split)
    return split


@pytest.fixture(scope="module")
def rendered() -> Source:
    return cluttered_digits.load(DataRequest(name="cluttered-digits", data_dir=Path("unused")))


@pytest.fixture(autouse=True)
def render_once(rendered: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluttered_digits, "load", lambda _: rendered)


def tiny_cifar(monkeypatch: pytest.MonkeyPatch, *, test_value: int = 0) -> None:
    train = cifar.to_split(np.arange(40, dtype=np.uint8).repeat(3072).reshape(40, 32, 32, 3), [0, 1] * 20)
    test = cifar.to_split(np.full((4, 32, 32, 3), test_value, dtype=np.uint8), [0, 1] * 2)
    source = Source(train=train, val=None, test=test, class_names=("ant", "bee"))
    monkeypatch.setattr(cifar, "load", lambda _: source)


def tiny(monkeypatch: pytest.MonkeyPatch, augment: str | None = None, **kwargs: int) -> Dataset:
    tiny_cifar(monkeypatch, **kwargs)
    return load_dataset(DataRequest(name="cifar10", data_dir=Path("unused"), augment=augment))


def test_spec_describes_the_digits() -> None:
    spec = digits().spec
    assert (spec.name, spec.image_size, spec.channels, spec.num_classes) == ("cluttered-digits", 16, 1, 10)
    assert (spec.num_train, spec.num_val, spec.shift, spec.flip) == (8000, 5000, 2, False)


def test_limit_is_met_and_keeps_groups_beside_images(rendered: Source) -> None:
    dataset = digits(limit_train=100)
    assert dataset.spec.num_train == len(dataset.train) == 100
    train, source = held(dataset.train), rendered.train
    assert train.groups is not None
    assert source.groups is not None
    for image, label, group in zip(train.images, train.labels, train.groups, strict=True):
        candidates = source.images[source.groups == group]
        assert (candidates == image).flatten(1).all(1).any()
        assert label in source.labels[source.groups == group]


def test_val_and_test_do_not_depend_on_the_limit() -> None:
    limited, full = digits(limit_train=100), digits()
    assert torch.equal(held(limited.val).images, held(full.val).images)
    assert limited.test_hash == full.test_hash


def test_limit_changes_the_content_hash() -> None:
    assert digits(limit_train=100).spec.content_hash != digits(limit_train=200).spec.content_hash


def test_impossible_limits_are_refused() -> None:
    with pytest.raises(DataError, match="9 is below the number of classes, 10"):
        digits(limit_train=9)
    with pytest.raises(DataError, match="8001 is above the number of training images, 8000"):
        digits(limit_train=8001)


def test_val_is_carved_where_the_data_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = tiny(monkeypatch)
    assert (len(dataset.train), len(dataset.val)) == (36, 4)
    values = [set(held(split).images[:, 0, 0, 0].tolist()) for split in (dataset.train, dataset.val)]
    assert values[0] | values[1] == set(range(40))


def test_content_hash_ignores_test_and_test_hash_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tiny(monkeypatch), tiny(monkeypatch, test_value=1)
    assert first.spec == second.spec
    assert first.test_hash != second.test_hash


def test_open_test_returns_the_test_split(monkeypatch: pytest.MonkeyPatch) -> None:
    assert held(open_test(tiny(monkeypatch, test_value=9))).images.flatten().tolist() == [9] * 4 * 3072


@pytest.mark.parametrize(
    ("augment", "shift", "flip"),
    [(None, 4, True), ("none", 0, False), ("shift", 4, False), ("shift+flip", 4, True), ("crop-flip", 0, True)],
)
def test_augmentation_of_cifar(augment: str | None, shift: int, flip: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tiny(monkeypatch, augment).spec
    assert (spec.shift, spec.flip) == (shift, flip)


def test_mirrored_digits_are_refused() -> None:
    with pytest.raises(DataError, match="a mirrored digit is another sign"):
        digits(augment="shift+flip")


def test_unknown_augmentation_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match="'shft'") as error:
        digits(augment="shft")
    assert "did you mean `shift`?" in error.value.hint


@pytest.mark.parametrize("name", ["cifar11", "imagenet", "folder", ""])
def test_unknown_dataset_is_refused_with_what_is_known(name: str) -> None:
    with pytest.raises(DataError, match=f"unknown dataset '{name}'") as error:
        load_dataset(DataRequest(name=name, data_dir=Path("unused")))
    assert "cifar100, folder:PATH" in error.value.hint


def test_nearest_dataset_is_named() -> None:
    with pytest.raises(DataError) as error:
        default_epochs("clutered-digits")
    assert error.value.hint.startswith("did you mean `cluttered-digits`?")


def test_default_epochs_follow_the_data() -> None:
    names = ("cluttered-digits", "cifar10", "cifar100", "folder:anywhere")
    assert [default_epochs(name) for name in names] == [10, 160, 160, 60]


def test_known_datasets_are_listed() -> None:
    assert known_datasets() == ["cluttered-digits", "cifar10", "cifar100", "folder:PATH", "MODULE:CALLABLE"]
