"""The finals: finalists, tuned BLKD and NOKD race on fresh replicates; then, once, the test set."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tasearch.chain.control import LEASE_SECONDS
from tasearch.chain.run import StageRunner
from tasearch.chain.tasks import Need, StageBusyError, Task
from tasearch.domain.errors import LeaseLostError, StageFailedError
from tasearch.domain.fingerprint import fingerprint, plain
from tasearch.domain.result import FinalRow, Role, TrialRow, Verdict
from tasearch.domain.spec import StageSpec
from tasearch.search.finals import (
    Arm,
    arms,
    due_rows,
    enter_round,
    failed_arms,
    fairness_notes,
    model_notes,
    opening_notes,
)
from tasearch.search.race import Rule, schedule
from tasearch.search.standing import RULES, Standing, rule_of_round, standing, stored_rule
from tasearch.search.verdict import judge
from tasearch.stores.keeper import LeaseKeeper
from tasearch.stores.leases import Lease
from tasearch.stores.owner import is_known_dead
from tasearch.stores.records import Records
from tasearch.training.loop import InterruptedStage
from tasearch.worker.progress import Progress
from tasearch.worker.retries import PASSING_ERRORS, is_of_the_work, reason_of
from tasearch.worker.study_plan import StudyPlan

_POLL_SECONDS = 0.5
logger = logging.getLogger(__name__)


def expected_finals(plan: StudyPlan) -> int:
    """Return how many runs the finals take at least: finalists, BLKD and NOKD on the replicates of the first look."""
    return (plan.num_finalists + 2) * plan.settings.replicates


class LostRun(InterruptedStage):
    """Another worker has taken over a run of the finals: this one leaves it alone."""


class FinalsWorker:
    """Runs a study's finals in this process, beside others that do, and gives the verdict."""

    def __init__(
        self,
        plan: StudyPlan,
        *,
        records: Records,
        runner: StageRunner,
        progress: Progress,
        keeper: LeaseKeeper,
        worker_id: str,
    ) -> None:
        self.plan, self.records, self.finals = plan, records, records.finals
        self.runner, self.progress = runner, progress
        self._keeper, self._worker_id = keeper, worker_id

    def run(self, trials: Sequence[TrialRow], nokd_val_accuracy: float | None) -> Verdict | None:
        """Train replicates look by look until the race is over, then open the test set and store the verdict.

        Selection has ended by then; test accuracies are only reported (invariant 5). Whoever finds a look complete
        goes on to the next: where the race stands follows from the rows alone. An arm whose run failed is out.
        """
        name = self.plan.study_name
        contenders = arms(trials, self.plan.num_finalists, nokd_val_accuracy)
        number, first = enter_round(self.finals.rows(name), contenders)
        rule = self._rule(number, contenders)
        looks_taken = 0
        while True:
            existing = self._rows_of(number)
            now = standing(existing, rule)
            failed = failed_arms(existing)
            still_in = [arm for arm in contenders if arm.label not in failed]
            rows = due_rows(number, first, still_in, now.due, existing)
            self.finals.plan(name, rows)
            missing = [row for row in rows if row.val_accuracy is None]
            self._show(len(rows), len(rows) - len(missing))
            if now.looks_taken > looks_taken:
                looks_taken = now.looks_taken
                self._say(now)
            if not missing:
                break
            self._train_some(missing)
        self._open_test(rows)
        attrs = self._attrs()
        verdict = judge(
            self.finals.rows(name),
            lambda last: stored_rule(attrs, last),
            [*fairness_notes(trials, rows), *opening_notes(attrs), *model_notes(self.plan.model_remarks)],
            measure=self.plan.measure,
        )
        if verdict is not None:
            self.records.studies.update_attrs(name, {"verdict": plain(verdict)})
        return verdict

    def _rule(self, number: int, contenders: Sequence[Arm]) -> Rule:
        """Return the rule of a round and store it: what was looked at in an earlier call stays paid for."""
        least, most = self.plan.settings.replicates, self.plan.max_replicates
        num_finalists = sum(arm.role is Role.FINALIST for arm in contenders)
        looks = schedule(least, most if num_finalists else least)
        rows = self._rows_of(number)

        def edit(attrs: dict[str, Any], _now: float = 0.0) -> dict[str, Any]:
            rule = rule_of_round(stored_rule(attrs, number), rows, num_finalists, looks)
            return attrs | {RULES: {**attrs.get(RULES, {}), str(number): plain(rule)}}

        edit(self._attrs())  # A rule may take a second to work out, and is kept: not while the study is locked.
        rule = stored_rule(self.records.studies.edit_attrs(self.plan.study_name, edit), number)
        assert rule is not None
        return rule

    def _attrs(self) -> dict[str, Any]:
        study = self.records.studies.find(self.plan.study_name)
        return {} if study is None else study.attrs

    def _rows_of(self, number: int) -> list[FinalRow]:
        return [row for row in self.finals.rows(self.plan.study_name) if row.round == number]

    def _show(self, total: int, done: int) -> None:
        self.progress.update(finals_total=total, finals_done=done)
        if self.progress.now.phase != "finals":
            # After the count: what an earlier call had done is not timed as work of this phase.
            self.progress.update(phase="finals")

    def _say(self, now: Standing) -> None:
        dropped = [arm for arm, after in now.dropped_after.items() if after == now.replicates]
        said = [f"dropped: {'; '.join(dropped)}"] if dropped else []
        if now.over and now.winner is not None:
            said.append(f"{now.winner} is separated from direct distillation on val")
        elif now.over and now.blkd_won:
            said.append("no chain is left in the race")
        elif now.over:
            said.append("not separated, and no replicates are left")
        self.progress.say(f"finals, look after {now.replicates} replicates: {'; '.join(said) or 'the race goes on'}")

    def _train_some(self, missing: Sequence[FinalRow]) -> None:
        """Train rows that nobody is at and whose stages nobody trains; wait a moment where all are taken.

        In a pack of one it is one row, so that the race is looked at again after each; and no further row is begun
        after one that failed, whose arm may be out.
        """
        self.progress.poll()
        rows, ended = iter(missing), list[bool]()

        def next_task() -> Task | None:
            for row in rows if not ended or (self.runner.pack > 1 and all(ended)) else ():
                lease = self._claim(row)
                if lease is not None:
                    return self._row_task(row, lease, ended)
            return None

        self.runner.run_tasks(next_task)
        if not ended:
            time.sleep(_POLL_SECONDS)

    def _row_task(self, row: FinalRow, lease: Lease, ended: list[bool]) -> Task:
        """Train a row; whether it came to an accuracy is added to `ended`, but where others train what it needs."""
        try:
            yield from self._train(row, lease)
            ended.append(True)
        except StageBusyError:
            self._give_back(lease)
        except (LeaseLostError, LostRun):
            ended.append(False)
        except StageFailedError as error:
            self._failed(row, lease, error.message)
            ended.append(False)
        except PASSING_ERRORS as error:
            logger.debug("%s, replicate %d", row.arm, row.replicate, exc_info=True)
            self._again_or_failed(row, lease, reason_of(error))
            ended.append(False)
        except BaseException as error:
            if not isinstance(error, Exception) or not is_of_the_work(error):
                self._give_back(lease)
                raise
            logger.debug("%s, replicate %d", row.arm, row.replicate, exc_info=True)
            self._failed(row, lease, reason_of(error))
            ended.append(False)

    def _claim(self, row: FinalRow) -> Lease | None:
        """Take a run of the finals; of one whose outcome is known only that is written down."""
        name, subject, leases = self.plan.study_name, _subject(row), self.records.leases
        held = leases.find_many(name, [subject]).get(subject)
        if held is not None and held.outcome is not None:
            self._record(row, held.outcome)
            return None
        owner = None if held is None else held.owner
        dead = owner is not None and (owner == self._worker_id or is_known_dead(owner))
        return leases.claim(
            name, subject, self._worker_id, LEASE_SECONDS, dead_owners=(owner,) if owner is not None and dead else ()
        )

    def _give_back(self, lease: Lease, *, failed: bool = False) -> None:
        with contextlib.suppress(LeaseLostError):
            self.records.leases.release(lease, failed=failed)

    def _again_or_failed(self, row: FinalRow, lease: Lease, reason: str) -> None:
        """Leave a run for another try after an error that may pass, or give it up."""
        most, tried = self.plan.settings.max_retries, lease.failures
        if tried >= most:
            self._failed(row, lease, reason)
            return
        self._give_back(lease, failed=True)
        self.progress.update(stage=None)
        self.progress.say(
            f"finals, replicate {row.replicate}: {row.arm} is tried again ({tried + 1} of at most {most}): {reason}"
        )

    def _failed(self, row: FinalRow, lease: Lease, reason: str) -> None:
        """Record that a run cannot be had, which takes its arm out of the finals."""
        outcome = {"failure": reason}
        try:
            self.records.leases.end(lease, outcome)
        except LeaseLostError:
            return
        self._record(row, outcome)
        self.progress.update(stage=None)
        self.progress.say(f"finals, replicate {row.replicate}: {row.arm} failed and is out: {reason}")

    def _train(self, row: FinalRow, lease: Lease) -> Task:
        specs = self._specs(row)
        with self._keeper.hold(lambda: self.records.leases.renew(lease, LEASE_SECONDS)) as held:

            def check() -> None:
                try:
                    held.check()
                except LeaseLostError as error:
                    raise LostRun from error

            for spec in specs:
                check()
                self.records.stages.link(self.plan.study_name, spec.fingerprint, "final")
                result = (yield Need(spec=spec, wait=False, poll=check)).result
        outcome = {"fingerprint": specs[-1].fingerprint, "val_accuracy": result.val_accuracy}
        self.records.leases.end(lease, outcome)
        self._record(row, outcome)
        self.progress.update(finals_done=min(self.progress.now.finals_done + 1, self.progress.now.finals_total))
        self.progress.say(
            f"finals, replicate {row.replicate}: {row.arm}: val {self.plan.measure} {100 * result.val_accuracy:.1f}%"
        )

    def _record(self, row: FinalRow, outcome: Mapping[str, Any]) -> None:
        """Write a known outcome into the row; written twice, it is the same."""
        key = self.plan.study_name, row.round, row.arm, row.replicate
        if "failure" in outcome:
            self.finals.record_failure(*key, outcome["failure"])
        else:
            self.finals.record_val(*key, outcome["fingerprint"], outcome["val_accuracy"])

    def _open_test(self, rows: Sequence[FinalRow]) -> None:
        # Read again: another worker may have been faster.
        planned = {(row.round, row.arm, row.replicate) for row in rows}
        missing = [
            row
            for row in self.finals.rows(self.plan.study_name)
            if (row.round, row.arm, row.replicate) in planned and row.test_accuracy is None
        ]
        if not missing:
            return
        number = missing[0].round
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


def _subject(row: FinalRow) -> str:
    """Return what the lease on a row is called; labels of long chains would not fit."""
    return f"final {row.round} {row.replicate} {fingerprint(row.arm)[:16]}"
