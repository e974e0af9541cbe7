"""Attributes of layers as text: equal for equal values in every process, different for different ones."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_LIBRARIES = ("torch", "torchvision", "timm", "tasearch")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_CONTAINERS = (Mapping, list, tuple, set, frozenset)
_DEPTH = 12
"""Of values inside values; beyond it only types are said."""


def is_of_library(name: str) -> bool:
    """Whether a module of this name is one of the libraries that nets are made with."""
    return name.partition(".")[0] in _LIBRARIES


def is_installed(module: ModuleType) -> bool:
    """Whether a module is Python's own or lies where packages are installed."""
    if module.__name__.partition(".")[0] in sys.stdlib_module_names - {"__main__"}:
        return True
    file = getattr(module, "__file__", None)
    return file is not None and any(Path(file).resolve().is_relative_to(folder) for folder in _installed())


@functools.lru_cache(maxsize=1)
def _installed() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({Path(sysconfig.get_path(name)).resolve() for name in names})


def without_addresses(text: str) -> str:
    """Return a `repr` without the places in memory that it may name: they are others in each process."""
    return _ADDRESS.sub("", text)


def described(value: Any) -> str:
    """Return a text for a value: numbers and texts as they print, tensors by their bytes, functions by their code.

    Containers and objects of the user's are described by what they hold (what refers back to itself by its type),
    functions and objects of installed packages by their names and by how they print: they may hold locks and files.
    """
    return _described(value, (), _DEPTH, {})


def tensor_text(tensor: Tensor) -> str:
    """Return type, shape and SHA-256 of the bytes of a tensor."""
    shown = f"{tensor.dtype} {tuple(tensor.shape)}"
    if tensor.is_meta or tensor.layout is not torch.strided or tensor.is_quantized:
        return shown
    plain = tensor.detach().cpu().contiguous().resolve_conj().resolve_neg()
    return f"{shown} {_sha256(plain.reshape(-1).view(torch.uint8).numpy().tobytes())}"


def _described(value: Any, above: tuple[int, ...], depth: int, seen: dict[int, Any]) -> str:
    name = _type_name(type(value))
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return f"{name} {value!r}"
    if isinstance(value, Tensor):
        return tensor_text(value)
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {_sha256(without_addresses(repr(value.tolist())).encode())}"
    if isinstance(value, type | ModuleType):
        return _type_name(value) if isinstance(value, type) else f"module {value.__name__}"
    if depth == 0 or id(value) in above:
        return name
    if not isinstance(value, _CONTAINERS):
        # Objects may refer to each other in many ways: each is described once, where it comes first.
        if id(value) in seen:
            return f"{name} {list(seen).index(id(value))}"
        seen[id(value)] = value
    inside = functools.partial(_described, above=(*above, id(value)), depth=depth - 1, seen=seen)
    return f"{name}({', '.join(f'{key}={inside(part)}' for key, part in _parts(value, inside))})"


def _parts(value: Any, inside: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a value consists of, by names that are the same in every process."""
    if isinstance(value, Mapping):
        yield from ((inside(key), part) for key, part in value.items())
    elif isinstance(value, list | tuple):
        yield from ((str(number), part) for number, part in enumerate(value))
    elif isinstance(value, set | frozenset):
        # Each by itself: members come in another order in every process.
        yield "", sorted(inside(part, seen={}) for part in value)
    elif isinstance(value, functools.partial):
        yield from (("func", value.func), ("args", value.args), ("keywords", value.keywords))
    elif isinstance(value, MethodType):
        yield from (("func", value.__func__), ("self", value.__self__))
    elif isinstance(value, FunctionType):
        yield from _of_function(value)
    elif isinstance(value, nn.Module):
        yield "", without_addresses(repr(value))
        yield from ((name, tensor) for name, tensor in value.state_dict().items())
    elif isinstance(value, BuiltinFunctionType):
        yield "", f"{value.__module__}.{value.__qualname__}"
    else:
        yield from _of_object(value)


def _of_function(function: FunctionType) -> Iterator[tuple[str, Any]]:
    yield "", f"{function.__module__}.{function.__qualname__}"
    if _is_foreign(function.__module__):
        return
    try:
        yield "source", inspect.getsource(function)
        # Of a lambda that is the whole statement, in which others may stand too.
        is_all = function.__name__ != "<lambda>"
    except (OSError, TypeError):
        is_all = False
    if not is_all:
        yield "code", _code(function.__code__)
    yield from (("defaults", function.__defaults__), ("keywords", function.__kwdefaults__))
    for number, cell in enumerate(function.__closure__ or ()):
        try:
            yield f"cell {number}", cell.cell_contents
        except ValueError:  # not filled yet
            continue


def _code(code: CodeType) -> tuple[Any, ...]:
    constants = tuple(_code(part) if isinstance(part, CodeType) else part for part in code.co_consts)
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants


def _of_object(value: Any) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(value):
        yield from ((field.name, getattr(value, field.name, None)) for field in dataclasses.fields(value))
        return
    yield "", without_addresses(repr(value))
    if not _is_foreign(type(value).__module__):
        yield from sorted({**_slots(value), **getattr(value, "__dict__", {})}.items())


def _is_foreign(module_name: str | None) -> bool:
    module = sys.modules.get(module_name or "")
    return module is not None and (is_of_library(module.__name__) or is_installed(module))


def _slots(value: Any) -> dict[str, Any]:
    names = [name for kind in type(value).__mro__ for name in _names(kind)]
    return {name: getattr(value, name) for name in names if hasattr(value, name) and not name.startswith("__")}


def _names(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _type_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
