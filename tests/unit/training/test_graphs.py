from __future__ import annotations

import dataclasses

import pytest
import torch

from tasearch.data.views import ViewSource, batch_order, channel_statistics
from tasearch.domain.spec import StageSpec
from tasearch.training.graphs import kind_of
from tasearch.training.student import Student
from tests.factories import CPU, make_dataset, make_recipe, make_stage

DATASET = make_dataset()
TEACHER = make_stage(DATASET, "plain4")
TAUGHT = make_stage(DATASET, teacher=TEACHER)
SCHEDULED = make_recipe(epochs=9, learning_rate=0.3, schedule="step", warmup=0.0, initial_weights="uniform")


@pytest.mark.parametrize(
    "other",
    [
        make_stage(DATASET, teacher=TEACHER, temperature=2.0, kd_weight=0.1),
        make_stage(DATASET, teacher=make_stage(DATASET, "resnet20"), replicate=7),
        make_stage(DATASET, teacher=TEACHER, recipe=SCHEDULED),
    ],
    ids=["temperature and KD weight", "teacher and replicate", "schedule"],
)
def test_stages_of_one_architecture_and_recipe_share_recordings(other: StageSpec) -> None:
    assert kind_of(other) == kind_of(TAUGHT)


@pytest.mark.parametrize(
    "other",
    [
        make_stage(DATASET),
        make_stage(DATASET, "plain4", teacher=TEACHER),
        make_stage(DATASET, teacher=TEACHER, recipe=make_recipe(batch_size=8)),
        make_stage(DATASET, teacher=TEACHER, recipe=make_recipe(precision="bfloat16")),
        make_stage(DATASET, teacher=TEACHER, recipe=make_recipe(weight_decay=0.0)),
        make_stage(make_dataset(num_train=64), teacher=TEACHER),
    ],
    ids=["labels", "architecture", "batch", "precision", "weight decay", "data"],
)
def test_what_a_step_depends_on_is_recorded_anew(other: StageSpec) -> None:
    assert kind_of(other) != kind_of(TAUGHT)


def run(student: Student, spec: StageSpec) -> dict[str, torch.Tensor]:
    source = ViewSource(DATASET.train, spec.data, channel_statistics(DATASET.train), CPU)
    order = batch_order(source.num_samples, spec.replicate, 1)
    table = torch.zeros(source.num_samples, spec.data.num_classes)
    for _ in student.steps(list(order.view(-1, 16)), source.views(spec.replicate, 1), source.labels, table, [0.05] * 6):
        pass
    return {name: tensor.clone() for name, tensor in student.net.state_dict().items()}


def test_a_student_that_begins_another_stage_is_as_a_new_one() -> None:
    other = dataclasses.replace(make_stage(DATASET, teacher=TEACHER, temperature=2.0), replicate=3)
    used = Student(TAUGHT, CPU)
    run(used, TAUGHT)
    used.begin(other)
    found, expected = run(used, other), run(Student(other, CPU), other)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
