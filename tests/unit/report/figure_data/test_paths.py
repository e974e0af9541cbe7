from __future__ import annotations

import pytest

from tasearch.report.figure_data import paths
from tasearch.report.figure_data.paths import PathNode, paths_info
from tasearch.report.view import StudyView
from tests.unit.report.factories import make_view_without_finals
from tests.unit.report.made_stages import make_stage, make_stages

from .small import SMALL, small_view


def small_tree() -> StudyView:
    return small_view(stages=make_stages(SMALL))


def nodes_by_path(view: StudyView) -> dict[tuple[str, ...], PathNode]:
    return {node.path: node for node in paths_info(view).nodes}


def test_every_path_that_was_trained_is_a_node_parents_first() -> None:
    assert [node.path for node in paths_info(small_tree()).nodes] == [
        ("plain10",),
        ("plain10", "plain8"),
        ("plain10", "plain8", "plain4"),
        ("plain10", "plain8", "plain4", "plain2"),
        ("plain10", "plain4"),
        ("plain10", "plain4", "plain2"),
        ("plain10", "plain2"),
    ]


def test_columns_are_the_models_that_occur_largest_first() -> None:
    assert paths_info(small_tree()).columns == ("plain10", "plain8", "plain4", "plain2")


def test_a_node_counts_its_stages_and_the_runs_that_pass() -> None:
    nodes = nodes_by_path(small_tree())
    assert (nodes["plain10", "plain4", "plain2"].stages, nodes["plain10", "plain4"].runs) == (2, 2)
    assert nodes[("plain10",)].runs == 4


def test_runs_of_the_finals_count_too(view: StudyView) -> None:
    root = nodes_by_path(view)[("plain10",)]
    assert root.runs == 18 + 3 * 5


def test_a_node_shows_its_best_stage_with_its_pair() -> None:
    best = nodes_by_path(small_tree())["plain10", "plain4", "plain2"]
    assert (best.best_val_accuracy, best.temperature, best.kd_weight) == (0.72, 8.0, 0.9)


def test_accuracies_of_the_finals_replicates_do_not_count(view: StudyView) -> None:
    searched = {trial.val_accuracy for trial in view.trials}
    students = [node for node in paths_info(view).nodes if node.model == "plain2"]
    assert {node.best_val_accuracy for node in students} <= searched


def test_nodes_stand_between_the_worst_and_the_best_of_their_model() -> None:
    nodes = nodes_by_path(small_tree())
    assert nodes["plain10", "plain2"].standing == 0.0
    assert nodes["plain10", "plain4", "plain2"].standing == 1.0
    assert nodes["plain10", "plain8", "plain4", "plain2"].standing == pytest.approx(0.5)


def test_the_only_node_of_a_model_stands_in_the_middle() -> None:
    assert nodes_by_path(small_tree())["plain10", "plain8"].standing == 0.5


def test_the_student_without_distillation_is_not_in_the_tree() -> None:
    assert ("plain2",) not in nodes_by_path(small_tree())


def test_a_stage_trained_for_calibration_is_a_node_that_no_run_passes() -> None:
    edge = make_stage("edge", "plain6", teacher_fingerprint="teacher", temperature=4.0, kd_weight=0.9, roles=("rung",))
    view = small_view(stages=(*make_stages(SMALL), edge))
    assert nodes_by_path(view)["plain10", "plain6"].runs == 0


def test_of_very_many_paths_the_best_are_shown_with_what_they_stand_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "MOST_PATHS", 1)
    info = paths_info(small_tree())
    assert [node.path for node in info.shown] == [
        ("plain10",),
        ("plain10", "plain4"),
        ("plain10", "plain4", "plain2"),
    ]
    assert info.num_paths == 3


def test_without_stages_the_tree_is_empty() -> None:
    assert paths_info(make_view_without_finals(stages=())).nodes == ()
