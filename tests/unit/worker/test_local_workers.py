from __future__ import annotations

import pytest
import torch

from tasearch.config.settings import Settings
from tasearch.worker import local_workers
from tasearch.worker.local_workers import num_threads, num_workers

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_workers, "_cores", lambda: 8)


def settings(**changes: object) -> Settings:
    return Settings(teacher="plain10", student="plain2", **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "device", "workers"),
    [
        ({}, CPU, 1),
        ({"workers": "3"}, CPU, 3),
        ({"workers": "auto"}, CPU, 8),
        ({"workers": "auto", "threads": 3}, CPU, 2),
        ({"workers": "auto", "threads": 20}, CPU, 1),
        ({"workers": "auto"}, GPU, 1),
    ],
    ids=str,
)
def test_auto_is_a_worker_per_core_on_a_cpu(changes: dict[str, object], device: torch.device, workers: int) -> None:
    assert num_workers(settings(**changes), device) == workers


@pytest.mark.parametrize(
    ("changes", "workers", "threads"), [({}, 1, 8), ({}, 3, 2), ({}, 20, 1), ({"threads": 5}, 2, 5)], ids=str
)
def test_workers_share_the_cores_evenly(changes: dict[str, object], workers: int, threads: int) -> None:
    assert num_threads(settings(**changes), workers) == threads
