"""CIFAR without a network: the conversion, and what is said when the archive cannot be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
from torchvision import datasets

from tasearch.data import cifar
from tasearch.data.dataset import DataRequest
from tasearch.domain.errors import DataError


def refuse(error: Exception) -> Any:
    class Unreachable(datasets.CIFAR100):  # type: ignore[misc]
        def __init__(self, **_kwargs: object) -> None:
            raise error

    return Unreachable


def test_conversion_moves_channels_first() -> None:
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    split = cifar.to_split(images, [7, 1])
    assert split.images.is_contiguous()
    assert split.images[1, 2, 3, 0] == images[1, 3, 0, 2]
    assert split.labels.tolist() == [7, 1]


@pytest.mark.parametrize(
    "error",
    [URLError("no route to host"), RuntimeError("File not found or corrupted."), EOFError(), ConnectionResetError()],
)
def test_missing_archive_is_named_with_its_place(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "CIFAR100", refuse(error))
    with pytest.raises(DataError, match="cifar100 is not in") as caught:
        cifar.load(DataRequest(name="cifar100", data_dir=tmp_path))
    assert caught.value.hint == (
        "download cifar-100-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz "
        f"and put it into {tmp_path / 'cifar100'}"
    )


def test_both_parts_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tiny:
        classes = ("ant", "bee")

        def __init__(self, *, root: Path, train: bool, download: bool) -> None:
            assert root == tmp_path / "cifar10"
            assert download
            count = 3 if train else 2
            self.data, self.targets = np.zeros((count, 32, 32, 3), dtype=np.uint8), [1] * count

    monkeypatch.setattr(datasets, "CIFAR10", Tiny)
    source = cifar.load(DataRequest(name="cifar10", data_dir=tmp_path))
    assert (len(source.train), source.val, len(source.test), source.class_names) == (3, None, 2, ("ant", "bee"))


def test_what_the_library_prints_stays_off_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Chatty:
        classes = ("ant", "bee")
        data, targets = np.zeros((1, 32, 32, 3), dtype=np.uint8), (0,)

        def __init__(self, **_kwargs: object) -> None:
            print("Extracting")

    monkeypatch.setattr(datasets, "CIFAR10", Chatty)
    cifar.load(DataRequest(name="cifar10", data_dir=tmp_path))
    assert capsys.readouterr().out == ""


def test_other_image_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="image_size 64 is not possible for cifar10"):
        cifar.load(DataRequest(name="cifar10", data_dir=tmp_path, image_size=64))
