from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

import pytest

from tasearch.domain.errors import ArtifactError, StorageError
from tasearch.stores.artifacts import ArtifactStore

DATA = b"weights" * 100
ID = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["folder", "file URL", "memory"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
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
    assert "s3fs" in caught.value.hint
    assert "secret" not in caught.value.message
