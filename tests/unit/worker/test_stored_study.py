"""Data are loaded without a trace in the process."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from tasearch.data.dataset import DataRequest
from tasearch.worker.stored_study import dataset_of

MODULE = """
import numpy as np
import torch

torch.set_num_threads(3)
torch.set_default_dtype(torch.float64)


class Samples:
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        torch.backends.mkldnn.enabled = False
        return np.full((8, 8), index, dtype=np.uint8), index % 2


def make():
    torch.set_grad_enabled(False)
    return Samples(20), Samples(8)
"""


def test_what_a_dataset_sets_for_the_process_is_put_back_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data_that_sets_switches.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    with caplog.at_level(logging.WARNING):
        found = dataset_of(
            DataRequest(name="data_that_sets_switches:make", data_dir=tmp_path), lambda _done, _all: None
        )
    assert found.spec.num_classes == 2
    assert (torch.get_num_threads(), torch.get_default_dtype()) == (threads, torch.float32)
    assert torch.is_grad_enabled()
    assert torch.backends.mkldnn.enabled
    assert "--dataset data_that_sets_switches:make sets the number of threads to 3" in caplog.text
