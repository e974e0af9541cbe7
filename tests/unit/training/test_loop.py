from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tasearch.data.views import ViewSource, batch_order, channel_statistics
from tasearch.domain.errors import StageFailedError
from tasearch.domain.randomness import seed_for
from tasearch.domain.result import EpochResult
from tasearch.domain.spec import StageSpec
from tasearch.models.registry import build_model
from tasearch.training import loop
from tasearch.training.device import environment
from tasearch.training.evaluate import logits_table
from tasearch.training.loop import InterruptedStage, StageData, StageRun, Trained, fit, steps_per_epoch
from tasearch.training.weights import Checkpoint, load_weights
from tests.factories import CPU, make_dataset, make_recipe, make_stage

DATASET = make_dataset()
PLAIN = make_stage(DATASET)
TAUGHT = make_stage(DATASET, teacher=make_stage(DATASET, "plain4"))
ADAMW = make_stage(DATASET, recipe=make_recipe(optimizer="adamw", learning_rate=0.01))
DROPS_OUT = make_stage(DATASET, "tests.nets:small", teacher=make_stage(DATASET, "plain4"))


class Recorder:
    """Keeps what the loop says; stops it after a number of ticks."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.ticks = 0
        self.points: list[EpochResult] = []
        self.saved: list[bytes] = []
        self.stop_after = stop_after

    def tick(self) -> None:
        self.ticks += 1
        if self.ticks == self.stop_after:
            raise InterruptedStage

    def epoch_done(self, point: EpochResult) -> None:
        self.points.append(point)

    def save(self, checkpoint: bytes) -> None:
        self.saved.append(checkpoint)


def data_of(spec: StageSpec) -> StageData:
    statistics = channel_statistics(DATASET.train)
    return StageData(
        train=ViewSource(DATASET.train, spec.data, statistics, CPU),
        val=ViewSource(DATASET.val, spec.data, statistics, CPU),
    )


def teacher_logits(epoch: int) -> Tensor:
    net = build_model(make_stage(DATASET, "plain4").student, seed=5)
    return logits_table(net, data_of(TAUGHT).train.views(0, epoch), precision="float32", tick=lambda: None)


def train(spec: StageSpec, recorder: Recorder | None = None, checkpoint: bytes | None = None) -> Trained:
    return fit(
        spec,
        data_of(spec),
        CPU,
        recorder or Recorder(),
        teacher_logits=teacher_logits if spec.distillation else None,
        checkpoint=checkpoint,
    )


def digest(trained: Trained) -> str:
    return hashlib.sha256(trained.weights).hexdigest()


def with_recipe(**changes: object) -> StageSpec:
    return dataclasses.replace(PLAIN, recipe=make_recipe(**changes))


def test_the_student_learns() -> None:
    assert train(with_recipe(epochs=8)).curve[-1].val_accuracy > 0.9


def test_the_same_stage_gives_the_same_bits() -> None:
    assert digest(train(TAUGHT)) == digest(train(TAUGHT))


def test_the_ambient_generator_has_no_say_and_is_left_alone() -> None:
    first = digest(train(TAUGHT))
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert digest(train(TAUGHT)) == first
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_draws_from_the_replicate_and_leaves_the_ambient_generator_alone() -> None:
    first = digest(train(DROPS_OUT))
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert digest(train(DROPS_OUT)) == first
    assert torch.equal(torch.get_rng_state(), before)
    assert digest(train(dataclasses.replace(DROPS_OUT, replicate=1))) != first


def test_adamw_learns() -> None:
    assert (
        train(dataclasses.replace(ADAMW, recipe=make_recipe(optimizer="adamw", epochs=8, learning_rate=0.01)))
        .curve[-1]
        .val_accuracy
        > 0.9
    )


@pytest.mark.parametrize("stop_after", [1, 4, 6, 7, 8, 13])
@pytest.mark.parametrize("spec", [PLAIN, TAUGHT, ADAMW, DROPS_OUT], ids=["labels", "taught", "adamw", "dropout"])
def test_a_stopped_stage_ends_bit_identical(spec: StageSpec, stop_after: int) -> None:
    recorder = Recorder(stop_after)
    with pytest.raises(InterruptedStage):
        train(spec, recorder)
    resumed = train(spec, checkpoint=recorder.saved[-1])
    whole = train(spec)
    assert digest(resumed) == digest(whole)
    assert resumed.curve == whole.curve


def test_a_stage_stopped_twice_ends_bit_identical() -> None:
    first, second = Recorder(3), Recorder(5)
    with pytest.raises(InterruptedStage):
        train(TAUGHT, first)
    with pytest.raises(InterruptedStage):
        train(TAUGHT, second, first.saved[-1])
    assert digest(train(TAUGHT, checkpoint=second.saved[-1])) == digest(train(TAUGHT))


def test_a_checkpoint_is_saved_as_often_as_asked() -> None:
    recorder = Recorder()
    fit(PLAIN, data_of(PLAIN), CPU, recorder, checkpoint_seconds=1e-9)
    assert len(recorder.saved) == 2 * steps_per_epoch(96, 16)


def test_every_epoch_is_reported_with_its_val_accuracy() -> None:
    recorder = Recorder()
    trained = train(with_recipe(epochs=3), recorder)
    assert [point.epoch for point in recorder.points] == [1, 2, 3]
    assert trained.curve == tuple(recorder.points)


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 3},
        {"batch_size": 32},
        {"learning_rate": 0.01},
        {"schedule": "constant"},
        {"schedule": "step"},
        {"momentum": 0.5},
        {"weight_decay": 0.1},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_every_part_of_the_recipe_changes_the_result(changes: dict[str, object]) -> None:
    assert digest(train(with_recipe(**changes))) != digest(train(PLAIN))


@pytest.mark.parametrize("changes", [{"temperature": 8.0}, {"kd_weight": 0.5}], ids=str)
def test_temperature_and_weight_change_the_result(changes: dict[str, float]) -> None:
    other = make_stage(DATASET, teacher=make_stage(DATASET, "plain4"), **changes)  # type: ignore[arg-type]
    assert digest(train(other)) != digest(train(TAUGHT))


def test_another_replicate_is_another_run() -> None:
    assert digest(train(dataclasses.replace(PLAIN, replicate=1))) != digest(train(PLAIN))


def test_weight_zero_trains_exactly_as_without_a_teacher() -> None:
    unheard = make_stage(DATASET, teacher=make_stage(DATASET, "plain4"), kd_weight=0.0)
    assert digest(train(unheard)) == digest(train(PLAIN))


def test_a_diverged_loss_names_stage_epoch_and_learning_rate() -> None:
    with pytest.raises(StageFailedError, match=r"plain2 from labels.* epoch 1.*learning rate 1e\+30"):
        train(with_recipe(learning_rate=1e30))


def test_a_diverged_loss_under_a_teacher_names_temperature_and_weight() -> None:
    """At this temperature the softened logits overflow."""
    cold = make_stage(DATASET, teacher=make_stage(DATASET, "plain4"), temperature=1e-42)
    with pytest.raises(StageFailedError, match=r"temperature 1e-42, KD weight 0\.9.* epoch 1: the loss is nan"):
        train(cold)


def test_weights_that_break_in_the_last_step_fail_the_stage() -> None:
    """The loss of a step is that of the weights before it: here the only step of the stage is the first."""
    wild = with_recipe(epochs=1, batch_size=96, learning_rate=1e30, weight_decay=1e30, schedule="constant")
    with pytest.raises(StageFailedError, match=r"epoch 1: a weight is not finite \(learning rate 1e\+30"):
        train(wild)


def test_a_mask_that_a_net_begins_with_is_no_divergence() -> None:
    assert len(train(make_stage(DATASET, "tests.nets:masked")).curve) > 0


def test_a_diverged_stage_is_not_saved_as_a_checkpoint() -> None:
    recorder = Recorder()
    with pytest.raises(StageFailedError):
        fit(with_recipe(learning_rate=1e30), data_of(PLAIN), CPU, recorder, checkpoint_seconds=1e-9)
    assert len(recorder.saved) < steps_per_epoch(96, 16)
    assert all(_is_finite(checkpoint) for checkpoint in recorder.saved)


def _is_finite(checkpoint: bytes) -> bool:
    tensors = Checkpoint.from_bytes(checkpoint).tensors
    return all(bool(tensor.isfinite().all()) for name, tensor in tensors.items() if name.startswith("net."))


def test_val_can_be_stopped_between_blocks() -> None:
    """Six steps, then the only block of val."""
    recorder = Recorder(7)
    with pytest.raises(InterruptedStage):
        train(PLAIN, recorder)
    assert recorder.points == []


def test_the_net_rebuilt_from_the_weights_is_measured_under_the_same_control() -> None:
    """Twice six steps and a block of val, then the block of the net that was rebuilt; it can be stopped there too."""
    whole, stopped, resumed = Recorder(), Recorder(17), Recorder()
    expected = train(PLAIN, whole)
    with pytest.raises(InterruptedStage):
        train(PLAIN, stopped)
    after = train(PLAIN, resumed, stopped.saved[-1])
    assert (digest(after), after.curve) == (digest(expected), expected.curve)
    assert (whole.ticks, resumed.ticks, len(stopped.points), resumed.points) == (18, 2, 2, [])


def test_a_resumed_stage_cannot_hide_that_its_net_is_another_one() -> None:
    liar, stopped = make_stage(DATASET, "tests.nets:late_draws"), Recorder(2 * 8 + 1)
    with pytest.raises(InterruptedStage):
        train(liar, stopped)
    with pytest.raises(StageFailedError, match="the net rebuilt from the stored weights differs from the trained net"):
        train(liar, checkpoint=stopped.saved[-1])


def test_a_stage_continued_in_another_environment_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    here, recorder = environment(CPU), Recorder(5)
    with pytest.raises(InterruptedStage):
        train(PLAIN, recorder)
    there = dataclasses.replace(here, threads=here.threads + 1)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "environment", lambda _device: there)
        twice = Recorder(3)
        with pytest.raises(InterruptedStage):
            train(PLAIN, twice, recorder.saved[-1])
        assert train(PLAIN, checkpoint=recorder.saved[-1]).environment == dataclasses.replace(there, earlier=(here,))
    assert train(PLAIN, checkpoint=twice.saved[-1]).environment == dataclasses.replace(here, earlier=(there,))
    assert train(PLAIN, checkpoint=recorder.saved[-1]).environment == here


def test_a_teacher_without_logits_is_refused() -> None:
    with pytest.raises(ValueError, match="needs its logits"):
        fit(TAUGHT, data_of(TAUGHT), CPU, Recorder())


def test_weights_load_into_a_net_of_the_same_model() -> None:
    net = build_model(PLAIN.student, seed=0)
    load_weights(net, train(PLAIN).weights)
    assert all(torch.isfinite(tensor).all() for tensor in net.state_dict().values())


@pytest.mark.parametrize(("num_train", "steps"), [(96, 6), (95, 5), (10, 1)])
def test_an_epoch_is_its_full_batches(num_train: int, steps: int) -> None:
    assert steps_per_epoch(num_train, 16) == steps


def test_plain_momentum_is_torchs_sgd_with_decay_on_everything() -> None:
    """One epoch beside a loop written out: no Nesterov, no warm-up, weight decay on biases and batch norms too."""
    changes = {"nesterov": False, "warmup": 0.0, "decayed": "all", "schedule": "constant", "weight_decay": 0.1}
    spec = with_recipe(epochs=1, learning_rate=0.01, **changes)
    ours = build_model(spec.student, seed=0)
    load_weights(ours, train(spec).weights)
    net = build_model(spec.student, seed_for(0, "init plain2")).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1)
    source = data_of(spec).train
    views = source.views(0, 1)
    for indices in batch_order(96, 0, 1).view(-1, 16):
        optimizer.zero_grad()
        F.cross_entropy(net(views.batch(indices)), source.labels[indices]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    for found, expected in zip(ours.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("stop_after", range(6, 16))
def test_an_epoch_whose_telling_lags_behind_is_told_after_a_stop(
    monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    """As on a GPU, where the outcome of an epoch is waited for once steps of the next are queued."""
    lagging = StageRun.__init__

    def begin(run: StageRun, *arguments: Any) -> None:
        monkeypatch.setattr(StageRun, "_resume", late)
        lagging(run, *arguments)
        run._lag = 3

    resume = StageRun._resume

    def late(run: StageRun, checkpoint: Checkpoint) -> None:
        run._lag = 3
        resume(run, checkpoint)

    monkeypatch.setattr(StageRun, "__init__", begin)
    stopped, resumed = Recorder(stop_after), Recorder()
    with pytest.raises(InterruptedStage):
        fit(PLAIN, data_of(PLAIN), CPU, stopped)
    fit(PLAIN, data_of(PLAIN), CPU, resumed, checkpoint=stopped.saved[-1])
    told = {point.epoch for point in (*stopped.points, *resumed.points)}
    assert told == set(range(1, PLAIN.recipe.epochs + 1))
