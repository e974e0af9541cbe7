from __future__ import annotations

import pytest
import torch

from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError
from tasearch.worker.gpus import VISIBLE, Gpu, assign_gpus, choose_gpus, on_first_gpu, visible_gpus, workers_on

CPU, ANY_GPU = torch.device("cpu"), torch.device("cuda")
FOUR = visible_gpus({}, 4)


def settings(**changes: object) -> Settings:
    return Settings(teacher="plain10", student="plain2", **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("listed", "count", "entries"),
    [
        (None, 3, ("0", "1", "2")),
        ("2,0", 2, ("2", "0")),
        (" 3 , 1 ", 2, ("3", "1")),
        ("GPU-8f2c,GPU-11aa", 2, ("GPU-8f2c", "GPU-11aa")),
        ("MIG-5c1f", 1, ("MIG-5c1f",)),
        # CUDA stops at the first entry that is no GPU of this machine.
        ("1,9,0", 1, ("1",)),
        ("", 0, ()),
        (None, 0, ()),
    ],
)
def test_gpus_are_counted_as_cuda_lists_them(listed: str | None, count: int, entries: tuple[str, ...]) -> None:
    found = visible_gpus({} if listed is None else {VISIBLE: listed}, count)
    assert found == tuple(Gpu(index, entry) for index, entry in enumerate(entries))


@pytest.mark.parametrize(
    ("asked", "device", "chosen"),
    [
        ({}, ANY_GPU, (0, 1, 2, 3)),
        ({}, torch.device("cuda:2"), (2,)),
        ({"gpus": "3,1"}, ANY_GPU, (3, 1)),
        ({"gpus": "3,1"}, torch.device("cuda:3"), (3, 1)),
        ({}, CPU, ()),
    ],
    ids=str,
)
def test_the_gpus_of_a_call_in_the_order_that_was_asked_for(
    asked: dict[str, object], device: torch.device, chosen: tuple[int, ...]
) -> None:
    assert tuple(gpu.index for gpu in choose_gpus(settings(**asked), device, FOUR)) == chosen


def test_an_index_counts_among_the_visible_ones() -> None:
    visible = visible_gpus({VISIBLE: "5,GPU-8f2c"}, 2)
    assert choose_gpus(settings(gpus="1"), ANY_GPU, visible) == (Gpu(1, "GPU-8f2c"),)


def test_a_gpu_that_is_not_there_is_named_with_how_many_there_are() -> None:
    with pytest.raises(ConfigError, match=r"--gpus 0,4: there is no GPU 4; torch sees 4 CUDA devices"):
        choose_gpus(settings(gpus="0,4"), ANY_GPU, FOUR)


@pytest.mark.parametrize(("name", "value"), [("gpus", "0,1"), ("workers_per_gpu", 2)])
def test_gpus_are_refused_for_a_call_on_the_cpu(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=r"this call computes on the CPU; torch sees 0 CUDA devices"):
        choose_gpus(settings(**{name: value}), CPU, ())


@pytest.mark.parametrize(
    ("asked", "num_gpus", "workers"),
    [
        ({}, 4, 1),
        ({"workers": 3}, 4, 3),
        ({"workers": "auto"}, 4, 4),
        ({"workers": "auto", "workers_per_gpu": 3}, 2, 6),
        ({"workers_per_gpu": 3}, 2, 6),
        ({"gpus": "0,1"}, 2, 2),
        ({"gpus": "0,1", "workers": 5}, 2, 5),
        ({"gpus": "0,1", "workers": 4, "workers_per_gpu": 2}, 2, 4),
    ],
    ids=str,
)
def test_workers_of_a_call(asked: dict[str, object], num_gpus: int, workers: int) -> None:
    assert workers_on(settings(**asked), FOUR[:num_gpus]) == workers


def test_a_number_of_workers_that_leaves_a_gpu_idle_is_refused() -> None:
    with pytest.raises(ConfigError, match="--workers 1 would leave a GPU idle"):
        workers_on(settings(gpus="0,1", workers=1), FOUR[:2])


def test_two_numbers_of_workers_that_differ_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"--workers 3: 2 on each of 2 GPUs \(--workers-per-gpu\) are 4"):
        workers_on(settings(workers=3, workers_per_gpu=2), FOUR[:2])


@pytest.mark.parametrize("workers", [1, 2, 5, 8])
def test_gpus_are_dealt_out_evenly(workers: int) -> None:
    dealt = assign_gpus(FOUR, workers)
    shares = [dealt.count(gpu) for gpu in FOUR]
    assert sum(shares) == workers
    assert max(shares) - min(shares) <= 1


def test_workers_on_a_cpu_get_none() -> None:
    assert assign_gpus((), 3) == (None, None, None)


@pytest.fixture
def _three_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)


@pytest.mark.usefixtures("_three_gpus")
def test_the_calling_process_works_on_the_first_gpu_named() -> None:
    assert on_first_gpu(settings(gpus="2,0")).device == "cuda:2"


@pytest.mark.usefixtures("_three_gpus")
@pytest.mark.parametrize("device", ["cuda:1", "cpu"])
def test_two_answers_to_where_to_compute_are_refused(device: str) -> None:
    with pytest.raises(ConfigError, match=f"--gpus 0 and --device {device} both say where"):
        on_first_gpu(settings(gpus="0", device=device))


def test_without_gpus_settings_stay_as_they_are() -> None:
    plain = settings(device="cuda:1")
    assert on_first_gpu(plain) is plain
