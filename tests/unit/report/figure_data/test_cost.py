from __future__ import annotations

from dataclasses import replace

import pytest

from tasearch.domain.result import Environment
from tasearch.report.figure_data.cost import CostInfo, cost_info
from tasearch.report.view import StudyView
from tasearch.stores.stage_outcomes import StageDetail
from tasearch.stores.stages import StageState
from tests.unit.report.factories import LADDER, make_view, make_view_without_finals
from tests.unit.report.made_stages import BEGIN, SECONDS, TABLE_SECONDS, make_stage, make_stages

from .small import SMALL, small_view

# SMALL: plain10 > 2; > 4 > 2 at two temperatures, TAs apart; > 8 > 4 > 2. Nothing but the teacher is shared.
EARLY = BEGIN.replace(year=2024)


def cost(view: StudyView) -> CostInfo:
    return cost_info(view)


def small_cost() -> CostInfo:
    return cost(small_view(stages=make_stages(SMALL)))


def test_training_time_is_summed_by_model_largest_first() -> None:
    models = {model.model: (model.stages, model.trained_seconds) for model in small_cost().models}
    assert list(models) == ["plain10", "plain8", "plain4", "plain2"]
    # Two under plain10, whose table the direct student made, and the first one under plain8.
    assert models["plain4"] == (3, 3 * SECONDS["plain4"] + TABLE_SECONDS)
    assert models["plain10"] == (1, SECONDS["plain10"])


def test_a_stage_that_two_chains_share_is_spared_once() -> None:
    again = replace(SMALL[1], number=4, val_accuracy=0.7)
    view = make_view_without_finals(trials=(SMALL[1], again), stages=make_stages(SMALL[1:2]))
    spared = {model.model: model.reused_seconds for model in cost(view).models}
    assert spared["plain4"] == SECONDS["plain4"] + TABLE_SECONDS
    assert spared["plain10"] == 0.0


def test_a_stage_from_before_the_study_is_spared_and_not_trained() -> None:
    stages = tuple(
        replace(stage, finished_at=EARLY) if stage.student == "plain8" else stage for stage in make_stages(SMALL)
    )
    model = next(model for model in cost(small_view(stages=stages)).models if model.model == "plain8")
    assert (model.stages, model.trained_seconds, model.reused_seconds) == (0, 0.0, SECONDS["plain8"])


def test_a_stage_that_no_run_used_is_neither_spared_nor_owed() -> None:
    edge = make_stage("edge", "plain6", teacher_fingerprint="teacher", roles=("rung",))
    found = cost(small_view(stages=(*make_stages(SMALL), edge)))
    assert next(model for model in found.models if model.model == "plain6").reused_seconds == 0.0


def taught(number: int, student: str, seconds: float, **changes: object) -> StageDetail:
    return make_stage(f"s{number}", student, teacher_fingerprint="teacher", seconds=seconds, **changes)


def test_the_forward_pass_is_the_first_stage_minus_later_ones_of_its_model() -> None:
    teacher = make_stage("teacher", "plain10", roles=("teacher",))
    stages = (teacher, taught(1, "plain2", 7.0), taught(2, "plain2", 2.0), taught(3, "plain2", 3.0))
    found = cost(make_view_without_finals(trials=(), stages=stages))
    assert found.table_seconds == pytest.approx(2 * (7.0 - 2.5))
    assert (found.num_tables_measured, found.num_tables) == (1, 1)


def test_the_forward_pass_of_other_teachers_is_scaled_by_macs() -> None:
    teacher = make_stage("teacher", "plain10", roles=("teacher",))
    stages = (
        teacher,
        taught(1, "plain2", 7.0),
        taught(2, "plain2", 2.0),
        taught(3, "plain6", 12.0),
        make_stage("a", "plain4", teacher_fingerprint="s3"),
        make_stage("b", "plain2", teacher_fingerprint="s3"),
    )
    found = {model.model: model.table_seconds for model in cost(
        make_view_without_finals(trials=(), stages=stages)).models}  # fmt: skip
    per_mac = 5.0 / make_view().teacher.capacity.macs
    assert found["plain6"] == pytest.approx(per_mac * LADDER["plain6"].macs)
    assert found["plain10"] == pytest.approx(2 * 5.0)


def test_tables_of_another_machine_are_others() -> None:
    elsewhere = Environment(device="cpu Other", threads=1, torch_version="2.15", instruction_set="AVX2")
    stages = (
        make_stage("teacher", "plain10", roles=("teacher",)),
        taught(1, "plain2", 7.0),
        taught(2, "plain2", 2.0, environment=elsewhere),
    )
    assert cost(make_view_without_finals(trials=(), stages=stages)).table_seconds is None


def test_a_later_stage_that_happened_to_take_longer_saves_nothing() -> None:
    stages = (
        make_stage("teacher", "plain10", roles=("teacher",)),
        taught(1, "plain2", 2.0),
        taught(2, "plain2", 3.0),
    )
    assert cost(make_view_without_finals(trials=(), stages=stages)).table_seconds == 0.0


def test_failures_and_interruptions_are_counted(view: StudyView) -> None:
    stages = (
        *view.stages,
        make_stage("broken", "plain4", state=StageState.FAILED, seconds=None, failure="diverged"),
        make_stage("resumed", "plain4", attempts=3),
    )
    found = cost(make_view(stages=stages))
    assert (found.failed_trials, found.pruned_trials, found.retries) == (1, 1, 2)
    assert (found.failed_stages, found.taken_over) == (1, 2)


def test_a_study_without_stages_cost_nothing() -> None:
    found = cost(make_view_without_finals(trials=(), stages=()))
    assert (found.models, found.trained_seconds, found.table_seconds) == ((), 0, None)
