"""`tasearch gap`: one study of arms instead of trials, on the leases, stages and finals that every study has."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

from tasearch.chain.control import LEASE_SECONDS
from tasearch.chain.tasks import Need, StageBusyError, Task
from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError, StageFailedError
from tasearch.domain.fingerprint import fingerprint
from tasearch.domain.gap import Series, Vary
from tasearch.domain.result import FinalRow
from tasearch.domain.spec import StageSpec
from tasearch.models.names import short
from tasearch.search.gap import ROUND, GapArm, gap_arms, planned_rows
from tasearch.search.space import RECOMMENDED_KD_WEIGHT, RECOMMENDED_TEMPERATURE, Pair
from tasearch.stores.keeper import LeaseKeeper
from tasearch.stores.owner import current_owner
from tasearch.stores.records import Records, open_records
from tasearch.stores.shared_artifacts import check_shared
from tasearch.stores.stop_requests import stop_watch
from tasearch.worker.command import command_of
from tasearch.worker.cost import study_cost
from tasearch.worker.finals import FinalsWorker
from tasearch.worker.forecast import predicted_seconds
from tasearch.worker.local_workers import LocalWorkers
from tasearch.worker.opening import gap_opening_lines
from tasearch.worker.progress import Display, Progress
from tasearch.worker.same_code import check_code
from tasearch.worker.session import Session, StageCounts, first_snapshot
from tasearch.worker.signals import StopFlag
from tasearch.worker.study_config import study_config
from tasearch.worker.study_plan import StudyPlan

ROLE = "gap"
"""Of the stages that such a study asks for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GapForecast:
    """The plan of a measurement before anything is created."""

    study_name: str
    arms: tuple[str, ...]
    """Paths; NOKD is its student alone."""
    pairs: int
    """Pairs of temperature and KD weight that are tried for each distilled arm."""
    replicates: int
    stages: int
    """Distinct ones, teachers included."""
    seconds: float
    workers: int


def gap_plan(plan: StudyPlan, vary: Vary) -> StudyPlan:
    """Return the plan under the name and identity of its own. Raises ConfigError where nothing can be varied."""
    if not plan.space.ladder:
        raise ConfigError(
            f"no model lies between {plan.space.student} and {plan.space.teacher}: there is nothing to vary",
            hint="choose a larger --teacher or a smaller --student, or name models with --tas",
        )
    if vary is Vary.TEACHER and plan.stages.is_teacher_given:
        raise ConfigError(
            "--teacher-checkpoint with --vary teacher: teachers of other sizes are trained here, so their difference "
            "from a given one would not be one of size",
            hint="leave --teacher-checkpoint out, or use --vary student or --vary ta",
        )
    identity = {**plan.identity, "gap": vary.value}
    space = plan.space
    name = (
        f"gap-{vary}-{short(space.teacher)}-{short(space.student)}-{plan.stages.data.name}-{fingerprint(identity)[:8]}"
    )
    return dataclasses.replace(plan, identity=identity, study_name=plan.settings.study_name or name)


