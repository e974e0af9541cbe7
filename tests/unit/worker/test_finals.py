from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from tasearch.chain.run import StageRunner
from tasearch.chain.tasks import StageBusyError, Task
from tasearch.config.settings import Settings
from tasearch.domain.errors import StageFailedError
from tasearch.domain.result import EpochResult, FinalRow, Role, StageResult, TrialRow, TrialState, Verdict
from tasearch.domain.spec import StageSpec
from tasearch.search.standing import stored_rule
from tasearch.stores.keeper import LeaseKeeper
from tasearch.stores.records import Records, open_records
from tasearch.worker.cost import study_cost
from tasearch.worker.finals import FinalsWorker
from tasearch.worker.progress import Progress, Silent
from tasearch.worker.session import first_snapshot
from tasearch.worker.signals import StopFlag
from tasearch.worker.study_plan import StudyPlan, build_plan
from tests.factories import make_dataset
from tests.tasks import carry_out

WIGGLE = (0.000, 0.013, -0.009, 0.004, -0.006, 0.010, -0.012, 0.002)
EVEN = {"plain4": 0.0, "resnet14": 0.0, "direct": 0.0, "NOKD": -0.1}
PLAIN4_WINS = {**EVEN, "plain4": 0.2}
RESNET14_LOSES = {**EVEN, "resnet14": -0.2}


class Trained:
    """A runner that trains nothing: val and test accuracy of an arm are its level and noise of the replicate."""

    def __init__(self, records: Records, levels: dict[str, float]) -> None:
        self.records, self.levels = records, levels
        self.asked: list[tuple[str, int]] = []
        self.tested: list[tuple[str, int]] = []
        self.busy: list[str] = []
        """Arms that another worker trains when they are first asked for."""
        self.errors: dict[tuple[str, int], list[Exception]] = {}
        """What training an arm on a replicate raises, one try after another."""
        self.opened_after: list[int] = []
        """For each test accuracy, how many runs of the finals had no val accuracy then."""

    pack = 1

    def run_tasks(self, next_task: Callable[[], Task | None]) -> None:
        carry_out(next_task, lambda spec, wait: self.run(spec, wait=wait))

    def run(self, spec: StageSpec, *, wait: bool = True) -> StageResult:
        arm = arm_of(spec)
        if not wait and arm in self.busy:
            self.busy.remove(arm)
            raise StageBusyError(spec, "elsewhere:1:x")
        if spec.student.name == "plain2":
            self.asked.append((arm_of(spec), spec.replicate))
            if waiting := self.errors.get((arm, spec.replicate)):
                raise waiting.pop(0)
        return StageResult(
            fingerprint=spec.fingerprint,
            artifact_id="0",
            val_accuracy=self.accuracy(spec),
            curve=(EpochResult(epoch=1, train_loss=1.0, val_accuracy=0.5),),
            seconds=1.0,
            environment=None,  # type: ignore[arg-type]
        )

    def test_accuracy(self, spec: StageSpec) -> float:
        self.tested.append((arm_of(spec), spec.replicate))
        self.opened_after.append(sum(row.val_accuracy is None for row in self.records.finals.rows("s")))
        return self.accuracy(spec) - 0.01

    def accuracy(self, spec: StageSpec) -> float:
        arm = arm_of(spec)
        shift = 3 * list(EVEN).index(arm) if arm in EVEN else 0
        return 0.5 + self.levels.get(arm, 0.0) + WIGGLE[(spec.replicate * (1 + shift) + shift) % len(WIGGLE)]


def arm_of(spec: StageSpec) -> str:
    if spec.distillation is None:
        return "NOKD"
    above = spec.distillation.teacher
    return "direct" if above.distillation is None else above.student.name


def plan_of(**changes: Any) -> StudyPlan:
    chosen = {"tas": "plain4,resnet14", "max_tas": 1, "finalists": 2, "replicates": 3, "max_replicates": 5, **changes}
    settings = Settings(teacher="resnet20", student="plain2", dataset="cifar10", study_name="s", **chosen)
    return build_plan(settings, make_dataset())


