from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tasearch.data.views import ViewSource, channel_statistics
from tasearch.domain.errors import LeaseLostError, StageFailedError
from tasearch.domain.result import EpochResult
from tasearch.domain.spec import StageSpec
from tasearch.models.registry import build_model
from tasearch.training.device import configure
from tasearch.training.evaluate import logits_table
from tasearch.training.graphs import StepGraphs
from tasearch.training.loop import InterruptedStage, StageData, StageJob, StageRun, Trained, fit
from tasearch.training.pack import Pack, fit_pack, is_out_of_memory
from tasearch.training.student import Student
from tests.factories import CPU, make_dataset, make_recipe, make_stage

DATASET = make_dataset(flip=True)
TEACHER = make_stage(DATASET, "plain4")
STAGES = [
    make_stage(DATASET),
    make_stage(DATASET, teacher=TEACHER),
    make_stage(DATASET, teacher=TEACHER, temperature=2.0, kd_weight=0.5),
    make_stage(DATASET, teacher=TEACHER, replicate=3),
    make_stage(DATASET, "resnet8", teacher=TEACHER, recipe=make_recipe(epochs=1, precision="bfloat16")),
]
"""From labels and taught, at two temperatures, on two replicates, of two architectures, precisions and lengths."""

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: torch sees none")
DEVICES = [pytest.param("cpu"), pytest.param("cuda", marks=needs_gpu)]


class Recorder:
    """Keeps what the loop says; raises something after a number of ticks."""

    def __init__(self, stop_after: int | None = None, error: Exception | None = None) -> None:
        self.ticks_left, self.error = stop_after, error or InterruptedStage()
        self.points: list[EpochResult] = []
        self.saved: list[bytes] = []

    def tick(self) -> None:
        if self.ticks_left is not None:
            self.ticks_left -= 1
            if self.ticks_left == 0:
                raise self.error

    def epoch_done(self, point: EpochResult) -> None:
        self.points.append(point)

    def save(self, checkpoint: bytes) -> None:
        self.saved.append(checkpoint)


class Place:
    """A device with the data on it."""

    def __init__(self, name: str) -> None:
        self.device = torch.device(name)
        configure(self.device, 1)
        statistics = channel_statistics(DATASET.train)
        self.data = StageData(
            train=ViewSource(DATASET.train, DATASET.spec, statistics, self.device),
            val=ViewSource(DATASET.val, DATASET.spec, statistics, self.device),
        )
        self.graphs = StepGraphs(self.device)

    def logits(self, spec: StageSpec) -> Callable[[int], Tensor] | None:
        if spec.distillation is None:
            return None
        net = build_model(spec.distillation.teacher.student, seed=5)
        views = ViewSource(DATASET.train, DATASET.spec, channel_statistics(DATASET.train), CPU)
        return lambda epoch: logits_table(
            net, views.views(spec.replicate, epoch), precision="float32", tick=lambda: None
        )

    def job(self, spec: StageSpec, control: Recorder | None = None, checkpoint: bytes | None = None) -> StageJob:
        return StageJob(
            spec=spec, control=control or Recorder(), teacher_logits=self.logits(spec), checkpoint=checkpoint
        )

    def alone(self, spec: StageSpec, checkpoint: bytes | None = None) -> Trained:
        return fit(
            spec,
            self.data,
            self.device,
            Recorder(),
            teacher_logits=self.logits(spec),
            checkpoint=checkpoint,
            graphs=self.graphs,
        )

    def pack(self, jobs: list[StageJob], **options: int) -> list[Trained | Exception]:
        return fit_pack(jobs, self.data, self.device, graphs=self.graphs, **options)


@pytest.fixture(params=DEVICES)
def place(request: pytest.FixtureRequest) -> Place:
    return Place(request.param)


def same(found: Trained | Exception, expected: Trained) -> bool:
    assert isinstance(found, Trained), found
    return found.weights == expected.weights and found.curve == expected.curve


def test_stages_of_a_pack_end_as_each_does_alone(place: Place) -> None:
    found = place.pack([place.job(spec) for spec in STAGES])
    assert [same(outcome, place.alone(spec)) for outcome, spec in zip(found, STAGES, strict=True)] == [True] * 5


def test_more_stages_than_places_wait_for_their_turn(place: Place) -> None:
    found = place.pack([place.job(spec) for spec in STAGES], most=2)
    assert all(same(outcome, place.alone(spec)) for outcome, spec in zip(found, STAGES, strict=True))


def test_stages_take_turns(place: Place) -> None:
    pack, controls = Pack(place.data, place.device, most=2, graphs=place.graphs), [Recorder(), Recorder()]
    for control, spec in zip(controls, STAGES, strict=False):
        pack.add(place.job(spec, control))
    while not controls[0].points:
        pack.turn()
    assert len(pack) == 2


