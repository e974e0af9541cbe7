"""What a function does, as text: its syntax tree where its source is at hand, else its code object."""

from __future__ import annotations
import __future__

import ast
import functools
import hashlib
import linecache
from collections.abc import Iterator
from types import CodeType
from typing import Any

_FUTURES = functools.reduce(
    lambda flags, name: flags | getattr(__future__, name).compiler_flag, __future__.all_feature_names, 0
)
_SILENT_FIELDS = ("ctx", "kind", "type_comment", "type_ignores")
"""Of syntax trees: they follow from the rest, or mean nothing."""
_TIMED = "<timed exec>"
"""What code under `%%time` says that it comes from."""
_CELL_MAGIC = "run_cell_magic"
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_KEPT: dict[int, tuple[CodeType, str]] = {}
"""Code objects that were made text, by their addresses: they are kept, so that no other one gets the address."""


def code_text(code: CodeType) -> str:
    """Return a text that is equal for functions that do the same by their source, comments and layout aside.

    The syntax tree of the source, where compiling that source gives the code that runs (a file may have been edited
    after it was imported); it does not depend on the version of Python. Otherwise the code object, which does. The
    function may stand on another line of the source by now: what reloads modules compiles changed functions apart.
    """
    for text in _sources_of(code):
        found = _functions_in(text, code.co_filename, code.co_flags & _FUTURES).get(compiled_text(code))
        if found:
            # Several that compile alike differ in annotations or in nothing: the place decides.
            return f"source {found.get(code.co_firstlineno) or found[min(found)]}"
    return f"code {compiled_text(code)}"


def compiled_text(code: CodeType) -> str:
    """Return the SHA-256 of a code object without names of files, line numbers and addresses."""
    if id(code) not in _KEPT:
        _KEPT[id(code)] = (code, _hash_of(code))
    return _KEPT[id(code)][1]


def _hash_of(code: CodeType) -> str:
    return _sha256(repr(_normalised(code)))


def _sources_of(code: CodeType) -> list[str]:
    """Return the text of a function's file or cell; for `%%time`, which keeps no text, those of all cells."""
    if code.co_filename == _TIMED:
        cells = [entry for entry in list(linecache.cache.values()) if len(entry) == 4 and entry[1] is None]
        return [text for entry in reversed(cells) for text in _under_magics("".join(entry[2]))]
    try:
        # Cells of IPython and Jupyter stay in this cache, files are read again where they changed.
        linecache.checkcache(code.co_filename)
        lines = linecache.getlines(code.co_filename)
    except (OSError, UnicodeError, ValueError):
        return []
    return ["".join(lines)] if lines else []


@functools.lru_cache(maxsize=512)
def _under_magics(cell: str) -> tuple[str, ...]:
    """Return the code under the cell magics of a cell, which IPython has made the last argument of a call."""
    if _CELL_MAGIC not in cell:
        return ()
    try:
        calls = [node for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Call)]
    except (SyntaxError, ValueError, RecursionError):
        return ()
    return tuple(
        call.args[-1].value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == _CELL_MAGIC and call.args
        if isinstance(call.args[-1], ast.Constant) and isinstance(call.args[-1].value, str)
    )


def _normalised(code: CodeType) -> tuple[Any, ...]:
    return (
        code.co_code.hex(),
        code.co_exceptiontable.hex(),
        code.co_flags,
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
        (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
        tuple(_constant(part) for part in code.co_consts),
    )


def _constant(value: Any) -> Any:
    """Return a constant so that its text tells 1 from 1.0 and True, and is the same in every process."""
    if isinstance(value, CodeType):
        return _normalised(value)
    if isinstance(value, tuple):
        return ("tuple", *(_constant(part) for part in value))
    if isinstance(value, frozenset):
        return ("frozenset", *sorted(repr(_constant(part)) for part in value))
    return type(value).__name__, hex(value) if type(value) is int else repr(value)


@functools.lru_cache(maxsize=512)
def _functions_in(text: str, filename: str, futures: int) -> dict[str, dict[int, str]]:
    """Return the syntax trees of the functions in a source by their compiled text, and of those by their line.

    The source is compiled as a whole, as files are, and each statement by itself, as cells are: Python 3.11 compiles
    calls of names that the same unit imports in another way.
    """
    try:
        tree = ast.parse(text)
        units = [compile(text, filename, "exec", flags=futures, dont_inherit=True)]
        for statement in tree.body if len(tree.body) > 1 else ():
            alone = ast.Module([statement], [])
            units.append(compile(alone, filename, "exec", flags=futures, dont_inherit=True))
    except (SyntaxError, ValueError, RecursionError):
        return {}
    nodes: dict[tuple[str, int], list[_Function]] = {}
    for node in ast.walk(tree):
        if isinstance(node, _Function):
            nodes.setdefault(_place(node), []).append(node)
    trees: dict[int, str] = {}
    found: dict[str, dict[int, str]] = {}
    for code in (code for unit in units for code in _inside(unit)):
        node_of_it = _node_of(code, nodes.get((code.co_name, code.co_firstlineno), []))
        if node_of_it is not None:
            if id(node_of_it) not in trees:
                trees[id(node_of_it)] = _sha256(_tree_text(node_of_it))
            found.setdefault(_hash_of(code), {}).setdefault(code.co_firstlineno, trees[id(node_of_it)])
    return found


def _node_of(code: CodeType, nodes: list[_Function]) -> _Function | None:
    """Return which of the functions that begin on one line a code object is of: the smallest with all of its places."""
    if len(nodes) <= 1:
        return nodes[0] if nodes else None
    places = [
        ((line, column), (end_line, end_column))
        for line, end_line, column, end_column in code.co_positions()
        if line is not None and end_line is not None and column is not None and end_column is not None
        # The first instructions of a function are said to lie at its very beginning.
        if (end_line, end_column) != (line, 0)
    ]
    spans = [(_span(node), node) for node in nodes]
    around = [
        (span, node)
        for span, node in spans
        if places and all(span[0] <= start and end <= span[1] for start, end in places)
    ]
    if not around:
        return None
    # Spans that contain one place lie inside each other: the innermost begins last.
    return max(around, key=lambda pair: pair[0][0])[1]


def _span(node: _Function) -> tuple[tuple[int, int], tuple[int, int]]:
    first = node.body if isinstance(node, ast.Lambda) else node.body[0]
    last = node.body if isinstance(node, ast.Lambda) else node.body[-1]
    return (first.lineno, first.col_offset), (last.end_lineno or 0, last.end_col_offset or 0)


def _place(node: _Function) -> tuple[str, int]:
    if isinstance(node, ast.Lambda):
        return "<lambda>", node.lineno
    return node.name, min([node.lineno, *(part.lineno for part in node.decorator_list)])


def _inside(code: CodeType) -> Iterator[CodeType]:
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield part
            yield from _inside(part)


def _tree_text(node: Any) -> str:
    """Return a syntax tree as text that the versions of Python agree on, which `ast.dump` is not."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if name not in _SILENT_FIELDS)
        inside = ", ".join(f"{name}={_tree_text(value)}" for name, value in fields if value is not None and value != [])
        # None is a constant as well, and not a missing one.
        constant = "None" if isinstance(node, ast.Constant) and node.value is None else ""
        return f"{type(node).__name__}({inside}{constant})"
    if isinstance(node, list):
        return f"[{', '.join(map(_tree_text, node))}]"
    return repr(_constant(node))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
