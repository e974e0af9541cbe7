from __future__ import annotations

import logging

import pytest

from tasearch.domain.errors import ConfigError
from tasearch.stores.records import Records
from tasearch.worker import same_code
from tasearch.worker.same_code import check_code

ELSEWHERE = "another-host:17:1"
"""A worker of which this host cannot tell whether it lives."""


@pytest.fixture
def study(records: Records) -> str:
    records.studies.create("pets", {}, {}, {})
    check_code(records, "pets", ELSEWHERE, joins=False)
    return "pets"


@pytest.fixture
def changed(study: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The code of this process is from now on another than that of the study."""
    monkeypatch.setattr(same_code, "code_hash", lambda: "f" * 64)
    return study


def test_workers_of_the_same_code_join(records: Records, study: str) -> None:
    check_code(records, study, "two:2:2", joins=True)


def test_a_worker_of_other_code_is_refused_with_both_hashes(records: Records, changed: str) -> None:
    with pytest.raises(ConfigError, match=r"\(ffffffffffff\) is not the one that study 'pets' .* \([0-9a-f]{12}\)"):
        check_code(records, changed, "two:2:2", joins=True)


def test_nobody_goes_on_with_other_code_while_a_worker_lives(records: Records, changed: str) -> None:
    records.workers.put(changed, ELSEWHERE, {})
    with pytest.raises(ConfigError, match="worker another-host:17:1 is at work with that"):
        check_code(records, changed, "two:2:2", joins=False)


def test_a_study_without_workers_goes_on_with_new_code_and_says_so(
    records: Records, changed: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        check_code(records, changed, "two:2:2", joins=False)
    assert "from here on stages are trained by this code" in caplog.text
    check_code(records, changed, "three:3:3", joins=True)
