"""Two nets that differ in what they compute never share a code, and two that are the same share it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.identities.all_pairs import PAIRS
from tests.integration.identities.pairs import Pair
from tests.integration.identities.unusual_nets import UNUSUAL

ROOT = Path(__file__).parents[3]
Codes = dict[str, tuple[str, str]]


_IN_FILES = {pair.name.removesuffix("(file)") for pair in PAIRS if pair.name.endswith("(file)")}
_UNUSUAL = {pair.name for pair in UNUSUAL}


def _is_slow(pair: Pair) -> bool:
    """Most pairs are tried in a file and in a cell; `make test` does with one of them, and without unusual ones."""
    return pair.name in _UNUSUAL or pair.name.removesuffix("(cell)") in _IN_FILES


PARAMETERS = [pytest.param(pair, id=pair.name, marks=pytest.mark.slow if _is_slow(pair) else ()) for pair in PAIRS]


@pytest.fixture(scope="module")
def codes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Codes, Codes]:
    """The codes of both nets of each pair that is asked for, in two processes that run side by side."""
    names = {item.name for item in request.session.items if item.path == request.path}
    asked = [pair for pair in PAIRS if f"test_nets_share_a_code_where_they_are_the_same[{pair.name}]" in names]
    nets = json.dumps([side.as_json() for pair in asked for side in (pair.one, pair.other)])
    children = []
    for seed in ("1", "2"):
        folder = tmp_path_factory.mktemp(f"process-{seed}")
        environment = os.environ | {
            **{"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            **{"IPYTHONDIR": str(folder / "ipython"), "PYTHONDONTWRITEBYTECODE": "1"},
        }
        command = [sys.executable, "-m", "tests.integration.identities.child"]
        pipe = subprocess.PIPE
        children.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=folder, env=environment))
    found = []
    for child in children:
        assert child.stdin is not None
        child.stdin.write(nets)
        child.stdin.close()
        child.stdin = None
    for child in children:
        with child:
            answers = json.loads(child.communicate()[0])
        found.append({pair.name: (answers[2 * n], answers[2 * n + 1]) for n, pair in enumerate(asked)})
    return found[0], found[1]


@pytest.mark.parametrize("pair", PARAMETERS)
def test_nets_share_a_code_where_they_are_the_same(pair: Pair, codes: tuple[Codes, Codes]) -> None:
    (one, other), (one_again, other_again) = codes[0][pair.name], codes[1][pair.name]
    assert len(one) == len(other) == 64, f"{one}\n{other}"
    assert (one, other) == (one_again, other_again), "another process has another code"
    assert (one == other) == pair.is_same


def test_names_of_pairs_are_distinct() -> None:
    assert len({pair.name for pair in PAIRS}) == len(PAIRS) >= 100
