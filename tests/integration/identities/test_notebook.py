"""A net in a cell that is edited and run again: it is trained anew, and what is reported is true of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

ROOT = Path(__file__).parents[3]
DATA = """
import json
import numpy as np
import torch
from torch import nn
import tasearch

class Bands:
    classes = ["left", "middle", "right"]
    def __init__(self, count, seed):
        draws = np.random.default_rng(seed)
        self.labels = np.repeat([0, 1, 2], count)
        self.images = draws.integers(0, 60, (len(self.labels), 16, 16), dtype=np.uint8)
        for image, label in zip(self.images, self.labels):
            image[:, 5 * label : 5 * label + 5] += 150
    def __len__(self):
        return len(self.labels)
    def __getitem__(self, index):
        return self.images[index], self.labels[index]

data = Bands(60, 0), Bands(20, 1)
"""
NET = """
class Net(nn.Module):
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.head = nn.Linear(256 * in_channels, num_classes)

    def forward(self, images):
        logits = self.head(images.flatten(1))
        return logits

def student(num_classes, in_channels):
    return Net(num_classes, in_channels)
"""
STUDY = """
def study(**more):
    config = tasearch.StudyConfig(
        teacher="plain4", student=student, dataset=data, max_tas=0, epochs=4, batch_size=16, trials=1, replicates=1,
        max_replicates=1, threads=1, precision="float32", temperatures=(4.0,), kd_weights=(0.5,), home="home", **more
    )
    results = tasearch.optimize(config)
    return [results.ranking[0].val_accuracy, max(arm.test_accuracy for arm in results.finals), config.student]

def refusal():
    try:
        study(study_name="named")
    except tasearch.TasearchError as error:
        return str(error)
    return "not refused"
"""
ALWAYS_LEFT = NET.replace("return logits", "return logits * 0 + torch.tensor([5.0, 0.0, 0.0])")
TOLD = "ANSWER:"
CELLS = [
    *(DATA, NET, STUDY, "first, named = study(), study(study_name='named')"),
    *(ALWAYS_LEFT, "second, told = study(), refusal()"),
    *(NET, "third = study()"),
    f"print({TOLD!r} + json.dumps([first, second, third, told]))",
]
SHELL = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
sys.modules["__main__"] = shell.user_module
for cell in json.load(sys.stdin):
    shell.run_cell(cell).raise_error()
"""


def check(output: str) -> None:
    """Fail unless the edited net was trained and measured, and the first one was recognised when it came back."""
    (line,) = (line for line in output.splitlines() if line.startswith(TOLD))
    first, second, third, told = json.loads(line.removeprefix(TOLD))
    assert first[0] > 0.9
    assert first[1] > 0.9
    assert second[0] == pytest.approx(1 / 3, abs=0.01)
    assert second[1] == pytest.approx(1 / 3, abs=0.01)
    assert third == first
    assert "is not the net of study 'named'" in told
    assert "Net.forward" in told


@pytest.mark.slow
def test_a_net_that_was_edited_in_ipython_is_trained_anew(tmp_path: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", SHELL],
        input=json.dumps(CELLS),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    check(done.stdout)


@pytest.mark.slow
def test_a_net_that_was_edited_in_jupyter_is_trained_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    printed: list[str] = []

    def hear(message: dict[str, object]) -> None:
        content = message["content"]
        assert isinstance(content, dict)
        printed.append(str(content.get("text", "")) + "\n".join(content.get("traceback", ())))

    try:
        for cell in CELLS:
            reply = client.execute_interactive(cell, timeout=None, output_hook=hear)
            assert reply["content"]["status"] == "ok", "".join(printed)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    check("".join(printed))
