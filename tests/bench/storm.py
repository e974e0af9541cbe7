"""Many real worker processes on one study, killed at random the whole time, and what became of the study."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from sqlalchemy import Engine, text

from tasearch.cli.main import main
from tasearch.stores.engine import open_engine
from tasearch.stores.records import open_records
from tests.image_folder import make_image_folder

STUDY = "storm"
TEMPERATURES = ",".join(str(value) for value in range(1, 17))
BUDGET = (
    *("--teacher", "plain10", "--student", "plain2", "--epochs", "1", "--batch-size", "16", "--sampler", "random"),
    # Nothing is learned, so that no TA is far below the student and pruned for it.
    *("--learning-rate", "1e-6"),
    *("--temperatures", TEMPERATURES, "--precision", "float32", "--finalists", "1"),
    *("--replicates", "1", "--max-replicates", "1"),
)
"""8 paths x 16 temperatures x 3 KD weights: 384 chains, stages of a tenth of a second."""
_WITNESSES = {
    "sqlite": (
        "CREATE TABLE storm_stages (fingerprint TEXT)",
        "CREATE TABLE storm_trials (number INTEGER)",
        "CREATE TRIGGER storm_stage AFTER UPDATE ON tasearch_stages WHEN NEW.state = 'complete' "
        "BEGIN INSERT INTO storm_stages VALUES (NEW.fingerprint); END",
        "CREATE TRIGGER storm_trial AFTER UPDATE ON trials WHEN NEW.state <> 'RUNNING' AND OLD.state = 'RUNNING' "
        "BEGIN INSERT INTO storm_trials VALUES (NEW.number); END",
    ),
    "postgresql": (
        "CREATE TABLE storm_stages (fingerprint TEXT)",
        "CREATE TABLE storm_trials (number INTEGER)",
        "CREATE FUNCTION storm_stage() RETURNS trigger AS 'BEGIN INSERT INTO storm_stages VALUES (NEW.fingerprint); "
        "RETURN NEW; END' LANGUAGE plpgsql",
        "CREATE FUNCTION storm_trial() RETURNS trigger AS 'BEGIN INSERT INTO storm_trials VALUES (NEW.number); "
        "RETURN NEW; END' LANGUAGE plpgsql",
        "CREATE TRIGGER storm_stage AFTER UPDATE ON tasearch_stages FOR EACH ROW WHEN (NEW.state = 'complete') "
        "EXECUTE FUNCTION storm_stage()",
        "CREATE TRIGGER storm_trial AFTER UPDATE ON trials FOR EACH ROW "
        "WHEN (NEW.state <> 'RUNNING' AND OLD.state = 'RUNNING') EXECUTE FUNCTION storm_trial()",
    ),
}
"""The database itself notes each completion, whatever tasearch thinks of it."""


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What a storm left."""

    finished: int
    """Trials that are complete, chains counted once."""
    lost: int
    """Trials of the budget that are not."""
    double: int
    """Trials and chains that were recorded more than once."""
    stuck: int
    """Trials, stages and leases that are still held by somebody."""
    stages_trained_twice: int
    """Stages that were recorded as complete more than once."""
    verdict: bool
    killed: int
    crashed: int
    """Workers that ended by themselves before the study did."""
    interruptions: int
    """How often the database was away."""
    seconds: float


