"""Tasks that need stages, on real stores."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from tasearch.chain import run
from tasearch.chain.control import Stores
from tasearch.chain.run import StageRunner
from tasearch.chain.tasks import Need, StageBusyError, Task
from tasearch.domain.errors import StageFailedError
from tasearch.domain.result import EpochResult, StageResult
from tasearch.domain.spec import ModelSpec, StageSpec
from tasearch.stores.owner import current_owner
from tasearch.stores.stages import StageState
from tasearch.training import rebuilding
from tasearch.training.loop import InterruptedStage
from tasearch.training.rebuilding import rebuilt
from tests.beginnings import at_each_beginning
from tests.factories import CPU, make_recipe, make_stage
from tests.unit.chain.test_run import DATASET, STUDENT, TEACHER, Watcher, open_stores

OTHER = make_stage(DATASET, teacher=TEACHER, temperature=2.0)
LABELS = make_stage(DATASET)
WILD = make_stage(DATASET, recipe=make_recipe(learning_rate=1e30))


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return open_stores(tmp_path)


class Side:
    """A runner with its watcher and what its tasks got."""

    def __init__(self, stores: Stores, pack: int) -> None:
        self.stores, self.watcher = stores, Watcher()
        self.runner = StageRunner(
            stores, DATASET, CPU, owner=current_owner(), watcher=self.watcher, checkpoint_seconds=60.0, pack=pack
        )
        self.got: list[StageResult] = []
        self.reused: list[bool] = []
        self.caught: list[BaseException] = []

    def needing(self, *specs: StageSpec, wait: bool = True, poll: Callable[[], None] = lambda: None) -> Task:
        try:
            for spec in specs:
                delivered = yield Need(spec=spec, wait=wait, poll=poll)
                self.got.append(delivered.result)
                self.reused.append(delivered.reused)
        except Exception as error:
            self.caught.append(error)
            if not isinstance(error, StageFailedError | StageBusyError | Quit):
                raise

    def run(self, *tasks: Task) -> None:
        waiting = list(tasks)
        self.runner.run_tasks(lambda: waiting.pop(0) if waiting else None)

    def state(self, spec: StageSpec) -> StageState:
        row = self.stores.stages.find(spec.fingerprint)
        assert row is not None
        return row.state


class Quit(InterruptedStage):
    """One task wants to end."""


def test_tasks_side_by_side_get_the_results_of_tasks_one_by_one(stores: Stores, tmp_path: Path) -> None:
    packed = Side(stores, 3)
    packed.run(packed.needing(TEACHER, STUDENT), packed.needing(LABELS), packed.needing(OTHER))
    (tmp_path / "single").mkdir()
    single = Side(open_stores(tmp_path / "single"), 1)
    single.run(single.needing(TEACHER, STUDENT), single.needing(LABELS), single.needing(OTHER))
    assert {r.artifact_id for r in packed.got} == {r.artifact_id for r in single.got}
    assert sorted(packed.watcher.trained) == sorted(single.watcher.trained)


def test_a_stage_that_two_tasks_need_is_trained_once(stores: Stores) -> None:
    side = Side(stores, 2)
    side.run(side.needing(LABELS), side.needing(LABELS))
    assert side.watcher.trained == [LABELS.fingerprint]
    assert sorted(side.reused) == [False, True]


def test_the_teacher_that_two_tasks_lack_is_trained_once_and_first(stores: Stores) -> None:
    side = Side(stores, 2)
    side.run(side.needing(STUDENT), side.needing(OTHER))
    assert side.watcher.trained[0] == TEACHER.fingerprint
    assert sorted(side.watcher.trained) == sorted(spec.fingerprint for spec in (TEACHER, STUDENT, OTHER))


def test_a_stage_that_diverges_fails_every_task_that_needs_it_and_no_other(stores: Stores) -> None:
    side = Side(stores, 3)
    side.run(side.needing(WILD), side.needing(WILD), side.needing(LABELS))
    assert [type(error) for error in side.caught] == [StageFailedError] * 2
    assert [result.fingerprint for result in side.got] == [LABELS.fingerprint]


def test_a_task_that_wants_to_end_gives_its_stage_back_and_others_go_on(stores: Stores) -> None:
    side, polls = Side(stores, 2), []

    def quit_soon() -> None:
        polls.append(1)
        if len(polls) == 3:
            raise Quit

    side.run(side.needing(LABELS, poll=quit_soon), side.needing(TEACHER))
    assert [type(error) for error in side.caught] == [Quit]
    assert side.state(LABELS) is StageState.RELEASED
    assert side.state(TEACHER) is StageState.COMPLETE
    assert stores.checkpoints.load(LABELS.fingerprint) is not None


def test_a_task_whose_stage_another_task_gave_up_trains_it_to_its_end(stores: Stores) -> None:
    side, polls = Side(stores, 2), []

    def quit_soon() -> None:
        polls.append(1)
        if len(polls) == 3:
            raise Quit

    side.run(side.needing(LABELS, poll=quit_soon), side.needing(LABELS))
    assert [result.fingerprint for result in side.got] == [LABELS.fingerprint]


def test_a_signal_saves_and_gives_back_every_stage(stores: Stores) -> None:
    side = Side(stores, 2)
    side.watcher.polls_left = 6
    with pytest.raises(InterruptedStage):
        side.run(side.needing(LABELS), side.needing(TEACHER))
    assert [side.state(spec) for spec in (LABELS, TEACHER)] == [StageState.RELEASED] * 2
    assert all(stores.checkpoints.load(spec.fingerprint) for spec in (LABELS, TEACHER))
    assert [type(error) for error in side.caught] == [InterruptedStage] * 2


def test_what_a_task_raises_ends_the_others_in_good_order(stores: Stores) -> None:
    side = Side(stores, 2)

    def broken() -> Task:
        yield Need(spec=LABELS)
        raise KeyError("a defect")

    longer = dataclasses.replace(TEACHER, recipe=make_recipe(epochs=9))
    with pytest.raises(KeyError):
        side.run(broken(), side.needing(longer))
    assert side.state(longer) is StageState.RELEASED


def test_an_interrupt_while_a_stage_begins_gives_it_back(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    side = Side(stores, 2)

    def interrupt(spec: StageSpec) -> None:
        if spec == LABELS:
            raise KeyboardInterrupt

    at_each_beginning(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        side.run(side.needing(TEACHER), side.needing(LABELS))
    assert [side.state(spec) for spec in (LABELS, TEACHER)] == [StageState.RELEASED] * 2


def test_a_stage_of_another_live_worker_is_not_waited_for_unless_asked(stores: Stores) -> None:
    stores.stages.claim(LABELS, "elsewhere:1:x", 60.0)
    side = Side(stores, 2)
    side.run(side.needing(LABELS, wait=False), side.needing(TEACHER))
    assert [type(error) for error in side.caught] == [StageBusyError]
    assert [result.fingerprint for result in side.got] == [TEACHER.fingerprint]


def test_epochs_of_a_stage_are_told_to_the_task_that_it_is_trained_for(stores: Stores) -> None:
    side, points = Side(stores, 2), list[EpochResult]()

    def watching() -> Task:
        yield Need(spec=LABELS, epoch_done=points.append)

    side.run(watching(), side.needing(TEACHER))
    assert [point.epoch for point in points] == [1, 2]


def test_no_more_tasks_are_asked_for_than_the_pack_has_places(stores: Stores) -> None:
    side, under_way, most = Side(stores, 2), set[int](), list[int]()

    def counted(number: int) -> Task:
        under_way.add(number)
        most.append(len(under_way))
        yield Need(spec=dataclasses.replace(LABELS, replicate=number))
        under_way.discard(number)

    side.run(*(counted(number) for number in range(5)))
    assert max(most) == 2


def test_running_out_of_memory_before_a_stage_begins_costs_no_task(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The teacher's net finds no room while another stage is under way; once that has ended there is some."""
    side = Side(stores, 3)
    side.run(side.needing(TEACHER))

    def beside_nothing(spec: ModelSpec, weights: bytes, device: torch.device) -> nn.Module:
        if side.state(LABELS) is StageState.RUNNING:
            raise torch.OutOfMemoryError("no room")
        return rebuilt(spec, weights, device)

    monkeypatch.setattr(run, "rebuilt", beside_nothing)
    side.runner._nets.clear()
    side.run(side.needing(LABELS), side.needing(STUDENT), side.needing(OTHER))
    assert side.caught == []
    assert {side.state(spec) for spec in (LABELS, STUDENT, OTHER)} == {StageState.COMPLETE}
    assert side.runner.pack < 3


