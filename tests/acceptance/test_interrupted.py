"""Runs that are stopped or killed: the same command goes on, and ends with the same weights."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.conftest import TRIALS, Done, Place

# Saved often, so that what is continued is a stage half done.
SAVING = ("--checkpoint-seconds", "0.02")


@dataclass(frozen=True)
class Stopped:
    """A run that was stopped twice, watched at the first time, and then finished."""

    place: Place
    status: Done
    status_json: Done
    terminated: Done
    interrupted: Done
    finished: Done

    @property
    def runs(self) -> tuple[Done, Done, Done]:
        return self.terminated, self.interrupted, self.finished


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, finished_place: Place) -> Iterator[Stopped]:
    """SIGTERM in one trial, SIGINT in a later one, then to the end; the run to compare with goes on beside."""
    place = Place(tmp_path_factory.mktemp("stopped"), finished_place.images)
    run = place.optimize(*SAVING, "--json")
    run.wait_for("trial 0: ")
    run.freeze_in_stage()
    status, status_json = (place.tasearch("status", *flags) for flags in ((), ("--json",)))
    seen, seen_json = status.finish(), status_json.finish()
    terminated = run.end_with(signal.SIGTERM)
    run = place.optimize(*SAVING, "--json")
    run.wait_for("trial 2: ")
    run.freeze_in_stage()
    interrupted = run.end_with(signal.SIGINT)
    yield Stopped(place, seen, seen_json, terminated, interrupted, place.optimize(*SAVING, "--json").finish())
    place.close()


class TestStopped:
    def test_a_signal_ends_the_run_with_its_own_exit_code(self, stopped: Stopped) -> None:
        assert (stopped.terminated.code, stopped.interrupted.code) == (143, 130)

    def test_a_stopped_run_says_how_to_go_on_and_answers_nothing(self, stopped: Stopped) -> None:
        for run in (stopped.terminated, stopped.interrupted):
            assert "the same command goes on from here" in run.err
            assert "Traceback" not in run.err
            assert run.out == ""

    def test_the_same_command_finishes(self, stopped: Stopped) -> None:
        assert stopped.finished.code == 0, stopped.finished.err
        assert stopped.finished.answer["trials"] == {"complete": TRIALS, "pruned": 0, "failed": 0}

    def test_over_all_runs_no_stage_is_trained_twice(self, stopped: Stopped) -> None:
        trained = Counter(label for run in stopped.runs for label in run.trained)
        assert set(trained.values()) == {1}
        assert len(trained) == len(stopped.place.weights())

    def test_the_weights_are_those_of_a_run_that_nothing_disturbed(
        self, stopped: Stopped, finished: Done, finished_place: Place
    ) -> None:
        assert stopped.place.weights() == finished_place.weights()
        assert stopped.finished.answer["verdict"] == finished.answer["verdict"]

    def test_status_shows_a_run_under_way(self, stopped: Stopped) -> None:
        assert stopped.status.code == 0
        lines = {line.split()[0]: line for line in stopped.status.out.splitlines() if line.startswith("  ")}
        assert "(search)" in lines["study"]
        assert f"of {TRIALS}" in lines["trials"]
        assert "replicate 0" in lines["now"]
        assert f"of {TRIALS} trials complete" in stopped.status.out

    def test_status_json_shows_a_run_under_way(self, stopped: Stopped) -> None:
        (worker,) = stopped.status_json.answer["workers"]
        assert worker["phase"] == "search"
        assert 1 <= worker["trials_done"] < TRIALS
        assert worker["stage"]
        assert stopped.status_json.answer["verdict"] is None

    def test_no_worker_is_left(self, stopped: Stopped) -> None:
        assert stopped.place.rows("SELECT worker_id FROM tasearch_workers") == []


@dataclass(frozen=True)
class Killed:
    """A run that was killed in the middle of a stage, and then finished."""

    place: Place
    running: dict[int, str]
    """Number and parameters of the trial under way when the process was killed."""
    killed: Done
    finished: Done


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[Killed]:
    place = Place(tmp_path_factory.mktemp("killed"), images)
    run = place.optimize(*SAVING, "--json")
    run.wait_for("trial 1: ")
    run.freeze_in_stage()
    running = parameters(place, "RUNNING")
    dead = run.end_with(signal.SIGKILL)
    with contextlib.closing(sqlite3.connect(place.database)) as connection, connection:
        for table in ("tasearch_stages", "tasearch_leases"):
            connection.execute(f"UPDATE {table} SET leased_until = leased_until + 1e9 WHERE leased_until IS NOT NULL")
    yield Killed(place, running, dead, place.optimize(*SAVING, "--json").finish())
    place.close()


def parameters(place: Place, state: str) -> dict[int, str]:
    """Return the parameters of the trials in a state, by number."""
    found: dict[int, dict[str, float]] = {}
    for number, name, value in place.rows(
        "SELECT number, param_name, param_value FROM trials JOIN trial_params USING (trial_id) "
        f"WHERE state = '{state}' ORDER BY number, param_name"
    ):
        found.setdefault(number, {})[name] = value
    return {number: json.dumps(params) for number, params in found.items()}


class TestKilled:
    def test_it_died_in_the_middle_of_a_stage(self, killed: Killed) -> None:
        assert killed.killed.code == -signal.SIGKILL
        assert len(killed.running) == 1

    def test_the_same_command_goes_on_at_once(self, killed: Killed) -> None:
        # The leases of the dead process were made to last for years: nobody has waited for them.
        assert killed.finished.code == 0, killed.finished.err

    def test_the_trial_is_continued_under_its_number(self, killed: Killed) -> None:
        complete = parameters(killed.place, "COMPLETE")
        assert list(complete) == list(range(TRIALS))
        assert killed.running.items() <= complete.items()
        assert killed.finished.answer["trials"] == {"complete": TRIALS, "pruned": 0, "failed": 0}

    def test_no_stage_is_recorded_twice(self, killed: Killed) -> None:
        trained = Counter([*killed.killed.trained, *killed.finished.trained])
        assert set(trained.values()) == {1}
        assert len(trained) == len(killed.place.weights())

    def test_only_the_stage_under_way_was_begun_again(self, killed: Killed) -> None:
        attempts = killed.place.rows("SELECT attempt, COUNT(*) FROM tasearch_stages GROUP BY attempt ORDER BY attempt")
        assert attempts == [(1, len(killed.place.weights()) - 1), (2, 1)]

    def test_the_weights_are_those_of_a_run_that_nothing_disturbed(
        self, killed: Killed, finished: Done, finished_place: Place
    ) -> None:
        assert killed.place.weights() == finished_place.weights()
        assert killed.finished.answer["verdict"] == finished.answer["verdict"]


@pytest.mark.slow
class TestKilledAgainAndAgain:
    def test_killed_at_random_moments_it_ends_with_the_same_weights(
        self, place: Place, finished: Done, finished_place: Place
    ) -> None:
        moments = random.Random(0)
        for kill in range(5):
            run = place.optimize(*SAVING)
            # Of a dozen stages, one more is trained before each kill: the study does not end before the last one.
            run.wait_for("trained " if kill else "budget: ")
            time.sleep(moments.uniform(0.0, 0.1))
            assert run.end_with(signal.SIGKILL).code == -signal.SIGKILL
        last = place.optimize(*SAVING, "--json").finish()
        assert last.code == 0, last.err
        assert place.weights() == finished_place.weights()
        assert last.answer["verdict"] == finished.answer["verdict"]
