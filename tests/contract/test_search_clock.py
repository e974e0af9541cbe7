"""The time that a study has spent searching, by the database's clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tasearch.stores.records import Records, open_records
from tasearch.worker import search_clock
from tasearch.worker.search_clock import OutOfTime, SearchClock, _ticked


@pytest.fixture
def records(storage_url: str) -> Iterator[Records]:
    records = open_records(storage_url)
    records.studies.create("s", {}, {}, {})
    yield records
    records.close()


def spent(attrs: dict[str, object], *ticks: float) -> float:
    for now in ticks:
        attrs = _ticked(attrs, now)
    clock = attrs["search_clock"]
    assert isinstance(clock, dict)
    return float(clock["spent"])


def test_time_passes_between_ticks_of_any_worker() -> None:
    assert spent({}, 100.0, 101.0, 101.5, 105.0) == pytest.approx(5.0)


def test_a_pause_in_which_nobody_searched_is_not_counted() -> None:
    assert spent({}, 100.0, 101.0, 5000.0, 5002.0) == pytest.approx(3.0)


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    assert spent({}, 100.0, 110.0, 105.0, 106.0) == pytest.approx(11.0)


def test_without_a_limit_it_is_never_over(records: Records) -> None:
    assert not SearchClock(records.studies, "s", None).is_over


def test_two_workers_share_one_limit(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_clock, "_TICK_SECONDS", 0.0)
    first, second = (SearchClock(records.studies, "s", 0.05) for _ in range(2))
    while not first.is_over:
        pass
    with pytest.raises(OutOfTime):
        second.check()
