"""A decoded copy is used only when it is whole."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch

from tasearch.data import decoded_store

TENSORS = {"train": torch.arange(48, dtype=torch.uint8).view(2, 2, 3, 4), "test": torch.ones(1, 2, 3, 4).byte()}
NAMES = ("train", "test")


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "decoded" / "copy.safetensors"
    decoded_store.write(path, TENSORS)
    return path


def test_what_was_written_is_read(stored: Path) -> None:
    found = decoded_store.read(stored, NAMES)
    assert found is not None
    assert all(torch.equal(tensor, TENSORS[name]) for name, tensor in zip(NAMES, found, strict=True))


def test_nothing_else_is_left_behind(stored: Path) -> None:
    assert list(stored.parent.iterdir()) == [stored]


def test_missing_copy_is_none(tmp_path: Path) -> None:
    assert decoded_store.read(tmp_path / "none", NAMES) is None


def test_truncated_copy_is_none_and_said(stored: Path, caplog: pytest.LogCaptureFixture) -> None:
    stored.write_bytes(stored.read_bytes()[:-5])
    assert decoded_store.read(stored, NAMES) is None
    assert "damaged" in caplog.text


def test_changed_byte_is_none_and_said(stored: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.write_bytes(content)
    assert decoded_store.read(stored, NAMES) is None
    assert "wrong hash" in caplog.text


def test_copy_without_a_tensor_is_none(stored: Path) -> None:
    assert decoded_store.read(stored, ("train", "other")) is None


def test_impossible_place_is_only_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    decoded_store.write(tmp_path / "file" / "copy.safetensors", TENSORS)
    assert "cannot keep a decoded copy" in caplog.text


def test_key_changes_with_size_time_name_and_image_size(tmp_path: Path) -> None:
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    first.write_bytes(b"12")
    os.utime(first, ns=(1, 1))
    keys = [decoded_store.key_of(tmp_path, [str(first)], size) for size in (None, 8)]
    os.utime(first, ns=(1, 2))
    keys.append(decoded_store.key_of(tmp_path, [str(first)], None))
    first.write_bytes(b"123")
    os.utime(first, ns=(1, 2))
    keys.append(decoded_store.key_of(tmp_path, [str(first)], None))
    first.rename(second)
    keys.append(decoded_store.key_of(tmp_path, [str(second)], None))
    assert len(set(keys)) == 5


def test_key_does_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    (one / "a.png").write_bytes(b"12")
    before = decoded_store.key_of(one, [str(one / "a.png")], 8)
    one.rename(two)
    assert decoded_store.key_of(two, [str(two / "a.png")], 8) == before


def test_key_sees_files_that_changed_places_and_kept_length_and_time(tmp_path: Path) -> None:
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    for file, content in ((first, b"12"), (second, b"34")):
        file.write_bytes(content)
        os.utime(file, ns=(1, 1))
    before = decoded_store.key_of(tmp_path, [str(first), str(second)], 8)
    first.rename(tmp_path / "c.png")
    second.rename(first)
    (tmp_path / "c.png").rename(second)
    assert decoded_store.key_of(tmp_path, [str(first), str(second)], 8) != before


def test_key_sees_a_file_that_was_written_over_and_kept_length_and_time(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"12")
    os.utime(file, ns=(1, 1))
    before = decoded_store.key_of(tmp_path, [str(file)], 8)
    time.sleep(0.02)  # longer than the clock of a file system ticks
    file.write_bytes(b"34")
    os.utime(file, ns=(1, 1))
    assert decoded_store.key_of(tmp_path, [str(file)], 8) != before
