from __future__ import annotations

import pytest
import torch

from tasearch.config.settings import Settings
from tasearch.worker.packing import MOST, STAGE_BYTES, pack_size
from tests.factories import CPU, make_dataset

DATASET = make_dataset()
GPU = torch.device("cuda")


def settings(**changes: object) -> Settings:
    return Settings(teacher="plain4", student="plain2", **changes)  # type: ignore[arg-type]


def with_free(monkeypatch: pytest.MonkeyPatch, num_bytes: int) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (num_bytes, num_bytes))


def test_one_stage_at_a_time_on_a_cpu_unless_asked() -> None:
    assert pack_size(settings(), DATASET, CPU) == 1
    assert pack_size(settings(pack=4), DATASET, CPU) == 4


@pytest.mark.parametrize(("stages", "size"), [(0.5, 1), (3.5, 3), (100, MOST)])
def test_on_a_gpu_as_many_as_its_free_memory_holds(monkeypatch: pytest.MonkeyPatch, stages: float, size: int) -> None:
    with_free(monkeypatch, int(stages * STAGE_BYTES))
    assert pack_size(settings(), DATASET, GPU) == size


def test_workers_on_one_gpu_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 8 * STAGE_BYTES)
    assert pack_size(settings(workers_per_gpu=2), DATASET, GPU, workers=2) == 4
    assert pack_size(settings(launcher="ray", gpus_per_worker=0.25), DATASET, GPU) == 2


@pytest.mark.parametrize(
    "changes", [{"optimizer": "adamw"}, {"student": "tests.nets:small"}, {"student": "torchvision:resnet18"}], ids=str
)
def test_steps_that_cannot_be_recorded_are_not_packed(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    with_free(monkeypatch, 8 * STAGE_BYTES)
    assert pack_size(settings().model_copy(update=changes), DATASET, GPU) == 1
