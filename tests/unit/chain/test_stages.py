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
