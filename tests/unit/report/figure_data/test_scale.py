from __future__ import annotations

from tasearch.report.figure_data.scale import accuracy_range


def test_a_far_reference_does_not_squash_the_points() -> None:
    shown = accuracy_range([0.69, 0.72], [0.84])
    assert not shown.shows(0.84)
    assert shown.high - shown.low < 0.05


def test_a_near_reference_is_inside() -> None:
    assert accuracy_range([0.69, 0.72], [0.68]).shows(0.68)


def test_every_value_is_inside() -> None:
    shown = accuracy_range([0.2, 0.5, 0.9])
    assert all(shown.shows(value) for value in (0.2, 0.5, 0.9))


def test_equal_values_still_span_a_point() -> None:
    shown = accuracy_range([0.7])
    assert shown.high - shown.low >= 0.01