def trials_of(plan: StudyPlan, *best: str) -> list[TrialRow]:
    """One trial of each path, those named first the best."""
    order = [*best, *(name for name in ("direct", "plain4", "resnet14") if name not in best)]
    return [
        TrialRow(
            number=number,
            state=TrialState.COMPLETE,
            chain=plan.space.build([] if name == "direct" else [name], 4.0, 0.9),
            val_accuracy=0.6 - 0.01 * number,
        )
        for number, name in enumerate(order)
    ]


class Place:
    """A database with one study, in which finals are run again and again."""

    def __init__(self, url: str) -> None:
        self.records = open_records(url)
        self.records.studies.create("s", {}, {}, {})

    def worker(self, runner: Trained, plan: StudyPlan, worker_id: str = "host:1:x") -> FinalsWorker:
        progress = Progress(
            first_snapshot(plan),
            cost=study_cost(plan),
            records=self.records.workers,
            worker_id=worker_id,
            display=Silent(),
            stop=StopFlag(),
        )
        return FinalsWorker(
            plan,
            records=self.records,
            runner=cast(StageRunner, runner),
            progress=progress,
            keeper=LeaseKeeper(60.0),
            worker_id=worker_id,
        )

    def run(self, levels: dict[str, float], *best: str, **changes: Any) -> tuple[Verdict, Trained]:
        plan, runner = plan_of(**changes), Trained(self.records, levels)
        verdict = self.worker(runner, plan).run(trials_of(plan, *best), 0.4)
        assert verdict is not None
        return verdict, runner

    def run_with(self, errors: dict[tuple[str, int], list[Exception]], **changes: Any) -> tuple[Verdict, Trained]:
        """As `run`, with plain4 ahead, where some runs raise."""
        plan, runner = plan_of(**changes), Trained(self.records, PLAIN4_WINS)
        runner.errors = errors
        verdict = self.worker(runner, plan).run(trials_of(plan), 0.4)
        assert verdict is not None
        return verdict, runner

    @property
    def rows(self) -> list[FinalRow]:
        return self.records.finals.rows("s")

    def replicates(self, role: Role = Role.BLKD) -> list[int]:
        return [row.replicate for row in self.rows if row.role is role]

    @property
    def attrs(self) -> dict[str, Any]:
        study = self.records.studies.find("s")
        assert study is not None
        return study.attrs


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(f"sqlite:///{tmp_path / 'studies.db'}")
    yield place
    place.records.close()


def test_a_winner_at_the_first_look_ends_the_finals(place: Place) -> None:
    verdict, _ = place.run(PLAIN4_WINS)
    assert (verdict.winner, verdict.n) == (plan_of().space.build(["plain4"], 4.0, 0.9).label, 3)
    assert place.replicates() == [1, 2, 3]


def test_finalists_that_are_not_separated_get_more_replicates(place: Place) -> None:
    verdict, _ = place.run(EVEN)
    assert (verdict.separated, verdict.n) == (False, 5)
    assert place.replicates() == place.replicates(Role.NOKD) == [1, 2, 3, 4, 5]


def test_a_dropped_finalist_gets_no_more(place: Place) -> None:
    verdict, runner = place.run(RESNET14_LOSES)
    assert sorted(replicate for arm, replicate in runner.asked if arm == "resnet14") == [1, 2, 3]
    assert sorted(replicate for arm, replicate in runner.asked if arm == "plain4") == [1, 2, 3, 4, 5]
    assert [score.dropped_after for score in verdict.scores] == [None, None, None, 3]


def test_test_is_opened_once_and_only_when_the_race_is_over(place: Place) -> None:
    _, runner = place.run(EVEN)
    assert set(runner.opened_after) == {0}
    assert len(runner.tested) == len(set(runner.tested)) == 20
    assert len(place.attrs["test_opened"]) == 1


