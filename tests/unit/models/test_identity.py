"""Two nets that differ must have two hashes, wherever the difference is written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tasearch.domain.spec import ModelSpec
from tasearch.models import inspection

NET = """
from torch import nn
from identity_blocks import act
from identity_scale import SCALE

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.scale = SCALE
        self.head = nn.Linear(192, num_classes)

    def forward(self, images):
        return act(self.head(images.flatten(1) * self.scale))

def make(num_classes):
    return Net(num_classes)
"""
FILES = {
    "identity_net.py": NET,
    "identity_blocks.py": "def act(x):\n    return x\n",
    "identity_scale.py": "from pathlib import Path\nSCALE = float(Path('scale.txt').read_text())\n",
    "scale.txt": "2.0",
}


@pytest.fixture(autouse=True)
def _nothing_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def hash_with(monkeypatch: pytest.MonkeyPatch, folder: Path, **changes: str) -> str:
    """Return the hash of the net as a new process would find it in a folder."""
    folder.mkdir()
    for name, text in {**FILES, **changes}.items():
        (folder / name).write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.startswith("identity_")]:
        del sys.modules[name]
    spec = ModelSpec(name="identity_net:make", in_channels=3, image_size=8, num_classes=4)
    return inspection._inspected.__wrapped__(spec).code


def test_the_folder_has_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (hash_with(monkeypatch, tmp_path / name) for name in ("here", "there"))
    assert first == second


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("identity_net.py", NET.replace("return act(", "return 2 * act(")),
        ("identity_blocks.py", "def act(x):\n    return x.relu()\n"),
        ("scale.txt", "3.0"),
    ],
    ids=["its own code", "code that it imports", "a number that it reads"],
)
def test_a_difference_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    usual = hash_with(monkeypatch, tmp_path / "usual")
    assert hash_with(monkeypatch, tmp_path / "changed", **{name: text}) != usual
