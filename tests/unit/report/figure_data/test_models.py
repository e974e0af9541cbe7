from __future__ import annotations

from dataclasses import replace

from tasearch.report.figure_data.models import model_rows
from tasearch.report.view import StudyView
from tests.unit.report.factories import LATENCY


def test_models_are_sorted_by_size_with_their_roles(view: StudyView) -> None:
    assert [(row.model, row.role) for row in model_rows(view)] == [
        ("plain10", "teacher"),
        ("plain8", "TA"),
        ("plain6", "TA"),
        ("plain4", "TA"),
        ("plain2", "student"),
    ]


def test_latency_stands_beside_capacity_and_accuracy(view: StudyView) -> None:
    teacher = model_rows(view)[0]
    assert (teacher.latency_1, teacher.latency_64) == (0.002, 0.128)
    assert (teacher.runs_1, teacher.runs_64) == (50, 50)
    assert (teacher.from_labels, teacher.distilled) == (view.teacher.val_accuracy, None)


def test_the_student_has_the_best_it_was_taught(view: StudyView) -> None:
    student = model_rows(view)[-1]
    assert student.from_labels == view.student.val_accuracy
    assert student.distilled is not None
    assert student.distilled >= view.ranking[0].val_accuracy


def test_what_was_not_measured_is_missing(view: StudyView) -> None:
    assert {row.latency_1 for row in model_rows(replace(view, latency=None))} == {None}
    alone = replace(LATENCY, models={name: timings[:1] for name, timings in LATENCY.models.items()})
    assert {row.latency_64 for row in model_rows(replace(view, latency=alone))} == {None}
