from __future__ import annotations

import dataclasses

import pytest

from tasearch.domain.gap import GapComparison, GapPoint, GapView, Series, Vary
from tasearch.domain.result import Capacity, Interval
from tasearch.domain.spec import ChainSpec
from tasearch.report.gap import csv_rows, draw_gap, lead, page_of, sentence, to_json
from tasearch.report.single_page import render


def point(series: Series, model: str, tests: tuple[float, ...]) -> GapPoint:
    chain = ChainSpec(path=(model, "plain2"), temperatures=(4.0,), kd_weights=(0.9,))
    mean = sum(tests) / len(tests)
    return GapPoint(
        arm="NOKD plain2" if series is Series.NOKD else chain.label,
        series=series,
        model="plain2" if series is Series.NOKD else model,
        student="plain2",
        chain=None if series is Series.NOKD else chain,
        val_accuracies=tests,
        test_accuracies=tests,
        test=Interval(mean=mean, low=mean - 0.02, high=mean + 0.02, n=len(tests)),
    )


VIEW = GapView(
    study_name="gap",
    vary=Vary.TEACHER,
    teacher="plain10",
    student="plain2",
    dataset="cluttered-digits",
    epochs=10,
    capacities={
        name: Capacity(num_params=size, macs=size)
        for name, size in (("plain2", 10), ("plain4", 100), ("plain10", 1000))
    },
    from_labels={"plain4": 0.7},
    points=(
        point(Series.NOKD, "plain2", (0.6, 0.62)),
        point(Series.BLKD, "plain4", (0.66, 0.68)),
        point(Series.BLKD, "plain10", (0.63, 0.65)),
    ),
    taught_by={"plain4 > plain2 (temperature 4, KD weight 0.9)": 0.7},
    comparisons=(
        GapComparison(arm="a", against="b", difference=Interval(mean=-0.03, low=-0.04, high=-0.02, n=2)),
        GapComparison(arm="a", against="c", difference=Interval(mean=0.01, low=-0.01, high=0.03, n=2)),
    ),
    replicates=(1, 2),
    environment="cpu Test, 1 thread",
    model_notes=(),
    command="tasearch gap --vary teacher",
    versions={"torch": "2.15"},
    test_opened=("2026-11-25T00:00:00+00:00",),
)


def test_the_figure_has_every_replicate_and_every_mean_by_size() -> None:
    replicates, means = draw_gap(VIEW).data
    assert list(replicates.x) == [100, 100, 1000, 1000]
    assert list(replicates.y) == [66.0, 68.0, 63.0, 65.0]
    assert list(means.x) == [100, 1000]
    assert list(means.y) == pytest.approx([67.0, 64.0])
    assert list(means.error_y.arrayminus) == pytest.approx([2.0, 2.0])


def test_what_does_not_vary_is_a_line() -> None:
    (line,) = draw_gap(VIEW).layout.shapes
    assert line.y0 == line.y1 == pytest.approx(61.0)


def test_a_mean_without_interval_has_no_bar() -> None:
    alone = dataclasses.replace(VIEW.points[1], test=Interval(mean=0.66, low=None, high=None, n=1))
    means = draw_gap(dataclasses.replace(VIEW, points=(alone,))).data[1]
    assert (means.error_y.array[0], means.error_y.arrayminus[0]) == (0, 0)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "a minus b: -3.0 [-4.0, -2.0] points, n = 2: separated."),
        (1, "a minus c: +1.0 [-1.0, +3.0] points, n = 2: not separated."),
    ],
)
def test_every_difference_says_whether_it_is_separated(number: int, text: str) -> None:
    assert sentence(VIEW.comparisons[number]) == text


def test_the_lead_names_the_best_on_val_and_counts_what_is_separated() -> None:
    assert lead(VIEW) == (
        "Best on val: plain4 > plain2 (temperature 4, KD weight 0.9), test accuracy 67.0%, n = 2 replicates; "
        "1 of 2 differences separated from zero."
    )


def test_json_repeats_the_sentences() -> None:
    answer = to_json(VIEW)
    assert [found["separated"] for found in answer["comparisons"]] == [True, False]
    assert answer["vary"] == "teacher"


def test_csv_has_a_row_for_each_arm_and_replicate() -> None:
    rows = csv_rows(VIEW)
    assert [(row["model"], row["replicate"], row["test_accuracy"]) for row in rows][:2] == [
        ("plain2", 1, 0.6),
        ("plain2", 2, 0.62),
    ]
    assert len(rows) == 6


def test_names_are_text_on_the_page() -> None:
    view = dataclasses.replace(VIEW, dataset="<script>alert(1)</script>")
    page = render(page_of(view), draw_gap(view))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert 'src="http' not in page