def test_running_out_of_memory_while_a_net_is_rebuilt_costs_no_stage(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    side, left = Side(stores, 2), [1]

    def full_at_first(spec: ModelSpec, weights: bytes, device: torch.device) -> nn.Module:
        if left:
            left.pop()
            raise torch.OutOfMemoryError("no room")
        return rebuilt(spec, weights, device)

    monkeypatch.setattr(rebuilding, "rebuilt", full_at_first)
    side.run(side.needing(LABELS), side.needing(TEACHER))
    assert side.caught == []
    assert {side.state(LABELS), side.state(TEACHER)} == {StageState.COMPLETE}


def test_a_net_that_is_not_what_would_be_stored_fails_alone(stores: Stores) -> None:
    side, liar = Side(stores, 2), make_stage(DATASET, "tests.nets:late_draws")
    side.run(side.needing(liar), side.needing(LABELS))
    assert [type(error) for error in side.caught] == [StageFailedError]
    assert (side.state(liar), side.state(LABELS)) == (StageState.FAILED, StageState.COMPLETE)


def test_the_test_set_is_evaluated_once_more_where_memory_ran_out(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    side, left = Side(stores, 1), [1]
    side.run(side.needing(LABELS))

    def full_at_first(spec: ModelSpec, weights: bytes, device: torch.device) -> nn.Module:
        if left:
            left.pop()
            raise torch.OutOfMemoryError("no room")
        return rebuilt(spec, weights, device)

    monkeypatch.setattr(run, "rebuilt", full_at_first)
    assert 0.0 <= side.runner.test_accuracy(LABELS) <= 1.0
