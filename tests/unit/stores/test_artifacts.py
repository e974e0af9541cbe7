from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasearch.domain.errors import ArtifactError, StorageError
from tasearch.stores.artifacts import GRACE_SECONDS, ArtifactStore

DATA = b"weights" * 100
ID = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["folder", "file URL", "memory", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/artifacts"
    places = {
        "folder": str(tmp_path / "artifacts"),
        "file URL": f"file://{tmp_path}/artifacts",
        "memory": f"memory://{secrets.token_hex(6)}/artifacts",
    }
    return places[request.param]


@pytest.fixture
def store(location: str) -> ArtifactStore:
    return ArtifactStore(location)


@pytest.fixture
def folder(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))


def overwrite(store: ArtifactStore, data: bytes) -> None:
    """Damage the artifact behind the store's back."""
    store._filesystem.pipe_file(store._path(ID), data)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_artifact_is_named_by_its_sha256(store: ArtifactStore) -> None:
    assert store.put(DATA) == ID


def test_bytes_come_back(store: ArtifactStore, location: str) -> None:
    store.put(DATA)
    assert ArtifactStore(location).get(ID) == DATA


def test_absent_artifact_does_not_exist(store: ArtifactStore) -> None:
    assert not store.exists(ID)
    store.put(DATA)
    assert store.exists(ID)


def test_missing_artifact_says_so(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactError, match=r"is missing") as caught:
        store.get(ID)
    assert store.path_of(ID) in caught.value.message


def test_damaged_artifact_says_so(store: ArtifactStore) -> None:
    store.put(DATA)
    overwrite(store, b"x" + DATA[1:])
    with pytest.raises(ArtifactError, match="is damaged"):
        store.get(ID)
    store.put(DATA)
    assert store.get(ID) == DATA, "putting mends it"


def test_artifacts_are_listed_with_size_and_age(store: ArtifactStore) -> None:
    assert store.files() == []
    before = store.clock()
    store.put(DATA)
    (file,) = store.files()
    assert (file.artifact_id, file.size, file.name) == (ID, len(DATA), f"{ID[:2]}/{ID[2:4]}/{ID}")
    # Object stores count whole seconds.
    assert before - 1 <= file.modified <= store.clock() + 1


def test_files_of_others_are_not_listed(store: ArtifactStore) -> None:
    store._filesystem.makedirs(store._root, exist_ok=True)
    store._filesystem.pipe_file(f"{store._root}/README", b"mine")
    assert store.files() == []


def test_removed_artifact_is_missing(store: ArtifactStore) -> None:
    store.put(DATA)
    for _again in range(2):
        store.remove(store.files()[0].name if store.files() else f"{ID[:2]}/{ID[2:4]}/{ID}")
        assert not store.exists(ID)


def test_check_leaves_nothing_and_the_store_usable(store: ArtifactStore) -> None:
    store.check_writable()
    assert not store.exists(ID)
    assert store.put(DATA) == ID


@pytest.mark.parametrize("artifact_id", ["", "../../etc/passwd", ID.upper(), ID[:-1], ID + "\n", "/" + ID[1:]])
def test_id_that_is_no_hash_is_refused(store: ArtifactStore, artifact_id: str) -> None:
    for ask in (store.get, store.exists, store.path_of):
        with pytest.raises(ArtifactError, match="is not an artifact id"):
            ask(artifact_id)


def test_folders_are_two_levels_deep(folder: ArtifactStore, tmp_path: Path) -> None:
    folder.put(DATA)
    path = tmp_path / "artifacts" / ID[:2] / ID[2:4] / ID
    assert folder.path_of(ID) == str(path)
    assert files(tmp_path) == [path]


def test_path_elsewhere_is_a_url() -> None:
    assert ArtifactStore("memory://bucket/a").path_of(ID) == f"memory:///bucket/a/{ID[:2]}/{ID[2:4]}/{ID}"


def test_intact_artifact_is_not_written_again(folder: ArtifactStore) -> None:
    folder.put(DATA)
    before = Path(folder.path_of(ID)).stat()
    folder.put(DATA)
    after = Path(folder.path_of(ID)).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("damaged", [b"", DATA[:-1], b"x" + DATA[1:]])
def test_damaged_artifact_is_told_from_a_missing_one(folder: ArtifactStore, damaged: bytes) -> None:
    folder.put(DATA)
    Path(folder.path_of(ID)).write_bytes(damaged)
    with pytest.raises(ArtifactError, match="is damaged"):
        folder.get(ID)


