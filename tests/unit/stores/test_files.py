from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tasearch.stores.files import header_for, probe_writable, sweep_abandoned, unseal, write_atomically


def test_sealed_data_comes_back() -> None:
    data = unseal(header_for(b"data") + b"data")
    assert data is not None
    assert bytes(data) == b"data"


def test_empty_data_can_be_sealed() -> None:
    data = unseal(header_for(b""))
    assert data is not None
    assert bytes(data) == b""


@pytest.mark.parametrize("damaged", [b"", b"data", header_for(b"data")[:20], header_for(b"data") + b"dat"])
def test_damaged_seal_is_seen(damaged: bytes) -> None:
    assert unseal(damaged) is None


@pytest.mark.parametrize("durable", [True, False])
def test_chunks_are_written_one_after_another(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a" / "b"
    write_atomically(path, [b"one", memoryview(b"two")], durable=durable)
    assert path.read_bytes() == b"onetwo"
    assert list(path.parent.iterdir()) == [path]


def test_write_that_breaks_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, [b"old"])
    with pytest.raises(TypeError):
        write_atomically(path, [b"new", "text"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_old_temporary_files_are_swept(tmp_path: Path) -> None:
    old, new, kept = (tmp_path / name for name in (".a.1.tmp", ".b.2.tmp", "c.tmp"))
    for path in (old, new, kept):
        path.touch()
    two_hours_ago = time.time() - 7200
    for path in (old, kept):
        os.utime(path, (two_hours_ago, two_hours_ago))
    sweep_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == [new, kept]


def test_sweeping_an_absent_folder_makes_none(tmp_path: Path) -> None:
    sweep_abandoned(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


def test_probe_leaves_nothing(tmp_path: Path) -> None:
    probe_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_probe_of_a_folder_that_cannot_be_written_raises() -> None:
    with pytest.raises(OSError, match="/proc"):
        probe_writable(Path("/proc"))