class GapSession(Session):
    """One call of `tasearch gap`: every arm on every replicate, then test, once."""

    def __init__(self, settings: Settings, vary: Vary, display: Display, stop: StopFlag) -> None:
        """Check as every session does. Raises UsageError, InterruptedStage."""
        super().__init__(_with_one_pair(settings), display, stop)
        self.vary = vary
        self.plan = gap_plan(self.plan, vary)

    def measure(self, *, joins: bool = False) -> StageCounts:
        """Train what is missing, open the test set once all is trained, from wherever the study stands.

        Raises StageFailedError where an arm cannot be trained, InterruptedStage where a signal asked for an end.
        """
        if self.settings.storage is None:
            self.home.make_root()
        with self._guard.undone_if_refused():
            records = open_records(self.url)
        try:
            with self._guard.undone_if_refused():
                self._register(records, joins=joins)
            check_code(records, self.plan.study_name, current_owner(), joins=joins)
            check_shared(records, self.plan.study_name, self.artifacts, current_owner(), joins=joins)
            self.teacher.store(self.artifacts)
            self.home.prepare()
            for text in () if joins else (*self._opening(), *self.teacher.remarks):
                self.display.line(text)
            self.stop.is_watched = True
            work = functools.partial(_work, self.vary)
            with LocalWorkers(work, self.settings_of_others(), self.workers - 1, self.threads, self.display) as others:
                counts = self._measure(records)
            return StageCounts(trained=counts.trained + others.trained, reused=counts.reused + others.reused)
        finally:
            records.close()

    def _opening(self) -> list[str]:
        arms = map(_arm_name, gap_arms(self.plan.space, self.vary))
        return gap_opening_lines(self.plan, self.dataset, self.device, self.workers, self.pack, arms)

    def gap_forecast(self) -> GapForecast:
        """Return what `measure` would do and how long that would take; nothing is created or trained."""
        plan = self.plan.with_precision(self._measured_precision()) if self.plan.precision == "auto" else self.plan
        arms, pairs = gap_arms(plan.space, self.vary), plan.space.grid
        specs = [
            spec
            for arm in arms
            for pair in (pairs if len(pairs) > 1 else ())
            for spec in stages_of(plan, arm, pair, replicate=0)
        ]
        for replicate in range(1, plan.settings.replicates + 1):
            specs += [spec for arm in arms for spec in stages_of(plan, arm, pairs[0], replicate)]
        distinct = _with_teachers(specs)
        return GapForecast(
            study_name=plan.study_name,
            arms=tuple(map(_arm_name, arms)),
            pairs=len(pairs),
            replicates=plan.settings.replicates,
            stages=len(distinct),
            seconds=predicted_seconds(distinct, plan, self.dataset, self.device, self.pack) / self.workers,
            workers=self.workers,
        )

    def _config(self, plan: StudyPlan) -> dict[str, Any]:
        command = command_of(plan.settings, plan.study_name, plan.precision)
        said = command.replace("tasearch optimize", f"tasearch gap --vary {self.vary}", 1)
        return {**study_config(plan, self.dataset, self.device, self._said), "command": said}

    def _measure(self, records: Records) -> StageCounts:
        worker_id, plan = current_owner(), self.plan
        start = dataclasses.replace(first_snapshot(plan), trials_total=0, finals_total=0)
        progress = Progress(
            start,
            cost=study_cost(plan),
            records=records.workers,
            worker_id=worker_id,
            display=self.display,
            stop=self.stop,
            is_stopped=stop_watch(records.engine, plan.study_name, self._began),
        )
        keeper = LeaseKeeper(LEASE_SECONDS / 4)
        try:
            GapWorker(
                plan,
                records=records,
                runner=self._runner(records, worker_id, progress, keeper),
                progress=progress,
                keeper=keeper,
                worker_id=worker_id,
            ).measure(gap_arms(plan.space, self.vary))
            return StageCounts(trained=progress.now.stages_trained, reused=progress.now.stages_reused)
        finally:
            keeper.close()
            progress.close()


