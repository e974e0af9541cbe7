from __future__ import annotations

import json
import logging
import platform
from pathlib import Path

import pytest

from tasearch.domain.errors import StorageError
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.owner import current_owner
from tasearch.stores.records import Records
from tasearch.stores.shared_artifacts import check_shared, database_name, marks_of, token_of

ELSEWHERE = "another-host:17:1"
"""A worker of which this host cannot tell whether it lives."""


@pytest.fixture
def study(records: Records) -> str:
    records.studies.create("pets", {}, {}, {})
    return "pets"


@pytest.fixture
def here(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "here"))


@pytest.fixture
def there(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "there"))


def token(records: Records) -> str | None:
    row = records.studies.find("pets")
    assert row is not None
    return token_of(row.attrs)


def test_the_first_worker_leaves_its_mark(records: Records, study: str, here: ArtifactStore) -> None:
    check_shared(records, study, here, current_owner())
    (mark,) = marks_of(here)
    assert (mark.token, mark.study_name, mark.database) == (token(records), study, database_name(records.engine.url))


def test_workers_of_one_location_join_under_one_mark(records: Records, study: str, here: ArtifactStore) -> None:
    for owner in ("one:1:1", "two:2:2", current_owner()):
        check_shared(records, study, here, owner)
    assert [mark.token for mark in marks_of(here)] == [token(records)]


def test_a_worker_that_keeps_its_artifacts_elsewhere_is_refused(
    records: Records, study: str, here: ArtifactStore, there: ArtifactStore
) -> None:
    check_shared(records, study, here, ELSEWHERE)
    before = token(records)
    with pytest.raises(StorageError, match=r"'pets' keeps its artifacts at .*/here on ") as caught:
        check_shared(records, study, there, current_owner())
    assert f"at {there.location} on {platform.node()}" in caught.value.message
    assert "process 17 on another-host" in caught.value.message
    assert "--artifacts" in caught.value.hint
    assert (token(records), marks_of(there)) == (before, [])


def test_a_worker_that_publishes_holds_the_location_too(
    records: Records, study: str, here: ArtifactStore, there: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_shared(records, study, here, current_owner())
    records.workers.put(study, ELSEWHERE, {})
    with pytest.raises(StorageError, match="process 17 on another-host"):
        check_shared(records, study, there, current_owner())


def test_a_study_without_living_workers_moves_and_says_so(
    records: Records, study: str, here: ArtifactStore, there: ArtifactStore, caplog: pytest.LogCaptureFixture
) -> None:
    dead = current_owner().replace(current_owner().split(":")[1], "4194304")
    check_shared(records, study, here, dead)
    with caplog.at_level(logging.WARNING):
        check_shared(records, study, there, current_owner())
    assert [mark.token for mark in marks_of(there)] == [token(records)]
    assert "are trained again when they are needed" in caplog.text
    with pytest.raises(StorageError, match=r"keeps its artifacts at .*/there"):
        check_shared(records, study, here, ELSEWHERE)


def test_a_worker_that_only_joins_never_moves_a_study(
    records: Records, study: str, here: ArtifactStore, there: ArtifactStore
) -> None:
    dead = current_owner().replace(current_owner().split(":")[1], "4194304")
    check_shared(records, study, here, dead)
    before = token(records)
    with pytest.raises(StorageError, match=r"at .*/here .* would keep them elsewhere, at .*/there"):
        check_shared(records, study, there, current_owner(), joins=True)
    assert (token(records), marks_of(there)) == (before, [])


def test_workers_on_s3_see_each_other(records: Records, study: str, bucket: str, here: ArtifactStore) -> None:
    check_shared(records, study, ArtifactStore(f"{bucket}/artifacts"), ELSEWHERE)
    check_shared(records, study, ArtifactStore(f"{bucket}/artifacts"), current_owner())
    with pytest.raises(StorageError, match=rf"at {bucket}/artifacts, where process"):
        check_shared(records, study, here, "third:3:3")


def test_no_password_is_in_the_mark(records: Records, study: str, here: ArtifactStore) -> None:
    check_shared(records, study, here, current_owner())
    assert database_name("postgresql+psycopg://ada:secret-word@host/db") == "postgresql+psycopg://host/db"
    row = records.studies.find(study)
    assert row is not None
    password = records.engine.url.password
    assert not password or str(password) not in json.dumps(row.attrs) + str(here.notes())


def test_a_note_of_somebody_else_is_a_mark_of_nobody_known(here: ArtifactStore) -> None:
    here.write_note("0" * 32, "no JSON")
    (mark,) = marks_of(here)
    assert (mark.study_name, mark.database) == ("?", "?")


def test_an_unknown_study_is_refused(records: Records, here: ArtifactStore) -> None:
    with pytest.raises(StorageError, match="no study named `pets`"):
        check_shared(records, "pets", here, current_owner())
