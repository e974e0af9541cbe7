"""The embedded data: fixed bytes, no scan in two splits, every class in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tasearch.data import cluttered_digits
from tasearch.data.dataset import DataRequest, Source, hash_splits
from tasearch.data.draws import Draws
from tasearch.domain.errors import DataError


def request(image_size: int | None = None) -> DataRequest:
    return DataRequest(name="cluttered-digits", data_dir=Path("unused"), image_size=image_size)


@pytest.fixture(scope="module")
def source() -> Source:
    return cluttered_digits.load(request())


def groups(source: Source) -> list[set[int]]:
    assert source.val is not None
    found = []
    for split in (source.train, source.val, source.test):
        assert split.groups is not None
        found.append(set(split.groups.tolist()))
    return found


def test_bytes_are_pinned(source: Source) -> None:
    assert source.val is not None
    assert hash_splits(source.train, source.val, source.test)[:16] == "f24be8770741d719"


def test_shapes(source: Source) -> None:
    assert source.val is not None
    shapes = [tuple(split.images.shape) for split in (source.train, source.val, source.test)]
    assert shapes == [(8000, 1, 16, 16), (5000, 1, 16, 16), (5000, 1, 16, 16)]
    assert source.train.images.dtype == torch.uint8


def test_no_scan_is_in_two_splits_and_all_are_used(source: Source) -> None:
    train, val, test = groups(source)
    assert (len(train), len(val), len(test)) == (997, 400, 400)
    assert train | val | test == set(range(1797))


def test_renderings_of_a_scan_have_its_label(source: Source) -> None:
    from sklearn.datasets import load_digits

    assert source.train.groups is not None
    assert torch.equal(torch.from_numpy(load_digits().target)[source.train.groups], source.train.labels)


def test_classes_are_balanced_in_every_split(source: Source) -> None:
    assert source.val is not None
    for split in (source.train, source.val, source.test):
        share = torch.bincount(split.labels, minlength=10) / len(split)
        assert share.tolist() == pytest.approx([0.1] * 10, abs=0.01)


def test_renderings_of_one_scan_differ(source: Source) -> None:
    assert not torch.equal(source.train.images[0], source.train.images[997])


@pytest.mark.parametrize("size", [12, 20])
def test_other_sizes_are_rendered(size: int) -> None:
    assert cluttered_digits.load(request(size)).test.images.shape == (5000, 1, size, size)


@pytest.mark.parametrize("size", [11, 65])
def test_impossible_size_is_refused_with_the_range(size: int) -> None:
    with pytest.raises(DataError, match=f"{size} x {size}: image_size must be 12 to 64"):
        cluttered_digits.load(request(size))


def test_undistorted_scan_is_the_scan_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_ROTATION", "MAX_SHEAR_PERCENT", "MAX_MOVE_PERCENT", "NUM_FRAGMENTS", "NOISE"):
        monkeypatch.setattr(cluttered_digits, name, 0)
    monkeypatch.setattr(cluttered_digits, "SCALE_PERCENT", (100, 100))
    monkeypatch.setattr(cluttered_digits, "INK", (255, 255))
    scans = cluttered_digits._split_scans()[0]
    split = cluttered_digits._render(scans, 20, 24, Draws("plain"))
    # Each scan pixel becomes 3 x 3 canvas pixels; the middle one shows it unmixed, up to 1/100 of a neighbour.
    expected = torch.from_numpy(scans.images[:20]).int() * 255 // 16
    assert (split.images[:, 0, 1::3, 1::3].int() - expected).abs().max() <= 3
