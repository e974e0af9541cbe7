"""What only a service can do wrong: no such bucket, keys it does not know, nobody there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import s3fs

from tasearch.domain.errors import StorageError
from tasearch.stores.artifacts import ArtifactStore
from tests.object_store import SECRET, environment_of, running_moto

ID = "0" * 64
ASK: list[Callable[[ArtifactStore], object]] = [
    lambda store: store.check_writable(),
    lambda store: store.put(b"weights"),
    lambda store: store.get(ID),
    lambda store: store.exists(ID),
]


@pytest.mark.parametrize("ask", ASK)
def test_a_bucket_that_is_not_there_is_no_missing_artifact(bucket: str, ask: Callable[[ArtifactStore], object]) -> None:
    store = ArtifactStore(f"{bucket}-elsewhere/artifacts")
    with pytest.raises(StorageError, match=r"s3://bucket-.*-elsewhere/artifacts: The specified bucket does not exist"):
        ask(store)


@pytest.fixture(scope="module")
def closed_endpoint() -> object:
    with running_moto(knows_keys=False) as endpoint:
        yield endpoint


@pytest.fixture
def closed_store(closed_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> object:
    """A store on a service that knows none of our keys."""
    for name, value in environment_of(closed_endpoint).items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield ArtifactStore("s3://bucket/artifacts")
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("ask", [*ASK, lambda store: store.files()])
def test_wrong_credentials_are_said_without_the_secret(
    closed_store: ArtifactStore, ask: Callable[[ArtifactStore], object]
) -> None:
    with pytest.raises(StorageError, match="s3://bucket/artifacts: ") as caught:
        ask(closed_store)
    assert SECRET not in f"{caught.value.message} {caught.value.hint} {caught.value!r} {closed_store!r}"


def test_an_intact_old_artifact_is_written_again_when_it_is_put(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(f"{bucket}/artifacts")
    artifact_id = store.put(b"weights")
    written: list[str] = []
    pipe_file = store._filesystem.pipe_file

    def noted(path: str, data: bytes) -> None:
        written.append(path)
        pipe_file(path, data)

    monkeypatch.setattr(store._filesystem, "pipe_file", noted)
    store.put(b"weights")
    assert written == []
    monkeypatch.setattr("tasearch.stores.artifacts.GRACE_SECONDS", -10.0)
    store.put(b"weights")
    assert written == [store._path(artifact_id)]
