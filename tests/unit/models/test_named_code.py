"""What a code object names."""

from __future__ import annotations

import os
from types import FunctionType
from typing import Any

import pytest

from tasearch.models.named_code import environment_variables, named_values
from tasearch.models.ownership import Ownership

NAMESPACE: dict[str, Any] = {"__name__": "named_code_module", "C": {"k": 2, "a": {"b": 3}}, "NAME": "k", "D": 4}


def compiled(body: str) -> FunctionType:
    """Return a function `f(x)` of a body."""
    names = dict(NAMESPACE)
    exec(f"def f(x, y=0):\n    {body}\n", names)
    found = names["f"]
    assert isinstance(found, FunctionType)
    return found


def named(body: str) -> dict[str, Any]:
    """Return what the body of a function names, by where it lies."""
    return {
        found.path.removeprefix("named_code_module."): found.value
        for found in named_values(compiled(body).__code__, NAMESPACE, Ownership())
    }


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("return C['k']", {"C['k']": 2}),
        ("return C.get('k')", {"C['k']": 2}),
        ("return C.get('k', 1)", {"C['k']": 2}),
        ("return C.get('k', y)", {"C['k']": 2}),
        ("return C.get('k', D)", {"C['k']": 2, "D": 4}),
        ("return C.get(NAME)", {"C['k']": 2, "NAME": "k"}),
        ("return C[NAME]", {"C['k']": 2, "NAME": "k"}),
        ("return C.get('a')['b']", {"C['a']['b']": 3}),
        ("return C.get('none', 1)", {"C['none'] is missing": None}),
        ("return C.get('k', x + 1)", {"C": NAMESPACE["C"]}),
        ("return C.get(x)", {"C": NAMESPACE["C"]}),
        ("return C.get('k', *x)", {"C": NAMESPACE["C"]}),
        ("return C.get", {"C": NAMESPACE["C"]}),
        ("return C.pop('k')", {"C": NAMESPACE["C"]}),
        ("return C[x]", {"C": NAMESPACE["C"]}),
        ("global NAME; NAME = x; return C[NAME]", {"C": NAMESPACE["C"], "NAME": "k"}),
        ("C['k'] = x; return C['k']", {"C": NAMESPACE["C"], "C['k']": 2}),
    ],
)
def test_a_look_up_in_a_dict_is_one_value(body: str, wanted: dict[str, Any]) -> None:
    assert named(body) == wanted


def test_variables_that_say_where_a_process_runs_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NET_WIDTH", "3")
    body = "return os.environ['NET_WIDTH'], os.environ['HOME'], os.environ.get('CUDA_VISIBLE_DEVICES')"
    assert dict(environment_variables(compiled(body).__code__, {"os": os})) == {"NET_WIDTH": "3"}
