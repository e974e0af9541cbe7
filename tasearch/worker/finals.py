"""The finals: finalists, tuned BLKD and NOKD on fresh replicates; then, once, the test set."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tasearch.chain.run import StageRunner
from tasearch.domain.fingerprint import plain
from tasearch.domain.result import FinalRow, Role, TrialRow, Verdict
from tasearch.domain.spec import StageSpec
from tasearch.search.finals import arms, fairness_notes, plan_rows
from tasearch.search.verdict import judge
from tasearch.stores.records import Records
from tasearch.worker.progress import Progress
from tasearch.worker.study_plan import StudyPlan


def expected_finals(plan: StudyPlan) -> int:
    """Return how many runs the finals will take: finalists, BLKD and NOKD on every replicate."""
    return (plan.num_finalists + 2) * plan.settings.replicates


class FinalsWorker:
    """Runs a study's finals in this process and gives the verdict."""

    def __init__(self, plan: StudyPlan, *, records: Records, runner: StageRunner, progress: Progress) -> None:
        self.plan, self.records, self.finals = plan, records, records.finals
        self.runner, self.progress = runner, progress

    def run(self, trials: Sequence[TrialRow], nokd_val_accuracy: float) -> Verdict | None:
        """Train every missing replicate, open the test set once all are there, and store the verdict.

        Selection has ended by then; test accuracies are only reported (invariant 5).
        """
        contenders = arms(trials, self.plan.num_finalists, nokd_val_accuracy)
        existing = self.finals.rows(self.plan.study_name)
        rows = plan_rows(existing, contenders, self.plan.settings.replicates)
        self.finals.plan(self.plan.study_name, rows)
        done = sum(row.val_accuracy is not None for row in rows)
        self.progress.update(phase="finals", finals_total=len(rows), finals_done=done)
        for row in rows:
            if row.val_accuracy is None:
                self._train(row)
                done += 1
                self.progress.update(finals_done=done)
        self._open_test(rows)
        verdict = judge(self.finals.rows(self.plan.study_name), fairness_notes(trials, rows))
        if verdict is not None:
            self.records.studies.update_attrs(self.plan.study_name, {"verdict": plain(verdict)})
        return verdict

    def _train(self, row: FinalRow) -> None:
        specs = self._specs(row)
        for spec in specs:
            self.records.stages.link(self.plan.study_name, spec.fingerprint, "final")
            result = self.runner.run(spec)
        self.finals.record_val(
            self.plan.study_name, row.round, row.arm, row.replicate, specs[-1].fingerprint, result.val_accuracy
        )
        self.progress.say(
            f"finals, replicate {row.replicate}: {row.arm}: val accuracy {100 * result.val_accuracy:.1f}%"
        )

    def _open_test(self, rows: Sequence[FinalRow]) -> None:
        # Read again: another worker may have been faster.
        planned = {(row.arm, row.replicate) for row in rows}
        number = rows[0].round
        missing = [
            row
            for row in self.finals.rows(self.plan.study_name)
            if row.round == number and (row.arm, row.replicate) in planned and row.test_accuracy is None
        ]
        if not missing:
            return
        self.progress.update(phase="test", stage="test set, opened after all selection has ended")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        occasion = f"round {number}, replicates {sorted({row.replicate for row in rows})}"
        self.records.studies.append_attr(self.plan.study_name, "test_opened", now, occasion=occasion)
        for row in missing:
            self.progress.poll()
            accuracy = self.runner.test_accuracy(self._specs(row)[-1])
            self.finals.record_test(self.plan.study_name, row.round, row.arm, row.replicate, accuracy)
        self.progress.update(stage=None)

    def _specs(self, row: FinalRow) -> tuple[StageSpec, ...]:
        if row.role is Role.NOKD or row.chain is None:
            return (self.plan.stages.from_labels(self.plan.space.student, row.replicate),)
        return self.plan.stages.chain(row.chain, row.replicate)
