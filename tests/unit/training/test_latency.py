from __future__ import annotations

import pytest
import torch

from tasearch.domain.fingerprint import plain
from tasearch.domain.latency import ATTR, BATCHES, latency_tables
from tasearch.training.latency import latencies
from tasearch.training.loop import InterruptedStage
from tests.factories import CPU, make_dataset, make_stage

SMALL = make_stage(make_dataset()).student


def test_every_model_is_timed_alone_and_in_a_batch() -> None:
    table = latencies([SMALL], CPU)
    assert [timing.batch for timing in table.models["plain2"]] == list(BATCHES)
    for timing in table.models["plain2"]:
        assert 0 < timing.low <= timing.median <= timing.high
        assert timing.runs >= 5
    assert (table.device.split()[0], table.threads) == ("cpu", torch.get_num_threads())


def test_deterministic_training_is_as_before() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    latencies([SMALL], CPU)
    assert torch.are_deterministic_algorithms_enabled() is before


def test_it_can_be_stopped_between_passes() -> None:
    def tick() -> None:
        raise InterruptedStage

    with pytest.raises(InterruptedStage):
        latencies([SMALL], CPU, tick)


def test_a_table_is_read_back_as_it_was_stored() -> None:
    table = latencies([SMALL], CPU)
    assert latency_tables({ATTR: [plain(table)]}) == [table]
    assert latency_tables({}) == []
