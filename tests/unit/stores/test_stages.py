from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from tasearch.domain.errors import LeaseLostError
from tasearch.stores.records import Records, open_records
from tasearch.stores.stages import StageState
from tests.contract.examples import result_of, stage

SPEC = stage()


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = open_records(f"sqlite:///{tmp_path}/studies.db", patience=10.0)
    yield opened
    opened.close()


def lose_next_answer(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the connection break after the next transaction is committed, before the database says so."""
    whole = records.engine.begin
    answers = iter([False])

    @contextlib.contextmanager
    def begin() -> Iterator[Connection]:
        with whole() as connection:
            yield connection
        if not next(answers, True):
            raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr(records.engine, "begin", begin)


def test_completion_whose_answer_was_lost_counts(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = records.stages.claim(SPEC, "ada", 60.0)
    assert claim is not None
    lose_next_answer(records, monkeypatch)
    records.stages.complete(claim, result_of(SPEC))
    row = records.stages.find(SPEC.fingerprint)
    assert row is not None
    assert row.state is StageState.COMPLETE


def test_completion_after_a_lost_answer_and_a_new_owner_is_refused(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = records.stages.claim(SPEC, "ada", -1.0)
    assert claim is not None
    lose_next_answer(records, monkeypatch)
    records.stages.renew(claim, 1, -1.0)
    assert records.stages.claim(SPEC, "bob", 60.0) is not None
    with pytest.raises(LeaseLostError):
        records.stages.complete(claim, result_of(SPEC))
