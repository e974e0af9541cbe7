"""The worker: baselines, then trials until the budget ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Sequence
from functools import partial

from tasearch.chain.run import StageRunner
from tasearch.chain.tasks import Delivered, Need, StageBusyError, Task
from tasearch.domain.errors import LeaseLostError, NoCompletedTrialError, StageFailedError
from tasearch.domain.metric import ACCURACY
from tasearch.domain.result import EpochResult, StageResult, TrialRow, TrialState
from tasearch.domain.spec import StageSpec
from tasearch.search.finals import finalists, tuned_blkd
from tasearch.search.pruning import STANDARD_ERRORS, is_hopeless
from tasearch.search.sampler import OUT_OF_TIME, UNCOUNTED
from tasearch.search.study import ChainStudy
from tasearch.stores.keeper import LeaseKeeper
from tasearch.stores.records import Records
from tasearch.training.loop import InterruptedStage
from tasearch.worker.progress import Progress
from tasearch.worker.retries import PASSING_ERRORS, is_of_the_work, reason_of, with_retries
from tasearch.worker.rungs import WantedStages
from tasearch.worker.search_clock import OutOfTime, SearchClock
from tasearch.worker.study_plan import StudyPlan
from tasearch.worker.trials import HeldTrial, TrialDesk

logger = logging.getLogger(__name__)
_POLL_SECONDS = 0.5
MOST_PARKED = 2
"""Trials that a worker keeps while it does something else, because another one trains what they need."""


class PrunedTrial(InterruptedStage):
    """A trial is not worth finishing; the stage under way keeps its checkpoint."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LostTrial(InterruptedStage):
    """Another worker has the trial by now; the stage under way keeps its checkpoint."""


