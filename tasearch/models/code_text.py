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
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_KEPT: dict[int, tuple[CodeType, str]] = {}
"""Code objects that were made text, by their addresses: they are kept, so that no other one gets the address."""


def code_text(code: CodeType) -> str:
    """Return a text that is equal for functions that do the same by their source, comments and layout aside.

    The syntax tree of the source, where compiling that source gives the code that runs (a file may have been edited
    after it was imported); it does not depend on the version of Python. Otherwise the code object, which does.
    """
    lines = _source_of(code)
    if lines:
        text = "".join(lines)
        node = _functions_in(text, code.co_filename, code.co_flags & _FUTURES).get((code.co_name, code.co_firstlineno))
        if node is not None and node[0] == compiled_text(code):
            return f"source {node[1]}"
    return f"code {compiled_text(code)}"


def compiled_text(code: CodeType) -> str:
    """Return the SHA-256 of a code object without names of files, line numbers and addresses."""
    if id(code) not in _KEPT:
        _KEPT[id(code)] = (code, _sha256(repr(_normalised(code))))
    return _KEPT[id(code)][1]


def _source_of(code: CodeType) -> list[str]:
    try:
        # Cells of IPython and Jupyter stay in this cache, files are read again where they changed.
        linecache.checkcache(code.co_filename)
        return linecache.getlines(code.co_filename)
    except (OSError, UnicodeError, ValueError):
        return []


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
def _functions_in(text: str, filename: str, futures: int) -> dict[tuple[str, int], tuple[str, str]]:
    """Return compiled text and syntax tree of the functions in a source, by name and line; without ambiguous ones."""
    try:
        tree = ast.parse(text)
        whole = compile(text, filename, "exec", flags=futures, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    nodes: dict[tuple[str, int], list[_Function]] = {}
    for node in ast.walk(tree):
        if isinstance(node, _Function):
            nodes.setdefault(_place(node), []).append(node)
    codes: dict[tuple[str, int], list[CodeType]] = {}
    for code in _inside(whole):
        codes.setdefault((code.co_name, code.co_firstlineno), []).append(code)
    return {
        place: (compiled_text(codes[place][0]), _sha256(_tree_text(found[0])))
        for place, found in nodes.items()
        if len(found) == 1 and len(codes.get(place, ())) == 1
    }


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
        # A constant None is one that is there.
        constant = "None" if isinstance(node, ast.Constant) and node.value is None else ""
        return f"{type(node).__name__}({inside}{constant})"
    if isinstance(node, list):
        return f"[{', '.join(map(_tree_text, node))}]"
    return repr(_constant(node))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
