from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tasearch.domain.errors import ConfigError, StorageError
from tasearch.stores.delivery import check_destination, delivered

NAMES = ("a", "b")


def deliver(folder: Path, *names: str, force: bool = False) -> None:
    with delivered(folder, NAMES, force=force) as beside:
        for name in names:
            (beside / name).write_text("new")


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("there", ["nothing", "an empty folder"])
def test_files_appear_in_a_new_or_empty_folder(tmp_path: Path, there: str) -> None:
    folder = tmp_path / "deep" / "out"
    if there != "nothing":
        folder.mkdir(parents=True)
    deliver(folder, "a", "b")
    assert contents(folder) == {"a": "new", "b": "new"}
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_nothing_is_left_where_the_block_raises(tmp_path: Path) -> None:
    def stop(beside: Path) -> None:
        (beside / "a").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), delivered(tmp_path / "deep" / "out", NAMES, force=False) as beside:
        stop(beside)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("old")
    with pytest.raises(ConfigError, match="the folder is not empty"):
        deliver(tmp_path, "a")
    assert contents(tmp_path) == {"mine": "old"}


def test_force_replaces_and_removes_what_has_a_name_of_ours_only(tmp_path: Path) -> None:
    for name in ("a", "b", "mine"):
        (tmp_path / name).write_text("old")
    deliver(tmp_path, "a", force=True)
    assert contents(tmp_path) == {"a": "new", "mine": "old"}


def test_with_force_a_block_that_raises_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), delivered(tmp_path, NAMES, force=True):
        raise RuntimeError
    assert contents(tmp_path) == {"a": "old"}


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(StorageError, match="is a file"):
        check_destination(tmp_path / "out", force=True)


def test_the_folder_is_readable_as_any_new_one(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        deliver(tmp_path / "out", "a")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o755
