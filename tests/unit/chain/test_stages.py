from __future__ import annotations

import dataclasses

import pytest

from tasearch.chain.stages import StagePlanner
from tasearch.domain.spec import ChainSpec
from tests.factories import make_dataset, make_recipe

PLANNER = StagePlanner(teacher="plain10", data=make_dataset().spec, recipe=make_recipe(), numerics_version=1)


def chain(*tas: str, temperature: float = 4.0) -> ChainSpec:
    count = len(tas) + 1
    return ChainSpec(path=("plain10", *tas, "plain2"), temperatures=(temperature,) * count, kd_weights=(0.9,) * count)


def test_each_stage_is_taught_by_the_one_before() -> None:
    first, second, third = PLANNER.chain(chain("plain6", "plain4"))
    assert first.distillation is not None
    assert second.distillation is not None
    assert third.distillation is not None
    assert first.distillation.teacher == PLANNER.teacher_stage
    assert second.distillation.teacher == first
    assert third.distillation.teacher == second


def test_chains_with_a_common_prefix_share_its_stages() -> None:
    short, long = PLANNER.chain(chain("plain6")), PLANNER.chain(chain("plain6", "plain4"))
    assert short[0].fingerprint == long[0].fingerprint


def test_the_same_model_under_another_teacher_is_another_stage() -> None:
    direct, indirect = PLANNER.chain(chain("plain4")), PLANNER.chain(chain("plain6", "plain4"))
    assert direct[0].student == indirect[1].student
    assert direct[0].fingerprint != indirect[1].fingerprint


@pytest.mark.parametrize("replicate", [1, 7])
def test_a_fresh_replicate_retrains_the_chain_under_the_given_teacher(replicate: int) -> None:
    stages = PLANNER.chain(chain("plain4"), replicate)
    assert [stage.replicate for stage in stages] == [replicate, replicate]
    assert stages[0].distillation is not None
    assert stages[0].distillation.teacher.replicate == 0


def test_the_models_take_the_shape_of_the_data() -> None:
    model = PLANNER.model("plain4")
    assert (model.in_channels, model.image_size, model.num_classes) == (1, 8, 4)


def test_a_ta_from_scratch_is_taught_by_nobody_and_teaches() -> None:
    ta, student = PLANNER.chain(dataclasses.replace(chain("plain4"), ta_from="scratch"), 3)
    assert ta == PLANNER.from_labels("plain4", 3)
    assert student.distillation is not None
    assert student.distillation.teacher == ta


def test_a_given_teacher_is_its_weights_whatever_replicate_asks() -> None:
    planner = dataclasses.replace(PLANNER, teacher_weights="a" * 64)
    assert planner.teacher_stage.given == "a" * 64
    assert planner.from_labels("plain10", 5) == planner.teacher_stage
    assert planner.teacher_stage.fingerprint != PLANNER.teacher_stage.fingerprint
    assert planner.from_labels("plain2") == PLANNER.from_labels("plain2")


def test_students_of_different_given_teachers_are_different_stages() -> None:
    first, second = (dataclasses.replace(PLANNER, teacher_weights=letter * 64) for letter in "ab")
    assert first.chain(chain())[-1].fingerprint != second.chain(chain())[-1].fingerprint


def test_a_net_that_is_more_than_its_name_is_what_the_planner_knows_of_it() -> None:
    model = dataclasses.replace(PLANNER.model("nets:small"), code="c" * 64)
    planner = dataclasses.replace(PLANNER, models={"nets:small": model})
    assert planner.from_labels("nets:small").student == model