def test_the_same_command_again_runs_nothing_and_says_the_same(place: Place) -> None:
    first, _ = place.run(RESNET14_LOSES)
    again, runner = place.run(RESNET14_LOSES)
    assert (runner.asked, runner.tested) == ([], [])
    assert again == first


def test_the_verdict_is_stored(place: Place) -> None:
    verdict, _ = place.run(EVEN)
    stored = place.attrs["verdict"]
    assert (stored["text"], stored["n"], stored["race"]["taken"]) == (verdict.text, 5, [3, 4, 5])


def test_a_larger_maximum_goes_on_with_the_round_and_says_that_test_was_known(place: Place) -> None:
    place.run(EVEN)
    verdict, runner = place.run(EVEN, max_replicates=7)
    assert verdict.n == 7
    assert {row.round for row in place.rows} == {1}
    assert {replicate for _, replicate in runner.asked} == {6, 7}
    assert len(place.attrs["test_opened"]) == 2
    assert any("extended after their test accuracies were known" in note for note in verdict.notes)


def test_looks_of_an_earlier_call_stay_paid_for(place: Place) -> None:
    place.run(EVEN)
    place.run(EVEN, replicates=7, max_replicates=7)
    rule = stored_rule(place.attrs, 1)
    assert rule is not None
    assert (rule.looks, rule.deciding) == ((3, 4, 5, 7), (7,))


def test_a_smaller_maximum_keeps_what_was_looked_at(place: Place) -> None:
    first, _ = place.run(EVEN)
    again, runner = place.run(EVEN, max_replicates=3)
    assert (again.n, runner.asked) == (first.n, [])


def test_other_contenders_race_on_unseen_replicates(place: Place) -> None:
    place.run(EVEN, "plain4", finalists=1)
    verdict, _ = place.run(EVEN, "resnet14", finalists=1)
    assert [row.replicate for row in place.rows if row.round == 2 and row.role is Role.BLKD] == [6, 7, 8, 9, 10]
    assert (verdict.n, len(place.attrs["test_opened"])) == (5, 2)
    assert not any("extended" in note for note in verdict.notes)


def test_without_a_chain_with_tas_direct_distillation_runs_once(place: Place) -> None:
    verdict, _ = place.run(EVEN, tas=None, max_tas=0, finalists=None)
    assert place.replicates() == [1, 2, 3]
    assert (verdict.n, verdict.winner) == (3, None)


def test_progress_counts_the_runs_of_the_looks_so_far(place: Place) -> None:
    plan, runner = plan_of(), Trained(place.records, EVEN)
    worker = place.worker(runner, plan)
    totals: list[int] = []
    show = worker.progress.update

    def update(**changes: Any) -> None:
        totals.extend([changes["finals_total"]] if "finals_total" in changes else [])
        show(**changes)

    worker.progress.update = update  # type: ignore[method-assign]
    worker.run(trials_of(plan), 0.4)
    assert sorted(set(totals)) == [12, 16, 20]
    assert worker.progress.now.finals_done == 20


def test_a_run_that_another_worker_trains_is_left_to_it_while_there_are_others(place: Place) -> None:
    plan, runner = plan_of(replicates=1, max_replicates=1), Trained(place.records, EVEN)
    runner.busy = ["plain4"]
    place.worker(runner, plan).run(trials_of(plan), 0.4)
    assert runner.asked[0] != ("plain4", 1)
    assert ("plain4", 1) in runner.asked


