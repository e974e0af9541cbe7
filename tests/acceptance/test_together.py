"""Two processes with the same command at the same moment, on a database that neither has made yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import TRIALS, Done, Place

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("shared"), images)
    yield place
    place.close()


@pytest.fixture(scope="module")
def both(shared: Place) -> tuple[Done, Done]:
    first, second = shared.optimize("--json"), shared.optimize("--json")
    return first.finish(), second.finish()


def test_both_end_well_with_one_verdict(both: tuple[Done, Done]) -> None:
    assert [run.code for run in both] == [0, 0], both
    assert both[0].answer["verdict"] == both[1].answer["verdict"]


def test_the_budget_is_shared(both: tuple[Done, Done], shared: Place) -> None:
    assert both[0].answer["trials"]["complete"] == TRIALS
    assert shared.rows("SELECT COUNT(*) FROM trials") == [(TRIALS,)]


def test_every_stage_is_trained_once_by_one_of_them(both: tuple[Done, Done], shared: Place) -> None:
    assert shared.rows("SELECT DISTINCT state, attempt FROM tasearch_stages") == [("complete", 1)]
    labels = [*both[0].trained, *both[1].trained]
    assert len(labels) == len(set(labels)) == len(shared.weights())


def test_the_test_set_is_opened_once(both: tuple[Done, Done], shared: Place) -> None:
    assert both[0].code == 0
    assert shared.rows("SELECT json_array_length(attrs, '$.test_opened') FROM tasearch_studies") == [(1,)]
    assert shared.rows("SELECT DISTINCT round FROM tasearch_finals") == [(1,)]
