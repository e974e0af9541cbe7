"""The report as data: the records that the figures are drawn from, as JSON and as CSV tables."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, get_args, get_type_hints

from tasearch.domain.fingerprint import plain
from tasearch.domain.result import Interval, TrialRow
from tasearch.domain.spec import ChainSpec
from tasearch.report.figure_data.capacity import Baseline, CapacityPoint, capacity_info
from tasearch.report.figure_data.cost import ModelCost, cost_info
from tasearch.report.figure_data.curves import Curve, curves_info
from tasearch.report.figure_data.finals import ArmDifference, finals_info
from tasearch.report.figure_data.landscape import Flatness, landscape_info
from tasearch.report.figure_data.models import ModelRow, model_rows
from tasearch.report.figure_data.paths import PathNode, paths_info
from tasearch.report.figure_data.progress import ProgressPoint, progress_info
from tasearch.report.figure_data.response import ResponseCell, response_info
from tasearch.report.landscape import to_json as landscape_json
from tasearch.report.ranking import RankedChain, ranked_chains
from tasearch.report.stages import StageRecord, stage_records
from tasearch.report.view import StudyView, counts, given_line, headline, heuristic_line
from tasearch.search.importance import Importance

SCHEMA = 1
"""Of the JSON file; grows when a key changes its meaning or goes."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins so would be taken for a formula by a spreadsheet."""


def report_json(view: StudyView) -> str:
    """Return everything that the report shows as one JSON object; accuracies and differences are fractions."""
    progress = progress_info(view)
    answer = {
        "schema": SCHEMA,
        "study": {
            "study_name": view.study_name,
            "storage": view.storage,
            "created_at": view.created_at,
            "command": view.command,
            "teacher": view.teacher,
            "student": view.student,
            "ta_capacities": view.ta_capacities,
            "metric": view.metric,
            "dataset": view.dataset,
            "data_remarks": view.data_remarks,
            "data_hash": view.data_hash,
            "num_train": view.num_train,
            "num_val": view.num_val,
            "num_test": view.num_test,
            "epochs": view.epochs,
            "num_trials_planned": view.num_trials_planned,
            "trials": counts(view.trials),
            "environment": view.environment,
            "versions": view.versions,
            "config": view.config,
            "test_opened": view.test_opened,
        },
        "headline": headline(view),
        "heuristic": heuristic_line(view),
        "given_teacher": given_line(view),
        "verdict": view.verdict,
        "models": model_rows(view),
        "latency": view.latency,
        "capacity": capacity_info(view),
        "paths": paths_info(view),
        "finals": finals_info(view),
        "ranking": ranked_chains(view),
        "response": response_info(view),
        "importance": view.importances,
        "progress": progress,
        "curves": curves_info(view),
        "landscape": None if view.landscape is None else landscape_json(landscape_info(view, view.landscape)),
        "cost": cost_info(view),
        "stages": stage_records(view),
    }
    return json.dumps(plain(answer), indent=1, allow_nan=False) + "\n"


def report_tables(view: StudyView) -> Mapping[str, str]:
    """Return CSV tables by name; one that has no rows yet has its header. Accuracies are fractions."""
    capacity, progress = capacity_info(view), progress_info(view)
    flatness = () if view.landscape is None else landscape_info(view, view.landscape).flatness
    best_so_far = sorted((*progress.tas, *progress.blkd), key=lambda point: point.trial_number)
    tables: dict[str, tuple[type, Sequence[Any]]] = {
        "ranking": (RankedChain, ranked_chains(view)),
        "models": (ModelRow, model_rows(view)),
        "capacity": (CapacityPoint, capacity.points),
        "baselines": (Baseline, capacity.baselines),
        "finals": (ArmDifference, finals_info(view)),
        "paths": (PathNode, paths_info(view).nodes),
        "response": (ResponseCell, response_info(view).cells),
        "importance": (Importance, view.importances),
        "trials": (TrialRow, view.trials),
        "best_so_far": (ProgressPoint, best_so_far),
        "curves": (Curve, curves_info(view).curves),
        "landscape": (Flatness, flatness),
        "cost": (ModelCost, cost_info(view).models),
        "stages": (StageRecord, stage_records(view)),
    }
    return {name: _csv(record, rows) for name, (record, rows) in tables.items()}


def _csv(record: type, rows: Sequence[Any]) -> str:
    """Return a table of records of one type; what is nested in them is spread over several columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(record), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(dict(_cells(row)) for row in rows)
    return text.getvalue()


@lru_cache
def _hints(record: Any) -> Mapping[str, Any]:
    return get_type_hints(record)


def _columns(record: type, prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, hint in _hints(record).items():
        nested = _nested(hint)
        if nested is ChainSpec:
            found += _columns(ChainSpec, prefix)
        elif nested is Interval:
            found += _columns(Interval, f"{prefix}{name}_")
        else:
            found.append(f"{prefix}{name}")
    return found


def _nested(hint: Any) -> type | None:
    """Return the record that a field of this type is spread over, be it there or not."""
    return next((one for one in (ChainSpec, Interval) if hint is one or one in get_args(hint)), None)


def _cells(record: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    hints = _hints(record.__class__)
    for field in dataclasses.fields(record):
        name, value = f"{prefix}{field.name}", getattr(record, field.name)
        if isinstance(value, ChainSpec):
            yield from _cells(value, prefix)
        elif isinstance(value, Interval):
            yield from _cells(value, f"{name}_")
        elif _nested(hints[field.name]) is None:
            yield name, _cell(name, value)


def _cell(name: str, value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, tuple):
        text = (" > " if name == "path" else " / ").join(map(str, value))
        return _guarded(text) if all(isinstance(item, str) for item in value) else text
    return _guarded(value) if isinstance(value, str) else value


def _guarded(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