def test_one_that_is_stopped_leaves_the_others_as_they_are_and_goes_on_bit_identical(place: Place) -> None:
    stopped = Recorder(4)
    jobs = [place.job(STAGES[0]), place.job(STAGES[1], stopped), place.job(STAGES[2])]
    first, interrupted, last = place.pack(jobs)
    assert isinstance(interrupted, InterruptedStage)
    assert same(first, place.alone(STAGES[0]))
    assert same(last, place.alone(STAGES[2]))
    (resumed,) = place.pack([place.job(STAGES[1], checkpoint=stopped.saved[-1])])
    assert same(resumed, place.alone(STAGES[1]))


def test_one_that_loses_its_lease_drops_out_without_a_checkpoint(place: Place) -> None:
    lost = Recorder(3, LeaseLostError("taken over"))
    found = place.pack([place.job(STAGES[1], lost), place.job(STAGES[0])])
    assert isinstance(found[0], LeaseLostError)
    assert lost.saved == []
    assert same(found[1], place.alone(STAGES[0]))


def test_one_that_diverges_fails_alone(place: Place) -> None:
    wild = dataclasses.replace(STAGES[0], recipe=make_recipe(learning_rate=1e30))
    found = place.pack([place.job(wild), place.job(STAGES[1])])
    assert isinstance(found[0], StageFailedError)
    assert same(found[1], place.alone(STAGES[1]))


def test_interrupting_a_pack_saves_every_stage_in_it(place: Place) -> None:
    pack, controls = Pack(place.data, place.device, most=2, graphs=place.graphs), [Recorder() for _ in range(3)]
    jobs = [place.job(spec, control) for control, spec in zip(controls, STAGES, strict=False)]
    for job in jobs:
        pack.add(job)
    pack.turn()
    assert set(pack.interrupt()) == set(jobs)
    assert [len(control.saved) for control in controls] == [1, 1, 0]
    assert same(place.alone(STAGES[1], checkpoint=controls[1].saved[-1]), place.alone(STAGES[1]))


def starved(place: Place, spec: StageSpec, times: int) -> StageJob:
    """A stage whose device is out of memory when it first asks for its teacher's logits."""
    logits, left = place.logits(spec), [times]
    assert logits is not None

    def first_none(epoch: int) -> Tensor:
        if left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("no room")
        return logits(epoch)

    return StageJob(spec=spec, control=Recorder(), teacher_logits=first_none)


