from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tasearch.domain.errors import StorageError
from tasearch.stores.checkpoints import CheckpointStore

NAME = "f" * 64


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoints")


def only_file(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "checkpoints").iterdir()
    return path


def test_absent_checkpoint_is_none(store: CheckpointStore) -> None:
    assert store.load(NAME) is None


def test_last_save_wins(store: CheckpointStore) -> None:
    store.save(NAME, b"epoch 1")
    store.save(NAME, b"epoch 2")
    assert store.load(NAME) == b"epoch 2"


def test_names_are_kept_apart(store: CheckpointStore) -> None:
    store.save("a", b"1")
    store.save("b", b"2")
    assert (store.load("a"), store.load("b")) == (b"1", b"2")


def test_deleted_checkpoint_is_gone(store: CheckpointStore) -> None:
    store.save(NAME, b"state")
    store.delete(NAME)
    store.delete(NAME)
    assert store.load(NAME) is None


@pytest.mark.parametrize("keep", [0, 10, -1])
def test_damaged_checkpoint_is_logged_and_deleted(
    store: CheckpointStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, keep: int
) -> None:
    store.save(NAME, b"state")
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with caplog.at_level(logging.WARNING):
        assert store.load(NAME) is None
    assert "is damaged and was deleted" in caplog.text
    assert not path.exists()


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 201, "a\n"])
def test_name_that_could_leave_the_folder_is_refused(store: CheckpointStore, name: str) -> None:
    for ask in (store.load, store.delete):
        with pytest.raises(ValueError, match="allowed: letters, digits"):
            ask(name)


def test_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = CheckpointStore(tmp_path / "file")
    with pytest.raises(StorageError, match="cannot save checkpoint"):
        store.save(NAME, b"state")
    with pytest.raises(StorageError, match="cannot read checkpoint"):
        store.load(NAME)
