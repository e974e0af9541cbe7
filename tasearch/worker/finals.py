"""The finals: finalists, tuned BLKD and NOKD race on fresh replicates; then, once, the test set."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tasearch.chain.run import StageRunner
from tasearch.domain.fingerprint import plain
from tasearch.domain.result import FinalRow, Role, TrialRow, Verdict
from tasearch.domain.spec import StageSpec
from tasearch.search.finals import Arm, arms, due_rows, enter_round, fairness_notes, opening_notes
from tasearch.search.race import Rule, schedule
from tasearch.search.standing import RULES, Standing, rule_of_round, standing, stored_rule
from tasearch.search.verdict import judge
from tasearch.stores.records import Records
from tasearch.stores.stages import StageState
from tasearch.worker.progress import Progress
from tasearch.worker.study_plan import StudyPlan


def expected_finals(plan: StudyPlan) -> int:
    """Return how many runs the finals take at least: finalists, BLKD and NOKD on the replicates of the first look."""
    return (plan.num_finalists + 2) * plan.settings.replicates


class FinalsWorker:
    """Runs a study's finals in this process, beside others that do, and gives the verdict."""

    def __init__(self, plan: StudyPlan, *, records: Records, runner: StageRunner, progress: Progress) -> None:
        self.plan, self.records, self.finals = plan, records, records.finals
        self.runner, self.progress = runner, progress

    def run(self, trials: Sequence[TrialRow], nokd_val_accuracy: float) -> Verdict | None:
        """Train replicates look by look until the race is over, then open the test set and store the verdict.

        Selection has ended by then; test accuracies are only reported (invariant 5). Whoever finds a look complete
        goes on to the next: where the race stands follows from the rows alone.
        """
        name = self.plan.study_name
        contenders = arms(trials, self.plan.num_finalists, nokd_val_accuracy)
        number, first = enter_round(self.finals.rows(name), contenders)
        rule = self._rule(number, contenders)
        looks_taken = 0
        while True:
            existing = self._rows_of(number)
            now = standing(existing, rule)
            rows = due_rows(number, first, contenders, now.due, existing)
            self.finals.plan(name, rows)
            missing = [row for row in rows if row.val_accuracy is None]
            self._show(len(rows), len(rows) - len(missing))
            if now.looks_taken > looks_taken:
                looks_taken = now.looks_taken
                self._say(now)
            if not missing:
                break
            self._train(self._free(missing))
        self._open_test(rows)
        attrs = self._attrs()
        verdict = judge(
            self.finals.rows(name),
            lambda last: stored_rule(attrs, last),
            [*fairness_notes(trials, rows), *opening_notes(attrs)],
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

    def _free(self, missing: Sequence[FinalRow]) -> FinalRow:
        """Return the first row that no other worker is training, or else the first: its result is waited for."""

        def busy(row: FinalRow) -> bool:
            found = (self.records.stages.find(spec.fingerprint) for spec in self._specs(row))
            return any(stage is not None and stage.state is StageState.RUNNING for stage in found)

        return next((row for row in missing if not busy(row)), missing[0])

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
            row for row in self._rows_of(number) if (row.arm, row.replicate) in planned and row.test_accuracy is None
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
