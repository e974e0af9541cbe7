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
_SILENT = ("EXTENDED_ARG", "CACHE", "PUSH_NULL", "PRECALL")
_SIMPLE = (*_CONSTANTS, "LOAD_GLOBAL", "LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_DEREF")
"""Instructions that put one value on the stack and look at no other."""
_BY_TEXT = {"globals", "vars", "locals", "eval", "exec", "getattr", "attrgetter", "import_module", "__import__"}
"""Names of functions that find others by texts."""
_ENVIRONMENT = {"environ", "getenv", "environb"}
_OF_MACHINE = {
    *("USER", "USERNAME", "LOGNAME", "HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "PWD", "OLDPWD", "SHELL", "PATH"),
    *("HOSTNAME", "HOST", "COMPUTERNAME", "LANG", "LC_ALL", "TERM", "DISPLAY", "VIRTUAL_ENV", "CONDA_PREFIX"),
    *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUBLAS_WORKSPACE_CONFIG"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "PYTHONHASHSEED"),
    *("PYTHONPATH", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME", "JPY_PARENT_PID", "SLURM_JOB_ID"),
}
"""Variables that say where a process runs. What follows from them shows in values and in operations."""
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
        instructions = [i for i in dis.get_instructions(part) if i.opname not in _SILENT]
        keys = _keys(part, instructions, namespace)
        for index, instruction in enumerate(instructions):
            rest = instructions[index + 1 :]
            if instruction.opname in _GLOBALS:
                name = str(instruction.argval)
                if name in namespace:
                    here = str(namespace.get("__name__", "?"))
                    yield from _chain(Found(f"{here}.{name}", namespace[name]), rest, ownership, keys)
                elif hasattr(builtins, name):
                    yield from _chain(Found(f"builtins.{name}", getattr(builtins, name)), [], ownership, {})
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
            if _VARIABLE.fullmatch(text) and text not in _OF_MACHINE:
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


def _chain(
    found: Found, rest: list[dis.Instruction], ownership: Ownership, keys: Mapping[str, str | int]
) -> Iterator[Found]:
    """Follow `.name`, `["name"]`, `[NAME]` and `.get("name")` behind a value, as long as these are plain look-ups.

    `keys`: the globals that may stand for a key.
    """
    place = 0
    while place < len(rest):
        following, value = rest[place], found.value
        looked_up = _looked_up(value, rest[place : place + 4], keys)
        if looked_up is not None:
            key, count, may_miss = looked_up
            inner, path = value.get(key, _MISSING), f"{found.path}[{key!r}]"
            if inner is _MISSING and may_miss:
                # That there is none decides what is computed, too.
                found = Found(f"{path} is missing", None)
                break
            place += count
        elif following.opname in _ATTRIBUTES:
            inner, path = _attribute(value, str(following.argval)), f"{found.path}.{following.argval}"
            if isinstance(value, ModuleType):
                path = f"{value.__name__}.{following.argval}"
            place += 1
        else:
            break
        if inner is _MISSING:
            break
        found = Found(path, inner)
    if _counts(found, ownership):
        yield found


def _looked_up(
    value: Any, following: list[dis.Instruction], keys: Mapping[str, str | int]
) -> tuple[Any, int, bool] | None:
    """Return the key that is looked up in a dict, the number of instructions, and whether the key may be missing."""
    if type(value) is not dict or len(following) < 2:
        return None
    if _is_subscript(following[1]):
        key = _key(following[0], keys)
        return None if key is _MISSING else (key, 2, False)
    if following[0].opname not in _ATTRIBUTES or following[0].argval != "get":
        return None
    # A default that takes more than one instruction may be anything: the whole dict counts then.
    count = 2 if len(following) > 3 and following[2].opname in _SIMPLE else 1
    call, key = following[1 + count : 2 + count], _key(following[1], keys)
    is_called = bool(call) and call[0].opname == "CALL" and call[0].arg == count
    return (key, count + 2, True) if is_called and key is not _MISSING else None


def _key(instruction: dis.Instruction, keys: Mapping[str, str | int]) -> Any:
    if instruction.opname in _CONSTANTS:
        return instruction.argval
    return keys.get(str(instruction.argval), _MISSING) if instruction.opname == "LOAD_GLOBAL" else _MISSING


def _keys(code: CodeType, instructions: list[dis.Instruction], namespace: Mapping[str, Any]) -> dict[str, str | int]:
    """Return the globals that code may look things up by and does not set itself."""
    set_here = {str(i.argval) for i in instructions if i.opname in ("STORE_GLOBAL", "DELETE_GLOBAL")}
    values: dict[str, Any] = {name: namespace.get(name) for name in code.co_names if name not in set_here}
    return {name: value for name, value in values.items() if type(value) in (str, int)}


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
