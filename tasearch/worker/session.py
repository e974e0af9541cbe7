"""One call of `tasearch optimize`: check everything, open everything, run, close."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasearch.chain.control import LEASE_SECONDS, Stores, Watcher
from tasearch.chain.run import StageRunner
from tasearch.config.settings import Settings
from tasearch.data.dataset import Dataset
from tasearch.domain.errors import ConfigError, StorageError, UnavailableError
from tasearch.domain.fingerprint import plain
from tasearch.models.switches import refuse_global_hooks
from tasearch.search.storage import Storage, close_storage, is_stored, open_storage
from tasearch.search.study import ChainStudy
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.checkpoints import CheckpointStore
from tasearch.stores.engine import engine_kwargs, parse_storage_url, tune, url_text
from tasearch.stores.home import Home
from tasearch.stores.keeper import LeaseKeeper
from tasearch.stores.logit_tables import LogitTables
from tasearch.stores.owner import current_owner
from tasearch.stores.records import Records, open_records
from tasearch.stores.shared_artifacts import check_shared
from tasearch.stores.stop_requests import stop_watch
from tasearch.stores.transactions import create_tables
from tasearch.stores.turns import turn
from tasearch.training.device import configure, environment, resolve_device
from tasearch.training.loop import InterruptedStage
from tasearch.training.precision import PRECISIONS, faster_precision
from tasearch.worker.cost import study_cost
from tasearch.worker.finals import FinalsWorker, expected_finals
from tasearch.worker.forecast import Forecast, forecast
from tasearch.worker.given_teacher import given_teacher
from tasearch.worker.identity import net_parts, refuse_changed_identity
from tasearch.worker.latency import measure_latencies
from tasearch.worker.local_workers import LocalWorkers, num_threads, num_workers
from tasearch.worker.loop import SearchWorker
from tasearch.worker.opening import opening_lines
from tasearch.worker.packing import pack_size
from tasearch.worker.progress import Display, FirstReading, Progress
from tasearch.worker.refusal import DataFolderGuard
from tasearch.worker.same_code import check_code
from tasearch.worker.signals import StopFlag
from tasearch.worker.snapshot import FIRST_PHASE, Snapshot, is_gone
from tasearch.worker.stored_study import data_request, dataset_of
from tasearch.worker.study_config import library_versions, study_config
from tasearch.worker.study_plan import StudyPlan, build_plan, check_names
from tasearch.worker.suggestion import Suggestion, SuggestionWatcher, suggest
from tasearch.worker.trials import forget_trials

_GO_ON = "the same command then goes on where this one stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class StageCounts:
    """What one call did."""

    trained: int
    reused: int


class Session:
    """Everything that a study needs in one process; nothing is created before all of it has been checked."""

    def __init__(
        self,
        settings: Settings,
        display: Display,
        stop: StopFlag,
        *,
        said: Settings | None = None,
        objects: tuple[Any, Any] | None = None,
    ) -> None:
        """Check settings, device, data, models and locations.

        `said`: the settings of the call that this process works for, where they are not its own. `objects`: train and
        test set, where they were handed over in Python.

        Raises UsageError (ConfigError, ModelError, DataError, StorageError), InterruptedStage where a signal asks for
        an end while images that stay in their files are read for the first time.
        """
        self._began = time.monotonic()
        self.settings, self.display, self.stop = settings, display, stop
        self._said, self._objects = said or settings, objects
        check_names(settings)
        self.home = Home(settings.home)
        self.device = resolve_device(settings.device)
        self.latency_device = (
            self.device
            if settings.latency_device is None
            else resolve_device(settings.latency_device, "--latency-device")
        )
        self.url = database_url(settings)
        self.home.check_writable()
        self.artifacts = ArtifactStore(settings.artifacts or str(self.home.artifacts))
        self.artifacts.check_writable()
        self.workers = num_workers(settings, self.device)
        self.threads = num_threads(settings, self.workers)
        configure(self.device, self.threads)
        refuse_global_hooks()
        data_dir = settings.data_dir or self.home.data
        self._guard = DataFolderGuard(data_dir)
        with self._guard.undone_if_refused():
            self.dataset = self._load(data_dir)
            self.teacher = given_teacher(settings, self.dataset.spec, self.artifacts)
            # From here on the teacher is its weights, not a file that other processes may not have.
            self.settings = self.teacher.settings
            self.pack = pack_size(settings, self.dataset, self.device, self.workers)
            self.plan = build_plan(self.settings, self.dataset)

    def run(
        self, *, announce: bool = True, joins: bool = False, search_ended: Callable[[], None] = lambda: None
    ) -> StageCounts:
        """Run the study to its verdict, from wherever it stands; `announce` says first what will be done.

        `search_ended` is called between the search and the finals, unless the search had ended before.

        One that `joins` takes part in a study that is there, and changes nothing of what it was told.

        Raises InterruptedStage where a signal asked for an end, NoCompletedTrialError where no trial completed.
        """
        if self.settings.storage is None:
            self.home.make_root()
        with self._guard.undone_if_refused():
            records = open_records(self.url)
        try:
            with self._guard.undone_if_refused():
                self._register(records, joins=joins)
                study = self._open_study(records)
            try:
                # Only now: a database that cannot be used leaves nothing behind among the artifacts.
                check_code(records, self.plan.study_name, current_owner(), joins=joins)
                check_shared(records, self.plan.study_name, self.artifacts, current_owner(), joins=joins)
                self.teacher.store(self.artifacts)
            except BaseException:
                study.close()
                raise
            if not joins:
                self._note_budget(records, study, announce=announce)
            # Only now: a database or a study that cannot be used leaves no folders behind.
            self.home.prepare()
            opening = opening_lines(self.plan, self.dataset, self.device, self.workers, self.pack)
            for text in (*opening, *self.teacher.remarks) if announce else ():
                self.display.line(text)
            self.stop.is_watched = True
            if not joins:
                measure_latencies(records, self.plan, self.latency_device, self.display, self.stop)
            others = LocalWorkers(_work, self.settings_of_others(), self.workers - 1, self.threads, self.display)
            try:
                with others:
                    counts = self._run(records, study, search_ended)
            except StorageError as error:
                if self.stop.is_set:
                    # Asked to end while a store is away: what could not be given back lapses by itself.
                    raise InterruptedStage from error
                # All of it could be used when the study was opened: not the fault of what was typed.
                raise UnavailableError(error.message, hint=f"{error.hint}; {_GO_ON}") from error
            finally:
                study.close()
            return StageCounts(trained=counts.trained + others.trained, reused=counts.reused + others.reused)
        finally:
            records.close()

    def forecast(self) -> Forecast:
        """Return what `run` would do and how long that would take; nothing is created or trained."""
        precision = self._measured_precision() if self.plan.precision == "auto" else self.plan.precision
        return forecast(self.plan.with_precision(precision), self.dataset, self.device, self.workers, self.pack)

    def suggest(self) -> Suggestion:
        """Return the TA that the accuracy-midpoint heuristic names, training from labels what the store has not.

        Raises InterruptedStage where a signal asked for an end.
        """
        if self.settings.storage is None:
            self.home.make_root()
        with self._guard.undone_if_refused():
            records = open_records(self.url)
        try:
            self.home.prepare()
            self.stop.is_watched = True
            watcher = SuggestionWatcher(self.display, self.stop)
            self.teacher.store(self.artifacts)
            plan = self.plan.with_precision(self._resolved_precision(records))
            return suggest(plan, self._runner(records, current_owner(), watcher), watcher)
        finally:
            records.close()

    def settings_of_others(self) -> Settings:
        """Return the settings of further workers of this call: their share of a GPU was measured before they began."""
        return self.settings.model_copy(update={"pack": self.pack})

    def _runner(self, records: Records, owner: str, watcher: Watcher, keeper: LeaseKeeper | None = None) -> StageRunner:
        stores = Stores(
            stages=records.stages,
            artifacts=self.artifacts,
            checkpoints=CheckpointStore(self.home.checkpoints),
            tables=LogitTables(self.home.cache, int(self.settings.cache_gb * 1e9)),
        )
        return StageRunner(
            stores,
            self.dataset,
            self.device,
            owner=owner,
            watcher=watcher,
            checkpoint_seconds=self.settings.checkpoint_seconds,
            keeper=keeper,
            pack=self.pack,
        )

    def _run(self, records: Records, study: ChainStudy, search_ended: Callable[[], None]) -> StageCounts:
        worker_id = current_owner()
        for other, _, age in records.workers.all(self.plan.study_name):
            if is_gone(other, age):
                records.workers.remove(self.plan.study_name, other)
        progress = Progress(
            first_snapshot(self.plan),
            cost=study_cost(self.plan),
            records=records.workers,
            worker_id=worker_id,
            display=self.display,
            stop=self.stop,
            is_stopped=stop_watch(records.engine, self.plan.study_name, self._began),
        )
        keeper = LeaseKeeper(LEASE_SECONDS / 4)
        runner = self._runner(records, worker_id, progress, keeper)
        try:
            search = SearchWorker(
                self.plan,
                records=records,
                study=study,
                runner=runner,
                progress=progress,
                keeper=keeper,
                worker_id=worker_id,
            )
            is_under_way = study.num_counted() < self.plan.settings.trials or bool(study.running())
            search.run()
            if is_under_way:
                search_ended()
            finals = FinalsWorker(
                search.plan, records=records, runner=runner, progress=progress, keeper=keeper, worker_id=worker_id
            )
            verdict = finals.run(study.rows(), progress.now.nokd_val_accuracy)
            if verdict is not None:
                study.set_attr("verdict", verdict.text)
            return StageCounts(trained=progress.now.stages_trained, reused=progress.now.stages_reused)
        finally:
            keeper.close()
            progress.close()

    def _open_study(self, records: Records) -> ChainStudy:
        """Open the Optuna study; where the name is somebody else's, the record just made is taken back."""
        name = self.plan.study_name
        storage = create_tables(lambda: open_storage(url_text(self.url), engine_kwargs(self.url), tune), self.url)
        try:
            if not is_stored(storage, name):
                # One worker at a time, so that nobody has trials before what is left of deleted ones has gone.
                with turn(records.studies, name, current_owner()):
                    if not is_stored(storage, name):
                        forget_trials(records, name)
                        return self._chain_study(storage)
            return self._chain_study(storage)
        except ConfigError:
            close_storage(storage)
            if not records.stages.stages_of(name):
                records.studies.delete(name)
            raise

    def _chain_study(self, storage: Storage) -> ChainStudy:
        plan = self.plan
        return ChainStudy(storage, plan.study_name, plan.space, plan.sampler(), plan.pruner())

    def _load(self, data_dir: Path) -> Dataset:
        request = data_request(self.settings, data_dir, self.device, self._objects)
        return dataset_of(request, FirstReading(self.display, self.stop))

    def _register(self, records: Records, *, joins: bool) -> None:
        """Create the study's record unless this worker joins, or refuse where it exists with another configuration.

        Precision is resolved here, once: what a study was created with is kept, whatever this machine would choose.
        """
        name, identity = self.plan.study_name, self.plan.identity
        stored = records.studies.find(name)
        if stored is None and not joins:
            asked, self.plan = self.plan, self.plan.with_precision(self._resolved_precision(records))
            if records.studies.create(name, identity, self._config(self.plan), library_versions()):
                return
            self.plan = asked
            stored = records.studies.find(name)
        if stored is None:
            raise StorageError(
                f"study {name!r} was deleted while it was being opened", hint="run the same command again"
            )
        refuse_changed_identity(name, stored.identity, identity, net_parts(stored.config, self.plan.stages))
        self.plan = self.plan.with_precision(stored.config["recipe"]["precision"])
        if not joins:
            records.studies.update_config(name, self._config(self.plan))

    def _config(self, plan: StudyPlan) -> dict[str, Any]:
        budget = {"trials": plan.settings.trials, "replicates": plan.settings.replicates}
        return study_config(plan, self.dataset, self.device, self._said.model_copy(update=budget))

    def _note_budget(self, records: Records, study: ChainStudy, *, announce: bool) -> None:
        """Store the budget that gives what the study has by now, where this call asks for less than is done."""
        name, settings = self.plan.study_name, self.settings
        finals = records.finals.rows(name)
        last = max((row.round for row in finals), default=0)
        trials, replicates = study.num_counted(), len({row.replicate for row in finals if row.round == last})
        if trials <= settings.trials and replicates <= settings.replicates:
            return
        done = {"trials": max(trials, settings.trials), "replicates": max(replicates, settings.replicates)}
        plan = dataclasses.replace(self.plan, settings=settings.model_copy(update=done))
        records.studies.update_config(name, self._config(plan))
        if announce:
            self.display.line(f"this study has {trials} trials and {replicates} replicates in its finals already")

    def _resolved_precision(self, records: Records) -> str:
        """Return the precision that was asked for; for `auto` what this store has measured before, or a measurement.

        Measurements waver, and studies of one teacher share stages only where they chose alike. Without a study, as
        after `tasearch suggest`, the teacher's stage tells.
        """
        if self.plan.precision != "auto":
            return self.plan.precision
        here, identity = plain(environment(self.device)), self.plan.identity
        for study in records.studies.list_all():
            same = study.identity["teacher"] == identity["teacher"] and study.config["environment"] == here
            asked = study.identity["recipe"]["precision"] == "auto"
            if same and asked and study.identity["data"]["image_size"] == identity["data"]["image_size"]:
                return str(study.config["recipe"]["precision"])
        for precision in PRECISIONS:
            row = records.stages.find(self.plan.with_precision(precision).stages.teacher_stage.fingerprint)
            if row is not None and row.environment is not None and plain(row.environment) == here:
                return precision
        return self._measured_precision()

    def _measured_precision(self) -> str:
        space = self.plan.space
        return faster_precision([self.plan.stages.model(name) for name in (space.student, space.teacher)], self.device)


