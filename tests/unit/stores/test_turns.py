from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasearch.domain.errors import StorageError
from tasearch.stores import turns
from tasearch.stores.owner import current_owner
from tasearch.stores.records import Records, open_records
from tasearch.stores.turns import turn


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    records = open_records(f"sqlite:///{tmp_path / 'studies.db'}")
    records.studies.create("s", {}, {}, {})
    yield records
    records.close()


def attrs(records: Records) -> dict[str, object]:
    row = records.studies.find("s")
    assert row is not None
    return row.attrs


def test_one_worker_waits_for_the_other(records: Records) -> None:
    order: list[str] = []
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with turn(records.studies, "s", "first:1:1"):
            entered.set()
            leave.wait(20)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(20)
    threading.Timer(0.2, leave.set).start()
    with turn(records.studies, "s", "second:1:1"):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_nothing_is_left_in_the_study(records: Records) -> None:
    records.studies.update_attrs("s", {"kept": 1})
    with turn(records.studies, "s", "ada:1:1"):
        pass
    assert attrs(records) == {"kept": 1}


def test_an_error_gives_the_turn_back(records: Records) -> None:
    with pytest.raises(RuntimeError, match="broken"), turn(records.studies, "s", "ada:1:1"):
        raise RuntimeError("broken")
    assert attrs(records) == {}


def test_the_turn_of_a_dead_process_is_taken_at_once(records: Records) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    here = current_owner().rsplit(":", 2)[0]
    held = turn(records.studies, "s", f"{here}:{process.pid}:1")
    held.__enter__()
    with turn(records.studies, "s", "ada:1:1"):
        assert attrs(records)["turn"] != {}
    held.__exit__(None, None, None)


def test_a_turn_that_lasts_too_long_is_taken(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.1)
    with turn(records.studies, "s", "slow:1:1"), turn(records.studies, "s", "ada:1:1"):
        held = attrs(records)["turn"]
    assert isinstance(held, dict)
    assert held["owner"] == "ada:1:1"


def test_an_unknown_study_is_refused(records: Records) -> None:
    with pytest.raises(StorageError, match="no study named `t`"), turn(records.studies, "t", "ada:1:1"):
        pass


def test_a_turn_that_was_taken_is_lost_and_stays_lost(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.1)
    with turn(records.studies, "s", "slow:1:1") as slow:
        assert slow.is_held()
        with turn(records.studies, "s", "ada:1:1") as other:
            assert (slow.is_held(), slow.renew()) == (False, False)
            assert other.is_held()
        assert not slow.is_held()


def test_a_turn_is_renewed(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    with turn(records.studies, "s", "ada:1:1") as mine:
        before = attrs(records)["turn"]
        monkeypatch.setattr(turns, "TURN_SECONDS", 600.0)
        assert mine.renew()
        after = attrs(records)["turn"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert after["until"] > before["until"] + 300