class GapWorker(FinalsWorker):
    """Runs the arms as rows of finals that nobody races in."""

    def measure(self, arms: Iterable[GapArm]) -> None:
        """Choose each arm's pair on the search replicate, train all on fresh ones, then open the test set.

        A later call with more replicates adds them, and test is opened again, which is recorded.
        """
        name, arms = self.plan.study_name, list(arms)
        teachers = dict.fromkeys(arm.path[0] for arm in arms if arm.series is not Series.NOKD)
        self._train_all([self.plan.stages.from_labels(teacher) for teacher in teachers])
        chosen = self._chosen_pairs(arms)
        known = {row.replicate for row in self._rows_of(ROUND)}
        replicates = range(1, max([self.plan.settings.replicates, *known]) + 1)
        rows = planned_rows(chosen, replicates)
        self.finals.plan(name, rows)
        while True:
            present = self._rows_of(ROUND)
            missing = [row for row in present if row.val_accuracy is None and row.failure is None]
            self._show(len(rows), len(rows) - len(missing))
            if not missing:
                break
            self._train_some(missing)
        failed = [row for row in present if row.failure is not None]
        if failed:
            raise StageFailedError(
                f"{failed[0].arm}, replicate {failed[0].replicate}, cannot be trained: {failed[0].failure}",
                hint="all else is trained and kept; the test set stays closed. Leave that model out (--tas), or change "
                "how it is trained",
            )
        self._open_test(rows)

    def _chosen_pairs(self, arms: list[GapArm]) -> dict[GapArm, Pair]:
        """Return the pair of each arm that is best on val on the search replicate; ties go to the first of the grid."""
        grid = self.plan.space.grid
        if len(grid) == 1:
            return dict.fromkeys(arms, grid[0])
        wanted = {(arm, pair): stages_of(self.plan, arm, pair, replicate=0)[-1] for arm in arms for pair in grid}
        accuracies = self._train_all(wanted.values(), required=False)
        return {arm: max(grid, key=lambda pair: accuracies[wanted[arm, pair].fingerprint]) for arm in arms}

    def _train_all(self, specs: Iterable[StageSpec], *, required: bool = True) -> dict[str, float]:
        """Return val accuracies by fingerprint; what another worker trains comes last: by then it may be there.

        Of stages that are not `required` one that cannot be trained has accuracy 0: another will be chosen.
        """
        found: dict[str, float] = {}
        pending = {spec.fingerprint: spec for spec in specs}
        while pending:
            tasks = iter([self._one(spec, found, required, wait=len(pending) == 1) for spec in pending.values()])
            self.runner.run_tasks(functools.partial(next, tasks, None))
            pending = {name: spec for name, spec in pending.items() if name not in found}
        return found

    def _one(self, spec: StageSpec, found: dict[str, float], required: bool, *, wait: bool) -> Task:
        self.progress.poll()
        self.records.stages.link(self.plan.study_name, spec.fingerprint, ROLE)
        try:
            found[spec.fingerprint] = (yield Need(spec=spec, wait=wait)).result.val_accuracy
        except StageBusyError:
            pass
        except StageFailedError as error:
            if required:
                raise
            self.progress.say(f"{spec.label} is no candidate: {error.message}")
            found[spec.fingerprint] = 0.0

    def _specs(self, row: FinalRow) -> tuple[StageSpec, ...]:
        if row.chain is None:
            return (self.plan.stages.from_labels(row.arm.removeprefix("NOKD "), row.replicate),)
        planner = dataclasses.replace(self.plan.stages, teacher=row.chain.path[0])
        return planner.chain(row.chain, row.replicate)


def stages_of(plan: StudyPlan, arm: GapArm, pair: Pair, replicate: int) -> tuple[StageSpec, ...]:
    """Return the stages of an arm, its student last; its teacher is trained from labels on the search replicate."""
    chain = arm.chain(pair)
    if chain is None:
        return (plan.stages.from_labels(arm.student, replicate),)
    return dataclasses.replace(plan.stages, teacher=chain.path[0]).chain(chain, replicate)


def _arm_name(arm: GapArm) -> str:
    return " > ".join(arm.path) + f" ({arm.series})"


def _with_teachers(specs: Iterable[StageSpec]) -> list[StageSpec]:
    """Return the distinct stages with all that teach them."""
    found: dict[str, StageSpec] = {}
    for first in specs:
        spec: StageSpec | None = first
        while spec is not None and spec.fingerprint not in found:
            found[spec.fingerprint] = spec
            spec = None if spec.distillation is None else spec.distillation.teacher
    return list(found.values())


def _with_one_pair(settings: Settings) -> Settings:
    """Return the settings with the recommended pair in place of the default grids: every arm would be tuned on them."""
    said = settings.model_fields_set
    changes: dict[str, object] = {}
    if "temperatures" not in said:
        changes["temperatures"] = (RECOMMENDED_TEMPERATURE,)
    if "kd_weights" not in said:
        changes["kd_weights"] = (RECOMMENDED_KD_WEIGHT,)
    return settings.model_copy(update=changes)


def _work(vary: Vary, settings: Settings, display: Display, stop: StopFlag) -> StageCounts:
    """Take part in the measurement of these settings: what a further worker process does."""
    return GapSession(settings, vary, display, stop).measure(joins=True)


def forecast_lines(found: GapForecast) -> list[str]:
    """Return the forecast for people."""
    tuned = f", each of them at the best of {found.pairs} pairs on the search replicate" if found.pairs > 1 else ""
    return [
        f"study {found.study_name}: nothing was created",
        f"arms: {', '.join(found.arms)}",
        f"{found.replicates} replicates{tuned}; {found.stages} distinct stages",
        f"predicted time: {found.seconds / 60:.1f} min" + (f" with {found.workers} workers" * (found.workers > 1)),
    ]
