"""Functions as text: the same for the same source, whatever compiled it."""

from __future__ import annotations

import ast
import linecache
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from tasearch.models.code_text import code_text

MODULE = """\
from math import floor
import math

SCALE = 2


class Net:
    def forward(self, x):
        return math.floor(x) + SCALE


def double(x):
    return math.floor(x) * 2


one, two = (lambda x: x + 1), (lambda y: (lambda z: z + y))
"""


def run(text: str | ast.Module, filename: str) -> dict[str, Any]:
    """Return the names that a source defines."""
    namespace: dict[str, Any] = {"__name__": "code_text_module"}
    exec(compile(text, filename, "exec", dont_inherit=True), namespace)
    return namespace


def texts_of(namespace: dict[str, Any]) -> list[str]:
    """Return the texts of all functions of `MODULE`."""
    functions = (namespace["Net"].forward, namespace["double"], namespace["one"], namespace["two"], namespace["two"](1))
    return [code_text(function.__code__) for function in functions]


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A file with `MODULE`."""
    path = tmp_path / "module.py"
    path.write_text(MODULE)
    return str(path)


def test_lambdas_on_one_line_are_told_apart_by_their_source(file: str) -> None:
    found = texts_of(run(MODULE, file))
    assert all(text.startswith("source ") for text in found)
    assert len(set(found)) == len(found)


def test_statements_that_were_compiled_apart_have_the_text_of_the_whole(file: str) -> None:
    apart: dict[str, Any] = {"__name__": "code_text_module"}
    for statement in ast.parse(MODULE).body:
        exec(compile(ast.Module([statement], []), file, "exec", dont_inherit=True), apart)
    assert texts_of(apart) == texts_of(run(MODULE, file))


def test_a_function_that_was_compiled_again_has_its_text_on_another_line(file: str) -> None:
    whole = run(MODULE, file)
    (definition,) = (node for node in ast.parse(MODULE).body if isinstance(node, ast.FunctionDef))
    again: FunctionType = run(ast.unparse(definition), file)["double"]
    assert again.__code__.co_firstlineno != whole["double"].__code__.co_firstlineno
    assert code_text(again.__code__) == code_text(whole["double"].__code__)


def test_a_function_that_the_file_no_longer_has_is_its_code(file: str) -> None:
    whole = run(MODULE, file)
    before = code_text(whole["double"].__code__)
    Path(file).write_text(MODULE.replace("* 2", "* 30"))
    linecache.checkcache(file)
    assert code_text(whole["double"].__code__).startswith("code ")
    assert code_text(run(Path(file).read_text(), file)["double"].__code__) not in (before, "")


def test_code_under_a_cell_magic_has_the_text_of_its_cell(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = f"get_ipython().run_cell_magic('time', '', {MODULE!r})\n"
    monkeypatch.setitem(linecache.cache, "<a cell>", (len(cell), None, cell.splitlines(keepends=True), "<a cell>"))
    assert texts_of(run(MODULE, "<timed exec>")) == texts_of(run(MODULE, file))
