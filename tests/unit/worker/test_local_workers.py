from __future__ import annotations

import pytest
import torch

from tasearch.config.settings import Settings
from tasearch.worker import local_workers
from tasearch.worker.gpus import VISIBLE
from tasearch.worker.local_workers import LocalWorkers, num_threads, num_workers
from tests.unit.worker.pinned_worker import say_gpu

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
    ],
    ids=str,
)
def test_auto_is_a_worker_per_core_on_a_cpu(changes: dict[str, object], device: torch.device, workers: int) -> None:
    assert num_workers(settings(**changes), device) == workers


def test_auto_is_workers_per_gpu_on_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert num_workers(settings(workers="auto"), GPU) == 3
    assert num_workers(settings(workers="auto", workers_per_gpu=2), GPU) == 6


@pytest.mark.parametrize(
    ("changes", "workers", "threads"), [({}, 1, 8), ({}, 3, 2), ({}, 20, 1), ({"threads": 5}, 2, 5)], ids=str
)
def test_workers_share_the_cores_evenly(changes: dict[str, object], workers: int, threads: int) -> None:
    assert num_threads(settings(**changes), workers) == threads


class Heard:
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def refresh(self, snapshot: object) -> None:
        """Nothing."""

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(
    ("visible", "asked", "seen"),
    [
        ("7,GPU-8f2c,4", {"gpus": "1,2"}, ["4"]),
        pytest.param("7,4", {"workers_per_gpu": 2}, ["4", "7", "4"], marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_each_process_sees_its_gpu_alone(
    monkeypatch: pytest.MonkeyPatch, visible: str, asked: dict[str, object], seen: list[str]
) -> None:
    monkeypatch.setenv(VISIBLE, visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(visible.split(",")))
    monkeypatch.setattr(local_workers, "resolve_device", lambda _name: GPU)
    heard, here = Heard(), settings(**asked)
    with LocalWorkers(say_gpu, here, num_workers(here, GPU) - 1, 1, heard):
        pass
    assert sorted(heard.lines) == sorted(f"{entry} {entry} cuda:0 False" for entry in seen)