def _work(settings: Settings, display: Display, stop: StopFlag) -> StageCounts:
    """Take part in the study of these settings: what a further worker process does."""
    return Session(settings, display, stop).run(announce=False, joins=True)


def database_url(settings: Settings) -> str:
    """Return the database's URL with its password, checked; the default one is a file in the home folder."""
    if settings.storage is not None:
        return parse_storage_url(settings.storage).render_as_string(hide_password=False)
    home = Home(settings.home)
    # A home that does not exist yet is made by `Home.prepare`; until then there is nothing to check.
    if home.root.exists():
        parse_storage_url(home.default_storage_url)
    return home.default_storage_url


def first_snapshot(plan: StudyPlan) -> Snapshot:
    """Return the state before anything has run."""
    return Snapshot(
        study_name=plan.study_name,
        phase=FIRST_PHASE,
        trials_done=0,
        trials_total=plan.settings.trials,
        finals_done=0,
        finals_total=expected_finals(plan),
        best_chain=None,
        best_val_accuracy=None,
        blkd_val_accuracy=None,
        nokd_val_accuracy=None,
        stage=None,
        epoch=0,
        epochs=plan.stages.recipe.epochs,
        stages_trained=0,
        stages_reused=0,
        elapsed_seconds=0.0,
        left_seconds=None,
    )
