from __future__ import annotations

from dataclasses import replace

from tasearch.report.figure_data.response import ResponseCell, response_info
from tests.unit.report.factories import make_chain, make_trial, make_view_without_finals

from .small import small_view


def test_a_cell_holds_the_best_and_the_mean_of_its_chains() -> None:
    rows = [
        make_trial(number, make_chain("plain10", ta, "plain2", temperature=4.0, kd_weight=0.9), accuracy)
        for number, (ta, accuracy) in enumerate((("plain4", 0.70), ("plain6", 0.72)))
    ]
    assert response_info(make_view_without_finals(trials=tuple(rows))).cells == (
        ResponseCell(
            num_tas=1, temperature=4.0, kd_weight=0.9, chains=2, best_val_accuracy=0.72, mean_val_accuracy=0.71
        ),
    )


def test_axes_hold_what_was_tried() -> None:
    info = response_info(small_view())
    assert (info.temperatures, info.kd_weights, info.nums_tas) == ((4.0, 8.0), (0.9,), (0, 1, 2))


def test_the_pair_is_that_of_the_students_stage() -> None:
    chain = replace(make_chain("plain10", "plain4", "plain2"), temperatures=(16.0, 2.0), kd_weights=(1.0, 0.5))
    cell = response_info(make_view_without_finals(trials=(make_trial(0, chain, 0.7),))).cells[0]
    assert (cell.temperature, cell.kd_weight) == (2.0, 0.5)
