"""The worker: baselines, then trials until the budget ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from tasearch.chain.run import StageRunner
from tasearch.domain.errors import NoCompletedTrialError, StageFailedError
from tasearch.domain.result import EpochResult, StageResult, TrialRow, TrialState
from tasearch.domain.spec import StageSpec
from tasearch.search.finals import finalists, tuned_blkd
from tasearch.search.pruning import STANDARD_ERRORS, is_hopeless
from tasearch.search.sampler import OUT_OF_TIME
from tasearch.search.study import ChainStudy, Proposal
from tasearch.stores.records import Records
from tasearch.stores.turns import turn
from tasearch.training.loop import InterruptedStage
from tasearch.worker.progress import Progress
from tasearch.worker.rungs import train_wanted
from tasearch.worker.search_clock import OutOfTime, SearchClock
from tasearch.worker.snapshot import is_gone
from tasearch.worker.study_plan import StudyPlan

logger = logging.getLogger(__name__)
_POLL_SECONDS = 0.5


class PrunedTrial(InterruptedStage):
    """A trial is not worth finishing; the stage under way keeps its checkpoint."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


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
        worker_id: str,
    ) -> None:
        self.plan, self.records, self.study = plan, records, study
        self.runner, self.progress, self.worker_id = runner, progress, worker_id

        self.clock = SearchClock(records.studies, plan.study_name, plan.settings.timeout)

    def run(self) -> None:
        """Train teacher and NOKD, continue what dead workers left, then run trials until the budget is used up.

        Raises NoCompletedTrialError where the budget ended without a completed trial, InterruptedStage where a
        signal asked for an end.
        """
        self.run_baselines()
        self.progress.update(phase="search", **self._counts())
        self.progress.on_poll = self.clock.check
        while self._search_on():
            pass
        self.progress.on_poll = lambda: None
        self.progress.update(**self._counts())
        if self.study.num_counted() < self.plan.settings.trials:
            why = "its time is used up" if self.clock.is_over else "every chain of the search space has been tried"
            self.progress.say(f"{why}: the search ends before its {self.plan.settings.trials} trials")
        if not any(row.state is TrialState.COMPLETE for row in self.study.rows()):
            raise NoCompletedTrialError(
                f"no trial of study {self.plan.study_name!r} completed: {_reasons(self.study.rows())}",
                hint="mend the cause, then run the same command with more --trials or another --study-name",
            )

    def _search_on(self) -> bool:
        """Carry out or wait for the next piece of the search; False where it has ended."""
        try:
            self.progress.poll()
            if train_wanted(self.study, self.plan, self.records.stages, self._stage):
                return True
            proposal = self._take_trial()
            if proposal is not None:
                self._run_trial(proposal)
                return True
        except OutOfTime:
            # Nothing new is begun; trials of other workers end by the same clock.
            pass
        # Who reaches the finals is decided by all trials, those of other workers too.
        waiting = any(row.state is TrialState.RUNNING for row in self.study.rows())
        if waiting:
            time.sleep(_POLL_SECONDS)
        return waiting

    def _take_trial(self) -> Proposal | None:
        """Return the trial of a dead worker or a new one; None where all of the budget is taken or all chains are.

        One worker at a time, or two would share the last trial of the budget, or take up one another's.
        """
        with turn(self.records.studies, self.plan.study_name, self.worker_id):
            for number in self.study.orphans(self._is_alive):
                proposal = self.study.resume(number, self.worker_id)
                if proposal is not None:
                    return proposal
            if self.study.num_counted() >= self.plan.settings.trials:
                return None
            self.study.requeue_out_of_time()
            return self.study.ask(self.worker_id)

    def run_baselines(self) -> None:
        """Train the teacher and the student from labels (NOKD), on the search replicate."""
        specs = {
            "teacher": self.plan.stages.teacher_stage,
            "nokd": self.plan.stages.from_labels(self.plan.space.student),
        }
        # What another worker trains already comes last: by then it may be there.
        order = sorted(specs, key=lambda role: self.runner.is_elsewhere(specs[role]))
        accuracies = {f"{role}_val_accuracy": self._stage(specs[role], role).val_accuracy for role in order}
        for name, value in accuracies.items():
            self.study.set_attr(name, value)
        self.records.studies.update_attrs(self.plan.study_name, accuracies)
        self.progress.update(nokd_val_accuracy=accuracies["nokd_val_accuracy"])

    def _stage(self, spec: StageSpec, role: str) -> StageResult:
        self.records.stages.link(self.plan.study_name, spec.fingerprint, role)
        return self.runner.run(spec)

    def _run_trial(self, proposal: Proposal) -> None:
        specs = self.plan.stages.chain(proposal.chain)
        before = self.progress.now

        def report(spec: StageSpec, point: EpochResult) -> None:
            if spec.fingerprint != specs[-1].fingerprint:
                return
            self.study.report(proposal.number, point.epoch, point.val_accuracy)
            unfinished = point.epoch < spec.recipe.epochs
            if unfinished and not proposal.chain.is_direct and self.study.should_prune(proposal.number):
                raise PrunedTrial(f"pruned after epoch {point.epoch}: {100 * point.val_accuracy:.1f}% val accuracy")

        self.progress.on_epoch = report
        results: list[StageResult] = []
        try:
            for spec in specs:
                results.append(self._stage(spec, "chain"))
                self._check_ta(spec, results[-1], is_student=spec is specs[-1])
        except OutOfTime:
            self._stopped(proposal, OUT_OF_TIME)
            return
        except PrunedTrial as pruned:
            self._stopped(proposal, pruned.reason)
            return
        except InterruptedStage:
            raise
        except StageFailedError as error:
            self._failed(proposal, error.message)
            return
        except (RuntimeError, MemoryError) as error:
            logger.debug("trial %d", proposal.number, exc_info=True)
            self._failed(proposal, f"{type(error).__name__}: {error}")
            return
        for point in results[-1].curve:
            self.study.report(proposal.number, point.epoch, point.val_accuracy)
        now = self.progress.now
        self.study.tell_complete(
            proposal.number,
            results[-1].val_accuracy,
            {
                "val_accuracy": results[-1].val_accuracy,
                "ta_accuracies": {
                    spec.student.name: result.val_accuracy
                    for spec, result in zip(specs[:-1], results[:-1], strict=True)
                },
                "smallest_ta_num_params": self._smallest_ta(proposal),
                "stage_fingerprints": [spec.fingerprint for spec in specs],
                "stages_trained": now.stages_trained - before.stages_trained,
                "stages_reused": now.stages_reused - before.stages_reused,
                "device": results[-1].environment.device,
            },
        )
        self.progress.update(**self._counts())
        self.progress.say(
            f"trial {proposal.number}: {proposal.chain.label}: val accuracy {100 * results[-1].val_accuracy:.1f}%"
        )

    def _smallest_ta(self, proposal: Proposal) -> int | None:
        tas = proposal.chain.tas
        return self.plan.capacities[tas[-1]].num_params if tas else None

    def _check_ta(self, spec: StageSpec, result: StageResult, *, is_student: bool) -> None:
        """Raise PrunedTrial where a TA came out clearly below the student without distillation."""
        nokd = self.progress.now.nokd_val_accuracy
        if is_student or nokd is None or not is_hopeless(result.val_accuracy, nokd, self.plan.num_independent_val):
            return
        raise PrunedTrial(
            f"TA {spec.student.name} ended at {100 * result.val_accuracy:.1f}% val accuracy, more than "
            f"{STANDARD_ERRORS:g} standard errors below NOKD's {100 * nokd:.1f}%"
        )

    def _stopped(self, proposal: Proposal, reason: str) -> None:
        self.study.tell_pruned(proposal.number, reason)
        self.progress.update(stage=None, **self._counts())
        self.progress.say(f"trial {proposal.number} stopped: {proposal.chain.label}: {reason}")

    def _failed(self, proposal: Proposal, reason: str) -> None:
        self.study.tell_failed(proposal.number, reason)
        self.progress.update(stage=None, **self._counts())
        self.progress.say(f"trial {proposal.number} failed: {proposal.chain.label}: {reason}")

    def _counts(self) -> dict[str, object]:
        rows = self.study.rows()
        best, blkd = finalists(rows, 1), tuned_blkd(rows)
        ended = (TrialState.COMPLETE, TrialState.FAILED, TrialState.PRUNED)
        return {
            "trials_done": sum(
                row.state in ended and row.duplicate_of is None and row.stopped != OUT_OF_TIME for row in rows
            ),
            "best_chain": best[0].label if best else None,
            "best_val_accuracy": best[0].search_val_accuracy if best else None,
            "blkd_val_accuracy": blkd.search_val_accuracy if blkd else None,
        }

    def _is_alive(self, worker_id: str) -> bool:
        if worker_id == self.worker_id:
            return False
        ages = {name: age for name, _, age in self.records.workers.all(self.plan.study_name)}
        return worker_id in ages and not is_gone(worker_id, ages[worker_id])


def _reasons(rows: Sequence[TrialRow]) -> str:
    found = []
    for what, reasons in (
        ("failed", [row.failure for row in rows if row.failure]),
        ("stopped", [row.stopped for row in rows if row.stopped]),
    ):
        if reasons:
            found.append(f"{len(reasons)} {what}, the last because: {reasons[-1]}")
    return "; ".join(found) or "none was run"
