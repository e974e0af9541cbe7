"""Datasets of the user's own: what is taken, what is said, what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasearch.data.dataset import DataRequest, Dataset, Split
from tasearch.data.registry import load_dataset
from tasearch.domain.errors import DataError

LABELS = [0, 1, 2] * 4


class Samples:
    """A map-style dataset of (image, label)."""

    def __init__(self, labels: list[Any], *, classes: list[str] | None = None, size: int = 8, seed: int = 0) -> None:
        draws = np.random.default_rng(seed)
        self.images: list[Any] = [draws.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in labels]
        self.labels = labels
        if classes is not None:
            self.classes = classes

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Any:
        return self.images[index], self.labels[index]


def load(train: Any = None, test: Any = None, **changes: Any) -> Dataset:
    pair = (Samples(LABELS) if train is None else train, Samples(LABELS, seed=1) if test is None else test)
    return load_dataset(DataRequest(name="object:Samples", data_dir=Path("unused"), objects=pair, **changes))


def changed(change: Callable[[Samples], None]) -> Samples:
    samples = Samples(LABELS)
    change(samples)
    return samples


def grey(samples: Samples, indices: range) -> Samples:
    for index in indices:
        samples.images[index] = samples.images[index][:, :, 0]
    return samples


def test_the_spec_follows_the_samples() -> None:
    dataset = load()
    spec = dataset.spec
    assert (spec.name, spec.num_classes, spec.image_size, spec.channels) == ("object:Samples", 3, 8, 3)
    assert (spec.num_train, spec.num_val, dataset.num_test) == (9, 3, 12)
    assert dataset.class_counts.train == (3, 3, 3)


def test_a_rare_class_keeps_an_image_in_train_and_one_in_val() -> None:
    counts = load(Samples([0] * 30 + [1] * 30 + [2] * 2)).class_counts
    assert (counts.train, counts.val) == ((27, 27, 1), (3, 3, 1))


def test_the_same_samples_have_the_same_hash() -> None:
    assert load().spec.content_hash == load().spec.content_hash


def test_one_pixel_changes_the_hash() -> None:
    def edit(samples: Samples) -> None:
        samples.images[5][3, 3, 0] ^= 1

    assert load(changed(edit)).spec.content_hash != load().spec.content_hash


def test_one_label_changes_the_hash() -> None:
    def edit(samples: Samples) -> None:
        samples.labels = [*LABELS[:-1], 0]

    assert load(changed(edit)).spec.content_hash != load().spec.content_hash


def test_class_names_are_taken_from_the_dataset() -> None:
    assert load(Samples(LABELS, classes=["a", "b", "c"])).class_names == ("a", "b", "c")
    assert load().class_names == ("0", "1", "2")


def test_images_that_are_all_grey_stay_one_channel() -> None:
    dataset = load(grey(Samples(LABELS), range(12)), grey(Samples(LABELS), range(12)))
    assert dataset.spec.channels == 1
    assert dataset.remarks == ("all 24 images: grey, kept as one channel",)


@pytest.mark.parametrize("indices", [range(3), range(3, 12), range(12)], ids=["first", "later", "train"])
def test_grey_among_colours_becomes_three_channels_and_is_said(indices: range) -> None:
    dataset = load(grey(Samples(LABELS), indices))
    assert dataset.spec.channels == 3
    assert dataset.remarks == (f"{len(indices)} of 24 images: grey, their channel stands for red, green and blue",)
    assert isinstance(dataset.train, Split)
    assert (dataset.train.images[:, 0] == dataset.train.images[:, 1]).flatten(1).all(1).any()


@pytest.mark.parametrize("label", [np.int64(2), torch.tensor(2), np.array(2, dtype=np.uint8)], ids=str)
def test_labels_may_be_integers_of_any_library(label: Any) -> None:
    assert load(Samples([0, 1, label] * 4)).spec.num_classes == 3


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (Samples([0, 1, 2.0] * 4), r"Samples, train\[2\]: its label is a float \(2.0\), not an integer"),
        (Samples([0, 1, True] * 4), r"its label is a bool \(True\), not an integer"),
        (Samples([0, 1, "cat"] * 4), r"its label is a str \('cat'\), not an integer"),
        (Samples([0, 1, np.array([0, 1])] * 4), r"its label is a ndarray of shape \(2,\), not an integer"),
        (Samples([0, 1, -1] * 4), r"train\[2\]: label -1 is outside 0 to 1"),
        (Samples(LABELS, classes=["a", "b"]), r"train\[2\]: label 2 is outside 0 to 1"),
        (Samples([0, 2] * 6), "no image of class 1"),
        (Samples([0, 10**9] * 6), "one has the label 1000000000"),
        (Samples([1] * 12), "every label is 1; at least 2 classes are needed"),
        (Samples([]), "the dataset is empty"),
        (Samples([0, 1, 2, 0, 1]), "class '2' has 1 training images: at least 2 are needed"),
        (Samples(LABELS, size=3), "its image is 3 x 3; without --image-size images must be squares of 4 to 512"),
        (changed(lambda s: s.images.__setitem__(4, np.zeros((9, 9, 3), np.uint8))), r"train\[4\]: its image is 9 x 9"),
        (changed(lambda s: s.images.__setitem__(4, np.zeros((8, 8, 3)) + 7.0)), r"train\[4\]: its pixels go from 7"),
        (changed(lambda s: s.images.pop()), r"train\[11\] failed: IndexError"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(train: Samples, message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        load(train)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (Samples([0, 1, 2, 3] * 3), r"test\[3\]: label 3 does not occur in object:Samples, train"),
        (Samples([0, 1] * 6), "test: no image of class c, which object:Samples, train has"),
        (Samples(LABELS, classes=["a", "b", "d"]), "train and test have different classes: a, b, c and a, b, d"),
        (Samples(LABELS, size=9), r"test\[0\]: its image is 9 x 9, those of object:Samples, train are 8 x 8"),
    ],
)
def test_train_and_test_must_fit_together(test: Samples, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(Samples(LABELS, classes=["a", "b", "c"]), test)


def test_random_transforms_are_found() -> None:
    class Noisy(Samples):
        def __getitem__(self, index: int) -> Any:
            return np.random.default_rng().integers(0, 256, (8, 8, 3), dtype=np.uint8), self.labels[index]

    with pytest.raises(DataError, match="another sample every time"):
        load(Noisy(LABELS))


def test_a_sample_that_is_no_pair_is_refused() -> None:
    class Named(Samples):
        def __getitem__(self, index: int) -> Any:
            return {"image": self.images[index], "label": self.labels[index]}

    with pytest.raises(DataError, match=r"train\[0\]: got a dict where \(image, label\) is wanted"):
        load(Named(LABELS))


def test_an_image_size_makes_images_of_all_sizes_fit() -> None:
    train = changed(lambda samples: samples.images.__setitem__(4, np.zeros((9, 20, 3), np.uint8)))
    assert load(train, image_size=8).spec.image_size == 8


def test_more_images_than_memory_are_refused_before_they_are_read() -> None:
    with pytest.raises(DataError, match=r"more than the 0.001 GB that images may take") as refused:
        load(Samples([0, 1] * 2000, size=32), memory_bytes=10**6)
    assert "--memory-gb" in refused.value.hint


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module into the current folder and return its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text: str) -> str:
        name = f"given_{abs(hash(text)) % 10**9}"
        (tmp_path / f"{name}.py").write_text("from tests.unit.data.test_given import *\n" + text)
        return name

    return write


def from_path(path: str) -> Dataset:
    return load_dataset(DataRequest(name=path, data_dir=Path("unused")))


def test_a_callable_of_the_current_folder_gives_the_data(
    module: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = module("def make():\n    print('hello')\n    return Samples(LABELS), Samples(LABELS, seed=1)\n")
    dataset = from_path(f"{name}:make")
    assert dataset.spec.name == f"{name}:make"
    assert dataset.spec.content_hash == load().spec.content_hash
    # stdout is for results.
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def make():\n    raise KeyError('x')\n", "the callable failed: KeyError: 'x' .*line 3"),
        ("def make():\n    return Samples(LABELS)\n", "got a Samples where two datasets are wanted"),
        ("def make():\n    return [Samples(LABELS)]\n", "got a list of 1 where two datasets are wanted"),
        ("def make():\n    return Samples(LABELS), iter([])\n", "its test set is a list_iterator without"),
        ("def make(root):\n    return 1\n", "the callable failed: TypeError"),
        ("make = 3\n", "it is a int, not a callable"),
        ("mak = 3\n", "has no 'make'"),
        ("import nonesuch\n", "importing given_.* failed: ModuleNotFoundError: No module named 'nonesuch'"),
        ("def make(:\n", "failed: SyntaxError"),
    ],
)
def test_a_callable_that_gives_no_data_is_refused(module: Callable[[str], str], text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        from_path(f"{module(text)}:make")
    assert refused.value.hint


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match="there is no module 'nonesuch'"):
        from_path("nonesuch.data:make")


def test_objects_of_another_process_are_asked_for_again() -> None:
    with pytest.raises(DataError, match="which this process does not have") as refused:
        from_path("object:Samples")
    assert "MODULE:CALLABLE" in refused.value.hint
