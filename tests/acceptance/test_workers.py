"""One call with several worker processes on this machine."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasearch.stores.owner import is_known_dead
from tests.acceptance.conftest import TRIALS, Done, Place
from tests.suite.waiting import wait_until

pytestmark = pytest.mark.slow

TWO = ("--workers", "2", "--epochs", "12", "--json")
LONG = (*TWO, "--epochs", "60")
"""Long enough that a worker that needs ten seconds to start still finds work."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("workers"), images)
    yield place
    place.close()


@pytest.fixture(scope="module")
def done(shared: Place) -> Done:
    done = shared.optimize(*LONG).finish()
    assert done.code == 0, done.err
    return done


def test_both_workers_train(done: Done, shared: Place) -> None:
    assert done.code == 0
    assert shared.rows("SELECT COUNT(DISTINCT owner) FROM tasearch_stages") == [(2,)]


def test_every_stage_is_trained_once_and_counted(done: Done, shared: Place) -> None:
    assert shared.rows("SELECT DISTINCT state, attempt FROM tasearch_stages") == [("complete", 1)]
    assert done.answer["stages"]["trained"] == len(shared.weights()) == len(done.trained)


def test_the_budget_is_that_of_the_study(done: Done) -> None:
    assert done.answer["trials"] == {"complete": TRIALS, "pruned": 0, "failed": 0}


def test_what_will_be_done_is_said_once(done: Done) -> None:
    assert done.err.count("budget: ") == 1
    assert "workers: 2, CPU threads of each: 1" in done.err


def worker_ids(place: Place) -> list[str]:
    return [worker for (worker,) in place.rows("SELECT worker_id FROM tasearch_workers")]


def test_a_signal_to_the_call_ends_all_its_workers_and_loses_nothing(place: Place) -> None:
    run = place.optimize(*TWO)
    run.wait_for("trial 0: ")
    ended = run.end_with(signal.SIGTERM)
    assert ended.code == 143
    assert worker_ids(place) == []
    again = place.optimize(*TWO).finish()
    assert again.code == 0, again.err
    trained = [*ended.trained, *again.trained]
    assert len(trained) == len(set(trained)) == len(place.weights())


def test_workers_do_not_outlive_a_call_that_was_killed(place: Place) -> None:
    run = place.optimize(*TWO, "--epochs", "60")
    run.wait_for("trial 0: ")
    wait_until(lambda: len(worker_ids(place)) == 2, check=lambda: run.must_run("there were two workers"))
    workers = worker_ids(place)
    run.end_with(signal.SIGKILL)
    wait_until(lambda: all(is_known_dead(worker) for worker in workers))
