"""What a code object names: globals, the attributes that it takes of them, and environment variables."""

from __future__ import annotations

import builtins
import dis
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType, SimpleNamespace
from typing import Any

from tasearch.models.description import attribute_of
from tasearch.models.ownership import Ownership, namespace_of
from tasearch.models.source_files import imported_name

_GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
_CONSTANTS = ("LOAD_CONST", "LOAD_SMALL_INT")
_BY_TEXT = {"globals", "vars", "locals", "eval", "exec", "getattr", "attrgetter", "import_module", "__import__"}
"""Names of functions that find others by texts."""
_ENVIRONMENT = {"environ", "getenv", "environb"}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MISSING = object()
_PLAIN = (object, SimpleNamespace)
"""Types whose attributes are what they hold."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value that code names, by where it was found."""

    path: str
    value: Any


def named_values(code: CodeType, namespace: dict[str, Any], ownership: Ownership) -> Iterator[Found]:
    """Yield the values of the user's that a function's code names, as far as its own attribute chains lead.

    `args.width` and `CONFIG["width"]` are one value of the many that `args` and `CONFIG` may hold. What modules of
    packages hold is left out, but for functions that the user put there.
    """
    for part in _with_nested(code):
        instructions = [i for i in dis.get_instructions(part) if i.opname not in ("EXTENDED_ARG", "CACHE", "PUSH_NULL")]
        for index, instruction in enumerate(instructions):
            rest = instructions[index + 1 :]
            if instruction.opname in _GLOBALS:
                name = str(instruction.argval)
                if name in namespace:
                    here = str(namespace.get("__name__", "?"))
                    yield from _chain(Found(f"{here}.{name}", namespace[name]), rest, ownership)
                elif hasattr(builtins, name):
                    yield from _chain(Found(f"builtins.{name}", getattr(builtins, name)), [], ownership)
            elif instruction.opname == "IMPORT_NAME":
                yield from _imported(instructions, index, namespace, ownership)
        if _BY_TEXT & set(part.co_names):
            yield from _named_by_text(part, namespace, ownership)


def environment_variables(code: CodeType, namespace: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yield the variables that code may read, by the texts in it, where it names the environment; with their values."""
    reads = (os.environ, os.getenv, os.environb)
    for part in _with_nested(code):
        named = [namespace[name] for name in part.co_names if name in namespace]
        if not (_ENVIRONMENT & set(part.co_names) or any(value is read for value in named for read in reads)):
            continue
        # The name of the variable may be a global itself.
        for text in (*_texts(part), *(value for value in named if isinstance(value, str))):
            if _VARIABLE.fullmatch(text):
                yield text, os.environ.get(text)


def _with_nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _with_nested(part)


def _texts(code: CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        for part in constant if isinstance(constant, tuple | frozenset) else (constant,):
            if isinstance(part, str):
                yield part


def _chain(found: Found, rest: list[dis.Instruction], ownership: Ownership) -> Iterator[Found]:
    """Follow `.name` and `["name"]` behind a value, as long as these are plain look-ups."""
    place = 0
    while place < len(rest):
        following, value = rest[place], found.value
        place += 1
        if following.opname in _ATTRIBUTES:
            inner, path = _attribute(value, str(following.argval)), f"{found.path}.{following.argval}"
            if isinstance(value, ModuleType):
                path = f"{value.__name__}.{following.argval}"
        elif (
            following.opname in _CONSTANTS and place < len(rest) and _is_subscript(rest[place]) and type(value) is dict
        ):
            inner, path = value.get(following.argval, _MISSING), f"{found.path}[{following.argval!r}]"
            place += 1
        else:
            break
        if inner is _MISSING:
            break
        found = Found(path, inner)
    if _counts(found, ownership):
        yield found


def _is_subscript(instruction: dis.Instruction) -> bool:
    return instruction.opname == "BINARY_SUBSCR" or (instruction.opname == "BINARY_OP" and instruction.argrepr == "[]")


def _attribute(value: Any, name: str) -> Any:
    """Return what `value.name` gives where that is a mere look-up, else a mark that it is not."""
    if isinstance(value, ModuleType):
        found = vars(value).get(name, _MISSING)
        return sys.modules.get(f"{value.__name__}.{name}", _MISSING) if found is _MISSING else found
    kind = type(value)
    if isinstance(value, type):
        found = (
            _MISSING if kind is not type else next((vars(c)[name] for c in value.__mro__ if name in vars(c)), _MISSING)
        )
        is_computed = found is not _MISSING and (callable(found) or hasattr(type(found), "__get__"))
        return _MISSING if is_computed else found
    if any("__getattribute__" in vars(base) for base in kind.__mro__ if base not in _PLAIN):
        return _MISSING
    descriptor = next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)
    if isinstance(descriptor, MemberDescriptorType):
        try:
            return descriptor.__get__(value)
        except Exception:
            return _MISSING
    if hasattr(type(descriptor), "__set__") and not isinstance(descriptor, GetSetDescriptorType):
        return _MISSING
    held = attribute_of(value, "__dict__")
    return held.get(name, _MISSING) if isinstance(held, dict) else _MISSING


def _counts(found: Found, ownership: Ownership) -> bool:
    """Whether a value is the user's, or something that he put into a module of a package."""
    module, value = found.path.rpartition(".")[0], found.value
    namespace = namespace_of(module)
    if isinstance(value, type) or not namespace or ownership.is_users(namespace, module):
        return True
    if isinstance(value, FunctionType):
        return ownership.has_function(value)
    if isinstance(value, ModuleType):
        return ownership.is_users(vars(value), value.__name__)
    return ownership.has_class(type(value))


def _imported(
    instructions: list[dis.Instruction], index: int, namespace: dict[str, Any], ownership: Ownership
) -> Iterator[Found]:
    """Yield what an import inside a function takes."""
    level, names = (before.argval for before in instructions[index - 2 : index])
    full = imported_name(str(instructions[index].argval), level, str(namespace.get("__package__") or ""))
    module = sys.modules.get(full)
    if module is None or not ownership.is_users(vars(module), full):
        return
    if names is None:
        yield Found(full, module)
    for name in names or ():
        value = _attribute(module, name)
        if value is not _MISSING:
            yield Found(f"{full}.{name}", value)


def _named_by_text(code: CodeType, namespace: dict[str, Any], ownership: Ownership) -> Iterator[Found]:
    here = str(namespace.get("__name__", "?"))
    for text in _texts(code):
        if text in namespace:
            yield Found(f"{here}.{text}", namespace[text])
        module = sys.modules.get(text)
        if isinstance(module, ModuleType) and ownership.is_users(vars(module), text):
            yield Found(text, module)
