from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest

from tasearch.chain.control import Stores
from tasearch.chain.run import StageRunner
from tasearch.domain.errors import ArtifactError, StageFailedError
from tasearch.domain.result import EpochResult, StageResult
from tasearch.domain.spec import Distillation, StageSpec
from tasearch.models.registry import build_model
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.checkpoints import CheckpointStore
from tasearch.stores.engine import parse_storage_url
from tasearch.stores.logit_tables import LogitTables
from tasearch.stores.owner import current_owner
from tasearch.stores.records import open_records
from tasearch.stores.stages import StageState
from tasearch.training.loop import InterruptedStage
from tasearch.training.weights import weights_to_bytes
from tests.factories import CPU, make_dataset, make_recipe, make_stage

DATASET = make_dataset()
TEACHER = make_stage(DATASET, "plain4")
STUDENT = make_stage(DATASET, teacher=TEACHER)


class Watcher:
    """Notes what happens; interrupts after a number of polls."""

    def __init__(self) -> None:
        self.trained: list[str] = []
        self.reused: list[str] = []
        self.epochs: list[int] = []
        self.polls_left: int | None = None

    def poll(self) -> None:
        if self.polls_left is not None:
            self.polls_left -= 1
            if self.polls_left <= 0:
                raise InterruptedStage

    def stage_started(self, spec: StageSpec) -> None:
        self.trained.append(spec.fingerprint)

    def stage_waits(self, spec: StageSpec, owner: str) -> None:
        raise AssertionError("nobody else is there to wait for")

    def epoch_done(self, spec: StageSpec, point: EpochResult) -> None:
        self.epochs.append(point.epoch)

    def stage_left(self, spec: StageSpec) -> None:
        pass

    def stage_ended(self, spec: StageSpec, result: StageResult, *, reused: bool) -> None:
        if reused:
            self.reused.append(spec.fingerprint)


def open_stores(home: Path) -> Stores:
    return Stores(
        stages=open_records(parse_storage_url(f"sqlite:///{home}/studies.db")).stages,
        artifacts=ArtifactStore(str(home / "artifacts")),
        checkpoints=CheckpointStore(home / "checkpoints"),
        tables=LogitTables(home / "cache", 10**8),
    )


def make_runner(stores: Stores, owner: str | None = None) -> tuple[StageRunner, Watcher]:
    watcher = Watcher()
    runner = StageRunner(stores, DATASET, CPU, owner=owner or current_owner(), watcher=watcher, checkpoint_seconds=60.0)
    return runner, watcher


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return open_stores(tmp_path)


def test_a_stage_brings_its_teacher_with_it(stores: Stores) -> None:
    runner, watcher = make_runner(stores)
    runner.run(STUDENT)
    assert watcher.trained == [TEACHER.fingerprint, STUDENT.fingerprint]


def test_a_stage_that_is_there_is_reused_by_any_other_runner(stores: Stores) -> None:
    result = make_runner(stores)[0].run(STUDENT)
    runner, watcher = make_runner(stores)
    assert runner.run(STUDENT) == result
    assert (watcher.trained, watcher.reused) == ([], [STUDENT.fingerprint])


