"""A net whose code keeps a state in its process has one code, however often it is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.identities.pairs import HEAD, net

ROOT = Path(__file__).parents[3]
PLAIN = "self.features(x)"
CASES = {
    "a global counter": net(
        f"{PLAIN} if step() else x", "steps = 0\ndef step():\n    global steps\n    steps += 1\n    return True"
    ),
    "a history": net(f"(H.append(1), {PLAIN})[1]", "H = []"),
    "a cache by shape": net(f"(C.setdefault(x.shape, 1), {PLAIN})[1]", "C = {}"),
    "a Counter": net(f"(C.update([len(x)]), {PLAIN})[1]", "import collections\nC = collections.Counter()"),
    "itertools.count": net(f"(next(C), {PLAIN})[1]", "import itertools\nC = itertools.count()"),
    "lru_cache": net(f"{PLAIN} * f(4)", "@functools.lru_cache\ndef f(n):\n    return torch.linspace(0, 1, n)"),
    "a meter": net(
        f"(M.tick(), {PLAIN})[1]",
        "class M:\n    def __init__(self): self.n = 0\n    def tick(self): self.n += 1\nM = M()",
    ),
    "a counter of a class": net(PLAIN).replace(
        "def make(num_classes):", "def make(num_classes):\n    Net.count = getattr(Net, 'count', 0) + 1"
    ),
    "a setter that is not called": net(
        "self.features(x) if x.mean() < 99 else x * K", "K = 2.0\ndef put(k):\n    global K\n    K = k\nPUT = put"
    ).replace("return Net(", "PUT\n    return Net("),
}
CHILD = """
import contextlib, json, sys
import torch
from tasearch.api.objects import model_name
from tasearch.domain.spec import ModelSpec
from tasearch.models.inspection import identified
from tests.integration.identities.child import run_cells
answers = {}
with contextlib.redirect_stdout(sys.stderr):
    for name, text in json.load(sys.stdin).items():
        codes = []
        for count in (1, 9, 3):
            found = run_cells(text) if not codes else found
            spec = ModelSpec(name=model_name(found["make"]), in_channels=3, image_size=8, num_classes=4)
            codes.append(identified(spec).code)
            found["make"](4)(torch.zeros(count, 3, 8, 8))
        answers[name] = codes
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[str]], ...]:
    """Codes by case: of the cases, and of the cases with another constant, in processes of their own."""
    found = []
    for texts in (CASES, {name: text.replace("K = 2.0", "K = 3.0") for name, text in CASES.items()}):
        folder = tmp_path_factory.mktemp("process")
        done = subprocess.run(
            [sys.executable, "-c", CHILD],
            input=json.dumps({name: HEAD + text for name, text in texts.items()}),
            capture_output=True,
            text=True,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "IPYTHONDIR": str(folder / "ipython")},
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return tuple(found)


@pytest.mark.parametrize("name", CASES)
def test_a_net_with_a_state_has_one_code(name: str, codes: tuple[dict[str, list[str]], ...]) -> None:
    assert len(set(codes[0][name])) == 1
    assert (codes[0][name] == codes[1][name]) == ("K = 2.0" not in CASES[name])
