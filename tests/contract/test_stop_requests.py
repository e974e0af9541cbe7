from __future__ import annotations

import time

import pytest

from tasearch.domain.errors import StorageError
from tasearch.stores.records import Records
from tasearch.stores.stop_requests import ask_to_stop, stop_watch


@pytest.fixture
def study(records: Records) -> str:
    records.studies.create("pets", {}, {}, {})
    records.studies.update_attrs("pets", {"verdict": None})
    return "pets"


def test_a_worker_that_began_before_is_asked(records: Records, study: str) -> None:
    is_asked = stop_watch(records.engine, study, time.monotonic() - 10.0)
    assert not is_asked()
    ask_to_stop(records.studies, study)
    assert is_asked()


def test_a_worker_that_begins_later_is_not(records: Records, study: str) -> None:
    ask_to_stop(records.studies, study)
    time.sleep(0.05)
    assert not stop_watch(records.engine, study, time.monotonic())()


def test_other_studies_and_attrs_are_left_alone(records: Records, study: str) -> None:
    records.studies.create("birds", {}, {}, {})
    ask_to_stop(records.studies, study)
    assert not stop_watch(records.engine, "birds", time.monotonic() - 10.0)()
    found = records.studies.find(study)
    assert found is not None
    assert "verdict" in found.attrs


def test_an_unknown_study_cannot_be_stopped(records: Records) -> None:
    with pytest.raises(StorageError, match="no study named"):
        ask_to_stop(records.studies, "birds")


def test_a_study_that_is_deleted_asks_nobody_to_end(records: Records) -> None:
    assert not stop_watch(records.engine, "birds", time.monotonic())()