def test_out_of_memory_halves_the_pack_and_all_end_as_alone(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    pack = Pack(place.data, place.device, most=4)
    jobs = [place.job(STAGES[0]), starved(place, STAGES[1], 1), place.job(STAGES[2]), place.job(STAGES[3])]
    for job in jobs:
        pack.add(job)
    found: dict[int, Trained | Exception] = {}
    with caplog.at_level(logging.WARNING):
        while len(pack):
            found |= {id(job): outcome for job, outcome in pack.turn()}
    assert pack.most == 2
    assert "4 stages at once do not fit" in caplog.text
    assert all(same(found[id(job)], place.alone(job.spec)) for job in jobs)


def test_a_stage_that_does_not_fit_alone_fails_alone(place: Place) -> None:
    outcomes = place.pack([starved(place, STAGES[1], 99), place.job(STAGES[0])])
    assert is_out_of_memory(outcomes[0] if isinstance(outcomes[0], Exception) else None)
    assert same(outcomes[1], place.alone(STAGES[0]))


def test_the_time_of_a_pack_is_shared_among_its_stages(place: Place) -> None:
    outcomes = place.pack([place.job(STAGES[0]), place.job(STAGES[0])])
    seconds = [outcome.seconds for outcome in outcomes if isinstance(outcome, Trained)]
    assert max(seconds) < 1.5 * min(seconds)


def test_time_between_turns_is_not_training_time(place: Place) -> None:
    pack = Pack(place.data, place.device, most=1, graphs=place.graphs)
    pack.add(place.job(STAGES[0]))
    time.sleep(1.0)
    began, ended = time.monotonic(), []
    while len(pack):
        ended += pack.turn()
    assert isinstance(ended[0][1], Trained)
    assert ended[0][1].seconds <= time.monotonic() - began


class _Broken(Recorder):
    """Is interrupted within a step: after the weights have changed, before the step is counted."""

    def __init__(self, place: Place, step: int) -> None:
        super().__init__()
        self.place, self.left = place, step

    def break_off(self, student: Student, *arguments: Any) -> None:
        self.left -= 1
        STEP(student, *arguments)
        if not self.left:
            raise KeyboardInterrupt


STEP = Student.step


@pytest.mark.parametrize("beside", [0, 1])
def test_a_stage_that_was_broken_off_within_a_step_goes_on_from_its_last_checkpoint(
    monkeypatch: pytest.MonkeyPatch, beside: int
) -> None:
    place = Place("cpu")
    broken = _Broken(place, 4 * (1 + beside) + 1)
    monkeypatch.setattr(Student, "step", lambda student, *arguments: broken.break_off(student, *arguments))
    pack = Pack(place.data, place.device, most=2, checkpoint_seconds=0.0)
    jobs = [place.job(STAGES[1], broken), *[place.job(STAGES[0], Recorder()) for _ in range(beside)]]
    for job in jobs:
        pack.add(job)
    for _ in range(4):
        pack.turn()
    with pytest.raises(KeyboardInterrupt):
        pack.turn()
    pack.interrupt()
    monkeypatch.undo()
    for job in jobs:
        assert isinstance(job.control, Recorder)
        assert same(place.alone(job.spec, checkpoint=job.control.saved[-1]), place.alone(job.spec))


class _LastWithoutMemory(Recorder):
    """Its device is out of memory when the stage is evaluated for the last time."""

    def __init__(self, ticks: int) -> None:
        super().__init__(ticks, torch.OutOfMemoryError("no room"))


def ticks_of(place: Place, spec: StageSpec) -> int:
    counted = Recorder(10**9)
    place.pack([place.job(spec, counted)])
    assert counted.ticks_left is not None
    return 10**9 - counted.ticks_left


def test_running_out_of_memory_in_the_turn_in_which_others_end_costs_none_of_them(place: Place) -> None:
    # The last tick of a stage is after its last epoch was told; the one before it in its last evaluation.
    last = ticks_of(place, STAGES[3]) - 1
    same_length = [STAGES[1], STAGES[2], STAGES[3]]
    jobs = [*map(place.job, same_length), place.job(STAGES[3], _LastWithoutMemory(last))]
    found = place.pack(jobs)
    assert all(same(outcome, place.alone(job.spec)) for outcome, job in zip(found, jobs, strict=True))


@pytest.mark.parametrize("error", [LeaseLostError("taken over"), StageFailedError("diverged")], ids=repr)
def test_one_that_cannot_be_saved_to_make_room_ends_alone(place: Place, error: Exception) -> None:
    class Lost(Recorder):
        def save(self, checkpoint: bytes) -> None:
            raise error

    jobs = [starved(place, STAGES[1], 1), place.job(STAGES[0]), place.job(STAGES[2], Lost())]
    found = place.pack(jobs)
    assert found[2] is error
    assert [same(outcome, place.alone(job.spec)) for outcome, job in zip(found[:2], jobs, strict=False)] == [True] * 2


def test_one_that_cannot_be_saved_when_another_finds_no_room_to_begin_is_reported(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, left, error = StageRun.__init__, [1], LeaseLostError("taken over")

    class Lost(Recorder):
        def save(self, checkpoint: bytes) -> None:
            raise error

    def full_beside_two(run: StageRun, job: StageJob, *arguments: Any) -> None:
        if job.spec == STAGES[2] and left:
            left.pop()
            raise torch.OutOfMemoryError("no room")
        begin(run, job, *arguments)

    monkeypatch.setattr(StageRun, "__init__", full_beside_two)
    pack = Pack(place.data, place.device, most=3, graphs=place.graphs)
    jobs = [place.job(STAGES[0]), place.job(STAGES[1], Lost()), place.job(STAGES[2])]
    found: dict[int, Trained | Exception] = {}
    for job in jobs:
        pack.add(job)
    while len(pack):
        found |= {id(job): outcome for job, outcome in pack.turn()}
    assert found[id(jobs[1])] is error
    assert all(same(found[id(job)], place.alone(job.spec)) for job in (jobs[0], jobs[2]))


def test_room_is_made_for_what_is_not_in_the_pack(place: Place) -> None:
    pack = Pack(place.data, place.device, most=4, graphs=place.graphs)
    assert not pack.make_room()
    jobs = [place.job(spec) for spec in STAGES[:3]]
    for job in jobs:
        pack.add(job)
    pack.turn()
    assert pack.make_room()
    assert (pack.most, len(pack)) == (2, 3)
    ended = []
    while len(pack):
        ended += pack.turn()
    assert all(same(outcome, place.alone(job.spec)) for job, outcome in ended)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    ],
    ids=repr,
)
def test_running_out_of_memory_is_known_however_it_is_said(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_an_error_that_came_after_running_out_of_memory_is_known_as_that() -> None:
    later = ValueError("while recording")
    later.__context__ = torch.OutOfMemoryError("no room")
    assert is_out_of_memory(later)
    assert not is_out_of_memory(ValueError())


@needs_gpu
@pytest.mark.parametrize("spec", STAGES, ids=lambda spec: spec.label)
def test_recorded_steps_give_the_same_bits_as_steps_launched_one_by_one(
    monkeypatch: pytest.MonkeyPatch, spec: StageSpec
) -> None:
    place = Place("cuda")
    recorded = place.alone(spec)
    monkeypatch.setattr(ViewSource, "is_resident", False)
    assert same(place.alone(spec), recorded)


@needs_gpu
def test_a_stage_of_the_same_kind_uses_the_recording_again(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place("cuda")
    place.alone(STAGES[1])
    monkeypatch.setattr("tasearch.training.graphs.recorded", None)
    place.alone(STAGES[2])