class SearchWorker:
    """Runs one study's baselines and trials in this process."""

    def __init__(
        self,
        plan: StudyPlan,
        *,
        records: Records,
        study: ChainStudy,
        runner: StageRunner,
        progress: Progress,
        keeper: LeaseKeeper,
        worker_id: str,
    ) -> None:
        self.plan, self.records, self.study = plan, records, study
        self.runner, self.progress = runner, progress
        self.desk = TrialDesk(study=study, records=records, keeper=keeper, worker_id=worker_id)
        self.clock = SearchClock(records.studies, plan.study_name, plan.settings.timeout)
        self._parked: list[HeldTrial] = []
        self._wanted = WantedStages(study, records.stages, self._trained)

    def run(self) -> None:
        """Train teacher and NOKD, continue what dead workers left, then run trials until the budget is used up.

        Raises NoCompletedTrialError where the budget ended without a completed trial, InterruptedStage where a
        signal asked for an end; trials are given back then.
        """
        self.run_baselines()
        self.progress.update(phase="search", **self._counts())
        try:
            while self._search_on() or self._has_more_to_do():
                pass
        finally:
            self.progress.on_poll = lambda: None
            for trial in self._parked:
                self.desk.give_back(trial)
        self.progress.update(**self._counts())
        if self.study.num_counted() < self.plan.settings.trials:
            why = "its time is used up" if self.clock.is_over else "every chain of the search space has been tried"
            self.progress.say(f"{why}: the search ends before its {self.plan.settings.trials} trials")
        if not any(row.state is TrialState.COMPLETE for row in self.study.rows()):
            raise NoCompletedTrialError(
                f"no trial of study {self.plan.study_name!r} completed: {_reasons(self.study.rows())}",
                hint="mend the cause, then run the same command with more --trials or another --study-name",
            )

    def _has_more_to_do(self) -> bool:
        """Take over the study's budget as it is by now; whether it has grown since this worker began."""
        stored, before = self.records.studies.find(self.plan.study_name), self.plan.settings
        if stored is None:
            return False
        self.plan = self.plan.with_budget(stored.config)
        now = self.plan.settings
        if now.timeout != before.timeout:
            self.clock = SearchClock(self.records.studies, self.plan.study_name, now.timeout)
        if now.trials > before.trials:
            # Some samplers plan ahead by the budget.
            self.study.use(self.plan.sampler())
        is_longer = before.timeout is not None and (now.timeout is None or now.timeout > before.timeout)
        return now.trials > before.trials or is_longer

    def _search_on(self) -> bool:
        """Carry out what there is to do, or wait for what others do; False where the search has ended."""
        self.progress.on_poll = self.clock.check
        try:
            self.runner.run_tasks(self._next_task)
        except OutOfTime:
            # Nothing new is begun; trials of other workers end by the same clock.
            self.progress.on_poll = lambda: None
            self.progress.poll()
            while self._parked:
                self._stopped(self._parked.pop(), OUT_OF_TIME)
            # Without a budget only what dead workers left is handed out.
            while (left_behind := self.desk.take(0, self.progress.poll)) is not None:
                self._stopped(left_behind, OUT_OF_TIME)
        # Who reaches the finals is decided by all trials, those of other workers too.
        waiting = bool(self.study.running())
        if waiting:
            time.sleep(_POLL_SECONDS)
        return waiting

    def _next_task(self) -> Task | None:
        """Return the next piece of the search; None where there is none, or none before another one has ended.

        A signal and the end of the search's time are raised.
        """
        self.progress.poll()
        trial = self._unparked()
        if trial is None:
            is_wanted, task = self._wanted.next_task(self.plan)
            if is_wanted:
                return task
            if len(self._parked) < MOST_PARKED:
                trial = self.desk.take(self.plan.settings.trials, self.progress.poll)
        return None if trial is None else self._trial_task(trial)

    def _unparked(self) -> HeldTrial | None:
        """Return a parked trial whose missing stage nobody is training any more."""
        for trial in self._parked:
            if trial.waits_for is None or not self.runner.is_elsewhere(trial.waits_for):
                self._parked.remove(trial)
                return trial
        return None

    def run_baselines(self) -> None:
        """Train the teacher and the student from labels (NOKD), on the search replicate."""
        specs = {
            "teacher": self.plan.stages.teacher_stage,
            "nokd": self.plan.stages.from_labels(self.plan.space.student),
        }
        # What another worker trains already comes last: by then it may be there.
        order = sorted(specs, key=lambda role: self.runner.is_elsewhere(specs[role]))
        accuracies: dict[str, float | None] = {}
        tasks = iter([self._baseline(specs[role], role, accuracies) for role in order])
        self.runner.run_tasks(lambda: next(tasks, None))
        for name, value in accuracies.items():
            self.study.set_attr(name, value)
        if self.plan.stages.metric != ACCURACY:
            # For whoever reads the values with other tools.
            self.study.set_attr("metric", self.plan.stages.metric)
        self.records.studies.update_attrs(self.plan.study_name, accuracies)
        self.progress.update(nokd_val_accuracy=accuracies["nokd_val_accuracy"])

    def _baseline(self, spec: StageSpec, role: str, accuracies: dict[str, float | None]) -> Task:
        """Note the val accuracy of a baseline; None for a NOKD that failed, without which a search can be done."""
        name = f"{role}_val_accuracy"
        try:
            accuracies[name] = (yield from self._trained(spec, role, role)).val_accuracy
        except Exception as error:
            failed = isinstance(error, (StageFailedError, *PASSING_ERRORS)) or is_of_the_work(error)
            if role == "teacher" or not failed:
                raise
            accuracies[name] = None
            self.progress.update(stage=None)
            self.progress.say(f"the student without distillation (NOKD) failed: {reason_of(error)}")

    def _say_again(self, what: str, reason: str) -> None:
        self.progress.update(stage=None)
        self.progress.say(f"{what} is {reason}")

    def _trained(self, spec: StageSpec, role: str, what: str = "") -> Generator[Need, Delivered, StageResult]:
        """Return the result of a stage outside of trials, after as many tries as are worth it."""

        def attempt() -> Generator[Need, Delivered, StageResult]:
            self._link(spec, role)
            return (yield Need(spec=spec)).result

        say = partial(self._say_again, what or f"stage {spec.label}")
        return (yield from with_retries(attempt, self.plan.settings.max_retries, say))

    def _link(self, spec: StageSpec, role: str) -> None:
        self.records.stages.link(self.plan.study_name, spec.fingerprint, role)

    def _trial_task(self, trial: HeldTrial) -> Task:
        """Carry a trial as far as it goes: to its end, or to a stage that another worker is training."""
        try:
            yield from self._train_chain(trial)
            self._completed(trial)
        except StageBusyError as busy:
            trial.waits_for = busy.spec
            self._parked.append(trial)
        except OutOfTime:
            self._stopped(trial, OUT_OF_TIME)
        except PrunedTrial as pruned:
            self._stopped(trial, pruned.reason)
        except (LostTrial, LeaseLostError):
            self.desk.forget(trial)
            self.progress.say(f"trial {trial.number}: another worker has taken it over")
        except InterruptedStage:
            self.desk.give_back(trial)
            raise
        except StageFailedError as error:
            self._failed(trial, error.message)
        except PASSING_ERRORS as error:
            logger.debug("trial %d", trial.number, exc_info=True)
            self._again_or_failed(trial, reason_of(error))
        except Exception as error:
            if not is_of_the_work(error):
                raise
            logger.debug("trial %d", trial.number, exc_info=True)
            self._failed(trial, reason_of(error))

    def _train_chain(self, trial: HeldTrial) -> Task:
        """Train what the trial's chain still needs, from the teacher down."""
        specs = self.plan.stages.chain(trial.chain)

        def report(point: EpochResult) -> None:
            self.study.report(trial.number, point.epoch, point.val_accuracy)
            unfinished = point.epoch < specs[-1].recipe.epochs
            if unfinished and not trial.chain.is_direct and self.study.should_prune(trial.number):
                raise PrunedTrial(
                    f"pruned after epoch {point.epoch}: {100 * point.val_accuracy:.1f}% val {self.plan.measure}"
                )

        def check() -> None:
            try:
                trial.held.check()
            except LeaseLostError as error:
                raise LostTrial from error

        self.clock.check()
        check()
        while len(trial.results) < len(specs):
            spec = specs[len(trial.results)]
            self._link(spec, "chain")
            on_epoch = {"epoch_done": report} if spec is specs[-1] else {}
            delivered = yield Need(spec=spec, wait=False, poll=check, **on_epoch)
            trial.results.append(delivered.result)
            trial.trained += not delivered.reused
            self._check_ta(spec, delivered.result, is_student=spec is specs[-1])
        for point in trial.results[-1].curve:
            self.study.report(trial.number, point.epoch, point.val_accuracy)

    def _completed(self, trial: HeldTrial) -> None:
        *tas, student = trial.results
        attrs = {
            "val_accuracy": student.val_accuracy,
            "ta_accuracies": {name: result.val_accuracy for name, result in zip(trial.chain.tas, tas, strict=True)},
            "smallest_ta_num_params": self._smallest_ta(trial),
            "stage_fingerprints": [result.fingerprint for result in trial.results],
            "stages_trained": trial.trained,
            "stages_reused": len(trial.results) - trial.trained,
            "device": student.environment.device,
        }
        self.desk.complete(trial, student.val_accuracy, attrs)
        self.progress.update(**self._counts())
        self.progress.say(
            f"trial {trial.number}: {trial.chain.label}: val {self.plan.measure} {100 * student.val_accuracy:.1f}%"
        )

    def _smallest_ta(self, trial: HeldTrial) -> int | None:
        tas = trial.chain.tas
        return self.plan.capacities[tas[-1]].num_params if tas else None

    def _check_ta(self, spec: StageSpec, result: StageResult, *, is_student: bool) -> None:
        """Raise PrunedTrial where a TA came out clearly below the student without distillation."""
        nokd = self.progress.now.nokd_val_accuracy
        if is_student or nokd is None or not is_hopeless(result.val_accuracy, nokd, self.plan.num_independent_val):
            return
        raise PrunedTrial(
            f"TA {spec.student.name} ended at {100 * result.val_accuracy:.1f}% val {self.plan.measure}, more than "
            f"{STANDARD_ERRORS:g} standard errors below NOKD's {100 * nokd:.1f}%"
        )

    def _stopped(self, trial: HeldTrial, reason: str) -> None:
        self._ended(trial, reason, "stopped")

    def _failed(self, trial: HeldTrial, reason: str) -> None:
        self._ended(trial, reason, "failed")

    def _ended(self, trial: HeldTrial, reason: str, what: str) -> None:
        try:
            (self.desk.prune if what == "stopped" else self.desk.fail)(trial, reason)
        except LeaseLostError:
            self.progress.say(f"trial {trial.number}: another worker has taken it over")
            return
        self.progress.update(stage=None, **self._counts())
        self.progress.say(f"trial {trial.number} {what}: {trial.chain.label}: {reason}")

    def _again_or_failed(self, trial: HeldTrial, reason: str) -> None:
        """Leave a trial for another try after an error that may pass, or give it up."""
        most, tried = self.plan.settings.max_retries, trial.lease.failures
        if tried >= most:
            self._failed(trial, reason)
            return
        self.desk.give_back(trial, failed=True)
        self.progress.update(stage=None)
        self.progress.say(f"trial {trial.number} is tried again ({tried + 1} of at most {most}): {reason}")

    def _counts(self) -> dict[str, object]:
        rows = self.study.rows()
        best, blkd = finalists(rows, 1), tuned_blkd(rows)
        ended = (TrialState.COMPLETE, TrialState.FAILED, TrialState.PRUNED)
        return {
            "trials_done": sum(
                row.state in ended and row.duplicate_of is None and row.stopped not in UNCOUNTED for row in rows
            ),
            "best_chain": best[0].label if best else None,
            "best_val_accuracy": best[0].search_val_accuracy if best else None,
            "blkd_val_accuracy": blkd.search_val_accuracy if blkd else None,
        }


def _reasons(rows: Sequence[TrialRow]) -> str:
    found = []
    for what, reasons in (
        ("failed", [row.failure for row in rows if row.failure]),
        ("stopped", [row.stopped for row in rows if row.stopped]),
    ):
        if reasons:
            found.append(f"{len(reasons)} {what}, the last because: {reasons[-1]}")
    return "; ".join(found) or "none was run"