def test_a_run_whose_outcome_is_known_is_written_down_and_not_trained_again(place: Place) -> None:
    """A worker died between the end of its lease and the row of the finals."""
    plan, runner = plan_of(replicates=1, max_replicates=1), Trained(place.records, EVEN)
    place.records.finals.record_val = _killed  # type: ignore[assignment,method-assign]
    with pytest.raises(KeyboardInterrupt):
        place.worker(runner, plan).run(trials_of(plan), 0.4)
    del place.records.finals.record_val
    assert place.worker(runner, plan).run(trials_of(plan), 0.4) is not None
    assert len(runner.asked) == len(set(runner.asked)) == 4


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_run_of_a_worker_that_lost_its_lease_is_not_recorded(place: Place) -> None:
    plan, runner = plan_of(replicates=1, max_replicates=1), Trained(place.records, EVEN)
    worker, run = place.worker(runner, plan), runner.run
    stolen: list[str] = []

    def steal(spec: StageSpec, *, wait: bool = True) -> StageResult:
        with place.records.engine.begin() as connection:
            if not stolen:
                connection.exec_driver_sql(
                    "UPDATE tasearch_leases SET owner = 'other:1:x', attempt = 2, leased_until = 0"
                )
                stolen.append(arm_of(spec))
        return run(spec, wait=wait)

    runner.run = steal  # type: ignore[method-assign]
    worker.run(trials_of(plan), 0.4)
    assert len(runner.asked) - len(set(runner.asked)) == 1


DIVERGED = StageFailedError("diverged in epoch 2")


def test_an_error_that_may_pass_is_tried_again(place: Place) -> None:
    verdict, runner = place.run_with({("plain4", 1): [RuntimeError("out of memory"), OSError("stale file")]})
    assert runner.asked.count(("plain4", 1)) == 3
    assert verdict.winner is not None
    assert not any(row.failure for row in place.rows)


def test_an_error_that_does_not_pass_takes_the_finalist_out(place: Place) -> None:
    errors: list[Exception] = [RuntimeError("out of memory") for _ in range(2)]
    verdict, _ = place.run_with({("plain4", 1): errors}, max_retries=1)
    assert [row.failure for row in place.rows if row.failure] == ["RuntimeError: out of memory"]
    assert verdict.winner is None


def test_a_finalist_that_diverges_is_out_and_the_verdict_says_why(place: Place) -> None:
    verdict, runner = place.run_with({("plain4", 2): [DIVERGED]})
    assert runner.asked.count(("plain4", 2)) == 1
    assert not any("plain4" in score.arm for score in verdict.scores)
    assert any("plain4" in note and "replicate 2 failed: diverged in epoch 2." in note for note in verdict.notes)


def test_a_finalist_that_diverged_is_trained_no_further(place: Place) -> None:
    _, runner = place.run_with({("plain4", 1): [DIVERGED]})
    assert [arm for arm, replicate in runner.asked if replicate > 1].count("plain4") == 0
    assert "plain4" not in dict(runner.tested)


def test_without_direct_distillation_nothing_is_compared(place: Place) -> None:
    verdict, _ = place.run_with({("direct", 1): [DIVERGED]})
    assert verdict.winner is None
    assert verdict.text == "no chain with a TA was compared with direct distillation"
    assert any(note.startswith("Direct distillation (") and "nothing is compared" in note for note in verdict.notes)


def test_finals_of_which_every_arm_fails_end_and_say_so(place: Place) -> None:
    verdict, _ = place.run_with({(arm, 1): [DIVERGED] for arm in EVEN})
    assert verdict.text == "the finals give no answer: every arm failed"
    assert len([note for note in verdict.notes if "failed: diverged" in note]) == 4


def test_what_failed_is_not_tried_by_the_same_command_again(place: Place) -> None:
    first, _ = place.run_with({("plain4", 1): [DIVERGED]})
    again, runner = place.run_with({})
    assert runner.asked == []
    assert again == first


def test_two_workers_side_by_side_give_one_verdict_and_open_test_once(place: Place) -> None:
    plan = plan_of()
    first, second = Trained(place.records, RESNET14_LOSES), Trained(place.records, RESNET14_LOSES)
    workers = [place.worker(runner, plan, name) for runner, name in ((first, "host:1:x"), (second, "host:2:y"))]
    with ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(lambda worker: worker.run(trials_of(plan), 0.4), workers))
    assert verdicts[0] == verdicts[1]
    assert not set(first.asked) & set(second.asked)
    # Both may evaluate a student where they come to it at the same moment; its row is written once.
    assert len(set(first.tested) | set(second.tested)) == 18
    assert len(place.attrs["test_opened"]) == 1