@dataclass(kw_only=True)
class Storm:
    """One study, its workers and whoever kills them."""

    folder: Path
    url: str
    workers: int
    trials: int
    share: float = 0.3
    """Kills, as a share of the workers, in every `round_seconds`."""
    round_seconds: float = 20.0
    interrupt: Callable[[], None] | None = None
    """Takes the database away for a while; called every `interrupt_seconds`."""
    interrupt_seconds: float = 20.0
    most_interruptions: int | None = None
    limit_seconds: float = 1800.0
    seed: int = 0
    _alive: list[BaseProcess] = field(default_factory=list)
    _count: int = 0

    def run(self) -> Aftermath:
        """Raise the storm until the study is done, or until `limit_seconds`."""
        os.environ["OMP_NUM_THREADS"] = "1"
        images = make_image_folder(self.folder / "images")
        self._where = ["--study-name", STUDY, "--home", str(self.folder / "home"), "--storage", self.url]
        self._where += ["--dataset", f"folder:{images}", "--threads", "1", "-q"]
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tasearch.worker.session", "tasearch.cli.worker", "tests.bench.storm"])
        self._context = context
        started = time.monotonic()
        self._start(["optimize", *BUDGET, "--trials", str(self.trials)])
        engine = self._when_begun()
        for _ in range(self.workers - 1):
            self._start(["worker"])
        killed, crashed, interruptions = self._rage(started)
        return self._look(engine, killed, crashed, interruptions, time.monotonic() - started)

    def _start(self, command: list[str]) -> None:
        self._count += 1
        log = self.folder / f"worker-{self._count:03d}.log"
        process = self._context.Process(target=work, args=([command[0], *self._where, *command[1:]], str(log)))
        process.start()
        self._alive.append(process)

    def _when_begun(self) -> Engine:
        """Wait for the study, then have the database watch completions."""
        engine = open_engine(self.url)
        while True:
            try:
                with engine.connect() as connection:
                    begun = connection.execute(text("SELECT 1 FROM studies")).first() is not None
            except Exception:
                begun = False
            if begun:
                break
            if not self._alive[0].is_alive():
                raise RuntimeError(f"no study was begun: {(self.folder / 'worker-001.log').read_text()}")
            time.sleep(0.2)
        with engine.begin() as connection:
            for statement in _WITNESSES[engine.dialect.name]:
                connection.execute(text(statement))
        return engine

    def _rage(self, started: float) -> tuple[int, int, int]:
        """Kill, restart and wait until every worker has ended by itself."""
        draw = random.Random(self.seed)
        killed = crashed = interruptions = 0
        pause = self.round_seconds / max(1.0, self.share * self.workers)
        next_kill = time.monotonic() + draw.uniform(0.5, 1.5) * pause
        next_interruption = time.monotonic() + self.interrupt_seconds
        while self._alive and time.monotonic() - started < self.limit_seconds:
            time.sleep(0.1)
            for process in [one for one in self._alive if not one.is_alive()]:
                self._alive.remove(process)
                if process.exitcode != 0:
                    crashed += 1
                    self._start(["worker"])
            if self._alive and time.monotonic() > next_kill:
                next_kill = time.monotonic() + draw.uniform(0.5, 1.5) * pause
                victim = draw.choice(self._alive)
                if victim.is_alive() and victim.pid is not None:
                    os.kill(victim.pid, signal.SIGKILL)
                    victim.join()
                    self._alive.remove(victim)
                    killed += 1
                    self._start(["worker"])
            if self._is_interrupted(interruptions) and time.monotonic() > next_interruption:
                assert self.interrupt is not None
                self.interrupt()
                interruptions += 1
                next_interruption = time.monotonic() + self.interrupt_seconds
        for process in self._alive:
            process.kill()
            process.join()
        return killed, crashed, interruptions

    def _is_interrupted(self, interruptions: int) -> bool:
        most = self.most_interruptions
        return self.interrupt is not None and (most is None or interruptions < most)

    def _look(self, engine: Engine, killed: int, crashed: int, interruptions: int, seconds: float) -> Aftermath:
        def number(query: str) -> int:
            with engine.connect() as connection:
                return int(connection.execute(text(query)).scalar_one())

        chains = (
            "SELECT trial_id, MAX(value_json) AS chain FROM trial_user_attributes WHERE key = 'stage_fingerprints' "
            "GROUP BY trial_id"
        )
        complete = f"SELECT chain FROM trials JOIN ({chains}) AS c USING (trial_id) WHERE state = 'COMPLETE'"
        finished = number(f"SELECT COUNT(DISTINCT chain) FROM ({complete}) AS f")
        held = "SELECT COUNT(*) FROM {} WHERE state = '{}'"
        records = open_records(self.url)
        study = records.studies.find(STUDY)
        records.close()
        twice = "SELECT COUNT(*) FROM (SELECT {0} FROM {1} GROUP BY {0} HAVING COUNT(*) > 1) AS d"
        found = Aftermath(
            finished=finished,
            lost=self.trials - finished,
            double=number(f"SELECT COUNT(*) FROM ({complete}) AS f")
            - finished
            + number(twice.format("number", "storm_trials")),
            stuck=number("SELECT COUNT(*) FROM trials WHERE state IN ('RUNNING', 'WAITING')")
            + number(held.format("tasearch_stages", "running"))
            + number(held.format("tasearch_leases", "held")),
            stages_trained_twice=number(twice.format("fingerprint", "storm_stages")),
            verdict=study is not None and "verdict" in study.attrs,
            killed=killed,
            crashed=crashed,
            interruptions=interruptions,
            seconds=round(seconds, 1),
        )
        engine.dispose()
        return found


def work(arguments: list[str], log: str) -> None:
    """Be a worker: run a command line in this process, which is of its own group, with its output in a file."""
    os.setpgid(0, 0)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.exit(main(arguments))