def test_putting_mends_a_damaged_artifact(folder: ArtifactStore) -> None:
    folder.put(DATA)
    Path(folder.path_of(ID)).write_bytes(b"half")
    folder.put(DATA)
    assert folder.get(ID) == DATA


def test_check_does_not_make_the_folder(folder: ArtifactStore, tmp_path: Path) -> None:
    folder.check_writable()
    assert list(tmp_path.iterdir()) == []


def test_check_of_a_memory_store_leaves_nothing() -> None:
    root = secrets.token_hex(6)
    store = ArtifactStore(f"memory://{root}")
    store.check_writable()
    assert not store._filesystem.exists(f"/{root}")


@pytest.mark.parametrize("below", ["file", "file/artifacts"])
def test_location_below_a_file_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    store = ArtifactStore(str(tmp_path / below))
    with pytest.raises(StorageError, match="is a file"):
        store.check_writable()
    with pytest.raises(StorageError, match="cannot write an artifact"):
        store.put(DATA)


def test_location_that_may_not_be_written_is_refused() -> None:
    with pytest.raises(StorageError, match="cannot write artifacts under /proc/artifacts"):
        ArtifactStore("/proc/artifacts").check_writable()


def test_location_that_cannot_be_read_is_no_missing_artifact(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot read artifact"):
        ArtifactStore(str(tmp_path / "file")).get(ID)


def test_unknown_protocol_is_refused() -> None:
    with pytest.raises(StorageError, match="nonsense"):
        ArtifactStore("nonsense://bucket")


def test_protocol_without_its_package_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(*_args: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("tasearch.stores.artifacts.url_to_fs", absent)
    with pytest.raises(StorageError, match="not installed") as caught:
        ArtifactStore("s3://key:secret@bucket/folder")
    assert "tasearch[s3]" in caught.value.hint
    assert "secret" not in caught.value.message


def test_artifact_that_is_put_again_is_young_again(folder: ArtifactStore) -> None:
    folder.put(DATA)
    path = Path(folder.path_of(ID))
    os.utime(path, (0, 0))
    before = path.stat().st_ino
    folder.put(DATA)
    (file,) = folder.files()
    assert folder.clock() - file.modified < GRACE_SECONDS / 2
    assert path.stat().st_ino == before


def test_rest_of_a_write_that_was_cut_off_is_listed_as_no_artifact(folder: ArtifactStore) -> None:
    folder.put(DATA)
    path = Path(folder.path_of(ID))
    path.rename(path.parent / f".{ID}.0123456789ab.tmp")
    (file,) = folder.files()
    assert (file.artifact_id, file.size) == (None, len(DATA))


def test_failure_to_look_is_no_absent_artifact(folder: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_args: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(folder._filesystem, "info", fails)
    with pytest.raises(StorageError, match=r"cannot look for artifact .*Input/output error"):
        folder.exists(ID)


class Sick:
    """Makes a store's file system fail so many times."""

    def __init__(self, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, error: Exception, times: int) -> None:
        self.left, self.calls, self._error = times, 0, error
        for name in ("cat_file", "info"):
            monkeypatch.setattr(store._filesystem, name, self._failing(getattr(store._filesystem, name)))

    def _failing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.left:
                self.left -= 1
                raise self._error
            return original(*arguments, **named)

        return call


SICK = OSError(errno.EIO, "503 Slow Down")


def test_a_location_that_is_away_for_a_moment_is_asked_again(location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(location, pauses=(0.0, 0.0))
    Sick(store, monkeypatch, SICK, 2)
    assert store.put(DATA) == ID
    monkeypatch.undo()
    assert store.get(ID) == DATA


@pytest.mark.parametrize("ask", ["put", "get", "exists"])
def test_a_location_that_stays_away_is_given_up(ask: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(str(tmp_path / "artifacts"), pauses=(0.0, 0.0))
    sick = Sick(store, monkeypatch, SICK, 1000)
    with pytest.raises(StorageError, match="503 Slow Down"):
        getattr(store, ask)(DATA if ask == "put" else ID)
    assert sick.calls == 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_what_does_not_pass_is_not_asked_again(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(str(tmp_path / "artifacts"))
    sick = Sick(store, monkeypatch, OSError(number, os.strerror(number)), 1000)
    with pytest.raises(StorageError):
        store.get(ID)
    assert sick.calls == 1
