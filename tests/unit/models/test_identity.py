"""Two nets that differ must have two hashes, wherever the difference is written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tasearch.domain.spec import ModelSpec
from tasearch.models import inspection
from tasearch.models.inspection import construct_other

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
    return inspection.inspect_net(spec, anew=True).code


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


CONFIGURED = """
import functools, json
from pathlib import Path
import torch
import torch.nn.functional as F
from torch import nn

SAID = json.loads(Path('said.json').read_text())

class Act:
    def __init__(self, slope): self.slope = slope
    def __call__(self, x): return F.leaky_relu(x, self.slope)

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.head = nn.Linear(192, num_classes)
        if 'weight' in SAID:
            with torch.no_grad():
                self.head.weight.fill_(SAID['weight'])
        self.register_buffer('mask', torch.full((4,), SAID.get('mask', 0.0)), persistent=False)
        self.plain = torch.full((4,), SAID.get('plain', 0.0))
        self.config = {'scale': SAID.get('scale', 1.0), 'nested': [SAID.get('deep', 1)]}
        self.act = {'relu': F.relu, 'gelu': F.gelu, 'half': functools.partial(F.leaky_relu, negative_slope=0.5),
                    'own': Act(SAID.get('slope', 0.1))}[SAID.get('act', 'relu')]
        self.layer = nn.TransformerEncoderLayer(4, 1, 4, activation=getattr(F, SAID.get('activation', 'relu')))

    def extra_repr(self):
        return repr(lambda: None)

    def forward(self, images):
        return self.act(self.head(images.flatten(1)) * self.config['scale'])

def make(num_classes):
    return Net(num_classes)
"""


@pytest.mark.parametrize(
    "said",
    [
        *('{"weight": 0.5}', '{"mask": 1.0}', '{"plain": 1.0}', '{"scale": 2.0}', '{"deep": 2}', '{"act": "gelu"}'),
        *('{"act": "half"}', '{"act": "own"}', '{"act": "own", "slope": 0.2}', '{"activation": "gelu"}'),
    ],
)
def test_a_value_that_no_text_of_the_code_has_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    files = {"identity_net.py": CONFIGURED}
    before = '{"act": "own"}' if "slope" in said else "{}"
    usual = hash_with(monkeypatch, tmp_path / "usual", **files, **{"said.json": before})
    assert hash_with(monkeypatch, tmp_path / "changed", **files, **{"said.json": said}) != usual


def test_weights_that_follow_from_the_seed_have_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = hash_with(monkeypatch, tmp_path / "usual")
    monkeypatch.setattr(inspection, "construct_other", lambda spec, seed: construct_other(spec, seed + 100))
    assert hash_with(monkeypatch, tmp_path / "seeded") == usual