def test_the_table_of_the_epoch_under_way_is_kept_from_eviction_and_no_longer(stores: Stores, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    pins: list[list[str]] = []

    class Looking(Watcher):
        def epoch_done(self, spec: StageSpec, point: EpochResult) -> None:
            if spec == STUDENT:
                pins.append([pin.name.split(".")[0] for pin in cache.glob("*.pin")])

    StageRunner(stores, DATASET, CPU, owner=current_owner(), watcher=Looking(), checkpoint_seconds=60.0).run(STUDENT)
    tables = {table.stem for table in cache.glob("*.table")}
    assert [len(names) for names in pins] == [1] * STUDENT.recipe.epochs
    assert {name for names in pins for name in names} == tables
    assert not list(cache.glob("*.pin"))


def test_stored_teacher_logits_give_the_same_student_as_fresh_ones(tmp_path: Path) -> None:
    """Warm and cold runs are bit-identical, with augmentation on (invariant 4)."""
    warm, cold = tmp_path / "warm", tmp_path / "cold"
    warm.mkdir()
    cold.mkdir()
    runner, _ = make_runner(open_stores(warm))
    runner.run(dataclasses.replace(STUDENT, distillation=_with_temperature(2.0)))
    assert list((warm / "cache").glob("*.table"))
    after_warm = runner.run(STUDENT)
    assert make_runner(open_stores(cold))[0].run(STUDENT).artifact_id == after_warm.artifact_id


def test_a_teacher_has_a_table_for_each_epoch_replicate_and_precision(stores: Stores, tmp_path: Path) -> None:
    runner, _ = make_runner(stores)

    def num_tables(stage: StageSpec) -> int:
        runner.run(stage)
        return len(list((tmp_path / "cache").glob("*.table")))

    epochs = STUDENT.recipe.epochs
    assert num_tables(STUDENT) == epochs > 1
    assert num_tables(dataclasses.replace(STUDENT, replicate=STUDENT.replicate + 1)) == 2 * epochs
    rounded = dataclasses.replace(STUDENT.recipe, precision="bfloat16")
    assert num_tables(dataclasses.replace(STUDENT, recipe=rounded)) == 3 * epochs


def _with_temperature(temperature: float) -> Distillation:
    assert STUDENT.distillation is not None
    return dataclasses.replace(STUDENT.distillation, temperature=temperature)


def test_a_second_stage_of_a_teacher_computes_no_logits(stores: Stores, tmp_path: Path) -> None:
    runner, _ = make_runner(stores)
    runner.run(STUDENT)
    tables = sorted((tmp_path / "cache").glob("*.table"))
    runner.run(dataclasses.replace(STUDENT, distillation=_with_temperature(2.0)))
    assert sorted((tmp_path / "cache").glob("*.table")) == tables


def test_an_interrupted_stage_goes_on_and_ends_bit_identical(stores: Stores, tmp_path: Path) -> None:
    runner, watcher = make_runner(stores)
    runner.run(TEACHER)
    watcher.polls_left = 5
    with pytest.raises(InterruptedStage):
        runner.run(STUDENT)
    resumed = make_runner(stores)[0].run(STUDENT)
    other = tmp_path / "other"
    other.mkdir()
    assert make_runner(open_stores(other))[0].run(STUDENT).artifact_id == resumed.artifact_id


def test_an_interrupted_stage_does_not_start_over(stores: Stores) -> None:
    runner, watcher = make_runner(stores)
    watcher.polls_left = 9
    with pytest.raises(InterruptedStage):
        runner.run(TEACHER)
    later, watcher = make_runner(stores)
    later.run(TEACHER)
    assert watcher.epochs == [2]


def test_the_stage_of_a_dead_process_is_taken_over_at_once(stores: Stores) -> None:
    dead = current_owner().replace(current_owner().split(":")[1], "4194304")
    assert stores.stages.claim(TEACHER, dead, 3600.0) is not None
    runner, watcher = make_runner(stores)
    runner.run(TEACHER)
    assert watcher.trained == [TEACHER.fingerprint]


def test_missing_weights_are_trained_again_and_said(
    stores: Stores, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = make_runner(stores)[0].run(TEACHER).artifact_id
    Path(stores.artifacts.path_of(artifact)).unlink()
    with caplog.at_level(logging.WARNING):
        assert make_runner(stores)[0].run(TEACHER).artifact_id == artifact
    assert "is trained again" in caplog.text


def test_damaged_weights_of_a_teacher_are_trained_again_and_said(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = make_runner(stores)[0].run(TEACHER).artifact_id
    path = Path(stores.artifacts.path_of(artifact))
    path.write_bytes(path.read_bytes()[:-4] + b"\0\1\2\3")
    with caplog.at_level(logging.WARNING):
        make_runner(stores)[0].run(STUDENT)
    assert stores.artifacts.get(artifact)
    assert "is trained again" in caplog.text


def test_a_diverged_stage_fails_again_without_being_trained_again(stores: Stores) -> None:
    wild = make_stage(DATASET, recipe=make_recipe(learning_rate=1e30))
    for trained in (1, 0):
        runner, watcher = make_runner(stores)
        with pytest.raises(StageFailedError, match="diverged in epoch 1"):
            runner.run(wild)
        assert len(watcher.trained) == trained


@pytest.mark.parametrize(
    ("name", "epochs", "said"),
    [
        ("late_running_scale", 2, "had a val accuracy of"),
        ("late_draws", 2, "had a val accuracy of"),
        ("late_draws", 4, "gives logits that differ"),
    ],
)
def test_a_net_that_is_not_what_would_be_stored_fails_for_good_and_leaves_nothing(
    stores: Stores, tmp_path: Path, name: str, epochs: int, said: str
) -> None:
    """All pass the inspection: what they keep outside their state dict comes later. One ends with 100% either way."""
    liar = make_stage(DATASET, f"tests.nets:{name}", recipe=make_recipe(epochs=epochs))
    for trained in (1, 0):
        runner, watcher = make_runner(stores)
        with pytest.raises(StageFailedError, match=f"differs from the trained net: .*{said}"):
            runner.run(liar)
        assert len(watcher.trained) == trained
    row = stores.stages.find(liar.fingerprint)
    assert row is not None
    assert (row.state, row.artifact_id) == (StageState.FAILED, None)
    assert "register_buffer" in str(row.failure)
    assert not [file for file in (tmp_path / "artifacts").rglob("*") if file.is_file()]
    assert not list((tmp_path / "checkpoints").glob("*.checkpoint"))


def test_a_teacher_that_others_have_trained_again_is_not_the_one_in_memory(stores: Stores, tmp_path: Path) -> None:
    runner, _ = make_runner(stores)
    runner.run(STUDENT)
    before = runner.find(TEACHER)
    assert before is not None
    weights = weights_to_bytes(build_model(TEACHER.student, seed=7))
    stores.stages.invalidate(TEACHER.fingerprint, before.artifact_id)
    _complete(stores, before, weights)
    (tmp_path / "elsewhere").mkdir()
    fresh = open_stores(tmp_path / "elsewhere")
    _complete(fresh, before, weights)
    softer = dataclasses.replace(STUDENT, distillation=_with_temperature(2.0))
    assert runner.run(softer).artifact_id == make_runner(fresh)[0].run(softer).artifact_id
    assert runner.test_accuracy(TEACHER) == make_runner(fresh)[0].test_accuracy(TEACHER)


def test_a_stopped_student_begins_anew_where_its_teacher_has_other_weights_by_now(
    stores: Stores, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner, watcher = make_runner(stores)
    before = runner.run(TEACHER)
    watcher.polls_left = 5
    with pytest.raises(InterruptedStage):
        runner.run(STUDENT)
    weights = weights_to_bytes(build_model(TEACHER.student, seed=7))
    stores.stages.invalidate(TEACHER.fingerprint, before.artifact_id)
    _complete(stores, before, weights)
    (tmp_path / "elsewhere").mkdir()
    fresh = open_stores(tmp_path / "elsewhere")
    _complete(fresh, before, weights)
    with caplog.at_level(logging.WARNING):
        continued = make_runner(stores)[0].run(STUDENT)
    assert "the weights of its teacher are not those that had taught it" in caplog.text
    assert continued.artifact_id == make_runner(fresh)[0].run(STUDENT).artifact_id


def _complete(stores: Stores, result: StageResult, weights: bytes) -> None:
    """Record the teacher's stage with these weights, as another worker does."""
    claim = stores.stages.claim(TEACHER, "another worker", 60.0)
    assert claim is not None
    stores.stages.complete(claim, dataclasses.replace(result, artifact_id=stores.artifacts.put(weights)))


def test_test_accuracy_is_measured_on_the_trained_net(stores: Stores) -> None:
    runner, _ = make_runner(stores)
    long = make_stage(DATASET, recipe=make_recipe(epochs=8))
    runner.run(long)
    assert runner.test_accuracy(long) > 0.9


def test_a_given_teacher_is_measured_and_not_trained(stores: Stores, caplog: pytest.LogCaptureFixture) -> None:
    weights = weights_to_bytes(build_model(TEACHER.student, seed=1))
    given = dataclasses.replace(TEACHER, given=stores.artifacts.put(weights))
    runner, watcher = make_runner(stores)
    result = runner.run(make_stage(DATASET, teacher=given))
    teacher = runner.run(given)
    assert (teacher.artifact_id, teacher.curve, watcher.epochs) == (given.given, (), [1, 2])
    assert result.curve
    assert "near chance" in caplog.text


def test_given_weights_that_are_gone_are_asked_for(stores: Stores) -> None:
    with pytest.raises(ArtifactError, match="given weights") as error:
        make_runner(stores)[0].run(dataclasses.replace(TEACHER, given="a" * 64))
    assert "--teacher-checkpoint FILE" in error.value.hint
