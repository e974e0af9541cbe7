"""Whole runs as a user starts them: processes in a folder of their own, on a small real image folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.image_folder import make_image_folder
from tests.suite.waiting import wait_until
from tests.suite.warm import Command

STUDY = "pets"
TRIALS = 5
BUDGET = (
    *("--teacher", "plain6", "--student", "plain2", "--epochs", "4", "--batch-size", "16", "--threads", "1"),
    *("--temperatures", "4,8", "--kd-weights", "0.5,0.9", "--replicates", "2"),
    *("--max-replicates", "2", "--finalists", "1"),
    # Said, not measured: runs are compared bit by bit.
    *("--precision", "float32", "--study-name", STUDY),
)


def _environment() -> dict[str, str]:
    """One thread, no settings of whoever runs the tests, and compiled modules kept: starting takes long enough."""
    foreign = ("TASEARCH_", "OPTUNA_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Done:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def trained(self) -> list[str]:
        """The stages that this process trained, as it said."""
        lines = [line for line in self.err.splitlines() if line.startswith("trained ")]
        return [line.partition(": ")[0].removeprefix("trained ") for line in lines]


class Running:
    """A process under way."""

    def __init__(self, place: Place, arguments: list[str], *, is_ours: bool) -> None:
        """`is_ours`: the arguments are those of `tasearch`; else they begin with a program."""
        self.place = place
        number = len(list(place.folder.glob("*.err")))
        self._out, self._err = place.folder / f"{number}.out", place.folder / f"{number}.err"
        # A process that is forked from a warm server makes them a moment later.
        self._out.touch()
        self._err.touch()
        self.process: Command | subprocess.Popen[bytes]
        if is_ours:
            self.process = Command(arguments, cwd=place.folder, env=_environment(), stdout=self._out, stderr=self._err)
            return
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                arguments, cwd=place.folder, env=_environment(), stdout=out, stderr=err, stdin=subprocess.DEVNULL
            )

    def wait_for(self, text: str) -> None:
        """Wait until stderr has the text."""
        wait_until(lambda: text in self._err.read_text(), check=lambda: self.must_run(f"{text!r}"), pause=0.005)

    def must_run(self, event: str) -> None:
        """Raise AssertionError where it has ended before an event that is waited for."""
        assert self.process.poll() is None, f"ended before {event}:\n{self._err.read_text()}"

    def freeze_in_stage(self) -> None:
        """Stop the process at a moment at which it trains a stage of a trial; `signal.SIGCONT` lets it continue."""
        while True:
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(0.02)
            with contextlib.suppress(sqlite3.OperationalError):
                stages = self.place.rows("SELECT 1 FROM tasearch_stages WHERE state = 'running'")
                running = self.place.rows("SELECT 1 FROM trials WHERE state = 'RUNNING'")
                # Its state is published a moment after the stage is claimed.
                payloads = self.place.rows("SELECT payload FROM tasearch_workers")
                if stages and running and any(json.loads(payload)["stage"] for (payload,) in payloads):
                    return
            self.process.send_signal(signal.SIGCONT)
            self.must_run("it was stopped")
            time.sleep(0.01)

    def end_with(self, signum: int) -> Done:
        """Send a signal and wait for the end."""
        self.process.send_signal(signum)
        self.process.send_signal(signal.SIGCONT)
        return self.finish()

    def finish(self) -> Done:
        """Wait for the end."""
        code = self.process.wait()
        return Done(code, self._out.read_text(), self._err.read_text())

    def kill(self) -> None:
        """End the process if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Place:
    """A folder in which commands are run."""

    def __init__(self, folder: Path, images: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.images = folder, images
        self.database = folder / "tasearch-data" / "studies.db"
        self.url = f"sqlite:///{self.database}"
        self.started: list[Running] = []
        """Everything that was started here, in order."""

    def optimize(self, *flags: str, trials: int = TRIALS) -> Running:
        """Start `tasearch optimize`."""
        data = ("--dataset", f"folder:{self.images}")
        return self.tasearch("optimize", *BUDGET, *data, "--trials", str(trials), *flags)

    def tasearch(self, *arguments: str) -> Running:
        """Start `tasearch`."""
        return self._keep(Running(self, list(arguments), is_ours=True))

    def start(self, *arguments: str) -> Running:
        """Start any program."""
        return self._keep(Running(self, list(arguments), is_ours=False))

    def _keep(self, running: Running) -> Running:
        self.started.append(running)
        return running

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what the database answers."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=1.0)) as connection:
            return connection.execute(query).fetchall()

    def weights(self) -> dict[str, str]:
        """Return the artifact of every complete stage, by the stage's fingerprint."""
        return dict(self.rows("SELECT fingerprint, artifact_id FROM tasearch_stages WHERE state = 'complete'"))

    def copy(self, folder: Path) -> Place:
        """Return the place again with a copy of its data."""
        twin = Place(folder, self.images)
        shutil.copytree(self.folder / "tasearch-data", folder / "tasearch-data")
        return twin

    def close(self) -> None:
        """End what still runs."""
        for running in self.started:
            running.kill()


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder of three classes."""
    return make_image_folder(tmp_path_factory.mktemp("images") / "pets")


@pytest.fixture
def place(tmp_path: Path, images: Path) -> Iterator[Place]:
    """An empty folder to run in."""
    place = Place(tmp_path / "place", images)
    yield place
    place.close()


@pytest.fixture(scope="session")
def finished_place(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[Place]:
    """Where `finished` runs, from now on; only to be read."""
    place = Place(tmp_path_factory.mktemp("finished"), images)
    place.optimize("--json")
    yield place
    place.close()


@pytest.fixture(scope="session")
def finished(finished_place: Place) -> Done:
    """A whole run that nothing disturbed, with `--json`."""
    done = finished_place.started[0].finish()
    assert done.code == 0, done.err
    return done
