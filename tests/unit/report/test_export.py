from __future__ import annotations

import csv
import io
import json
from typing import Any, cast

import pytest

from tasearch.report.export import SCHEMA, report_json, report_tables
from tasearch.report.figure_data.capacity import capacity_info
from tasearch.report.figure_data.paths import paths_info
from tasearch.report.view import StudyView

from .factories import make_chain, make_trial, make_view, make_view_without_finals


def answer(view: StudyView) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(report_json(view)))


def table(view: StudyView, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(report_tables(view)[name])))


def test_json_holds_every_part_of_the_report(view: StudyView) -> None:
    assert list(answer(view)) == [
        *("schema", "study", "headline", "heuristic", "given_teacher", "verdict", "models", "latency"),
        *("capacity", "paths", "finals", "ranking"),
        *("response", "importance", "progress", "curves", "landscape", "cost", "stages"),
    ]
    assert answer(view)["schema"] == SCHEMA


def test_json_holds_the_points_of_the_figures(view: StudyView) -> None:
    points = answer(view)["capacity"]["points"]
    assert [point["val_accuracy"] for point in points] == [point.val_accuracy for point in capacity_info(view).points]


def test_tables_hold_a_row_for_each_record(view: StudyView) -> None:
    assert len(table(view, "ranking")) == len(view.ranking)
    assert len(table(view, "capacity")) == len(capacity_info(view).points)
    assert len(table(view, "paths")) == len(paths_info(view).nodes)
    assert len(table(view, "stages")) == len(view.stages)
    assert len(table(view, "trials")) == len(view.trials)


def test_a_chain_and_an_interval_are_spread_over_columns(view: StudyView) -> None:
    row = next(row for row in table(view, "ranking") if row["test_mean"])
    chain = next(chain for chain in view.ranking if chain.rank == int(row["rank"]))
    assert row["path"] == chain.chain.printed_path
    assert (row["temperatures"], row["test_n"]) == (" / ".join(map(str, chain.chain.temperatures)), "5")
    assert chain.test is not None
    assert float(row["test_mean"]) == pytest.approx(chain.test.test_accuracy)


def test_what_is_not_known_is_an_empty_cell(view: StudyView) -> None:
    row = next(row for row in table(view, "ranking") if not row["test_mean"])
    assert row["versus_blkd_mean"] == ""


def test_a_spreadsheet_takes_no_name_for_a_formula() -> None:
    chain = make_chain("=1+1", "plain4", "plain2")
    rows = table(make_view_without_finals(trials=(make_trial(0, chain, 0.7),)), "ranking")
    assert rows[0]["path"] == "'=1+1 > plain4 > plain2"


@pytest.mark.parametrize("name", ["ranking", "finals", "paths", "stages", "importance"])
def test_a_study_without_trials_has_tables_of_a_header(name: str) -> None:
    tables = report_tables(make_view_without_finals(trials=(), stages=(), importances=()))
    assert len(tables[name].splitlines()) == 1


@pytest.mark.parametrize("name", ["ranking", "finals", "trials", "curves"])
def test_the_columns_of_a_table_do_not_depend_on_its_rows(view: StudyView, name: str) -> None:
    empty = report_tables(make_view_without_finals(trials=(), stages=(), importances=()))
    assert report_tables(view)[name].splitlines()[0] == empty[name].splitlines()[0]


def test_a_study_without_trials_is_valid_json() -> None:
    assert answer(make_view_without_finals(trials=(), stages=(), importances=()))["ranking"] == []


def test_json_is_the_same_each_time() -> None:
    assert report_json(make_view()) == report_json(make_view())


def test_models_are_a_table_with_capacity_latency_and_accuracy(view: StudyView) -> None:
    teacher, *_ = table(view, "models")
    assert (teacher["model"], teacher["role"], teacher["num_params"]) == ("plain10", "teacher", "2487850")
    assert (teacher["latency_1"], teacher["latency_64"]) == ("0.002", "0.128")
