"""Latencies of a study: measured once in each place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tasearch.config.settings import Settings
from tasearch.domain.latency import LatencyTable, latency_tables
from tasearch.stores.engine import parse_storage_url
from tasearch.stores.records import Records, open_records
from tasearch.worker import latency
from tasearch.worker.latency import measure_latencies
from tasearch.worker.progress import Silent
from tasearch.worker.signals import StopFlag
from tasearch.worker.study_plan import StudyPlan, build_plan
from tests.factories import CPU, make_dataset


@pytest.fixture
def plan() -> StudyPlan:
    values: dict[str, Any] = {"teacher": "plain4", "student": "plain2", "dataset": "cifar10", "study_name": "study"}
    return build_plan(Settings(**values), make_dataset())


@pytest.fixture
def records(tmp_path: Path, plan: StudyPlan) -> Records:
    records = open_records(parse_storage_url(f"sqlite:///{tmp_path / 'studies.db'}"))
    assert records.studies.create("study", plan.identity, {}, {})
    return records


def stored(records: Records) -> list[LatencyTable]:
    study = records.studies.find("study")
    assert study is not None
    return latency_tables(study.attrs)


def measure(records: Records, plan: StudyPlan) -> None:
    measure_latencies(records, plan, CPU, Silent(), StopFlag())


def test_every_model_of_the_study_is_measured_once(
    records: Records, plan: StudyPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(records, plan)
    (table,) = stored(records)
    assert set(table.models) == {"plain4", "plain2"}
    monkeypatch.delattr(latency, "latencies")
    measure(records, plan)
    assert stored(records) == [table]


def test_another_number_of_threads_is_another_place_and_the_last_asked_for_stands_last(
    records: Records, plan: StudyPlan
) -> None:
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 1):
            torch.set_num_threads(count)
            measure(records, plan)
    finally:
        torch.set_num_threads(threads)
    assert [table.threads for table in stored(records)] == [2, 1]
