from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from tasearch.training import precision
from tasearch.training.precision import faster_precision
from tests.factories import CPU, make_dataset, make_stage

MODELS = [make_stage(make_dataset(), name).student for name in ("plain4", "plain2")]


@pytest.mark.parametrize(
    ("share", "chosen"), [(0.5, "bfloat16"), (0.84, "bfloat16"), (0.95, "float32"), (2.0, "float32")]
)
def test_bfloat16_is_taken_only_where_it_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, share: float, chosen: str
) -> None:
    def timed(net: nn.Module, images: torch.Tensor, name: str, _may_record: bool) -> Callable[[], float]:
        return lambda: share if name == "bfloat16" else 1.0

    monkeypatch.setattr(precision, "_timed_pass", timed)
    assert faster_precision(MODELS, CPU) == chosen


def test_where_bfloat16_is_only_imitated_one_net_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[nn.Module] = []

    def timed(net: nn.Module, images: torch.Tensor, name: str, _may_record: bool) -> Callable[[], float]:
        measured.append(net)
        return lambda: 1.6 if name == "bfloat16" else 1.0

    monkeypatch.setattr(precision, "_timed_pass", timed)
    assert faster_precision(MODELS, CPU) == "float32"
    assert len(set(map(id, measured))) == 1


def test_the_measurement_runs_on_this_device() -> None:
    assert faster_precision(MODELS, CPU) in precision.PRECISIONS
