"""Whether a net of torchvision or timm is the library's own: its names and classes can be given code of the user's."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as module_of_torch

from tasearch.models.ownership import Ownership, lies_with_packages
from tasearch.models.reached_code import GLOBAL_HOOKS, Walk

_NO_CODE = frozenset({str, int, bool, float, type(None), dict, tuple, list, ModuleType, BuiltinFunctionType})
_FILES_OF_PACKAGES: set[str] = set()
"""Files that were found to lie where packages are installed."""


def code_of_users(build: Callable[..., nn.Module], net: nn.Module | None = None) -> list[Any]:
    """Return the functions and classes of the user's in the place of a library's, empty for a net as it was installed.

    Looked at are the function that builds a net, the classes of its layers with their methods, functions and classes
    in the modules that define these, functions that single layers hold, and hooks of all modules. Code that does not
    lie where packages are installed is the user's: a cell, a script, a local clone.

    Args:
        build: The function that a library has under the name of a net.
        net: What it built; without one only `build` and global hooks are looked at.
    """
    found = [*_of_users(build), *_hooks()]
    kinds = tuple(dict.fromkeys(type(layer) for layer in net.modules())) if net is not None else ()
    return [*found, *code_of_users_in(kinds), *_of_layers(net)]


def code_of_users_in(kinds: Iterable[type]) -> list[Any]:
    """Return the functions and classes of the user's in the classes of layers and in the modules that define them."""
    classes = dict.fromkeys(base for kind in kinds for base in kind.__mro__ if base is not object)
    if not classes:
        return []
    modules = dict.fromkeys(["torch.nn.functional", *(str(base.__module__) for base in classes)])
    found: list[Any] = [base for base in classes if not _is_installed_class(base)]
    for base in classes:
        for value in list(vars(base).values()):
            if not _is_plainly_installed(value):
                found += _of_users(value)
    for name in modules:
        for value in list(vars(sys.modules[name]).values()) if name in sys.modules else ():
            if _is_plainly_installed(value):
                continue
            if isinstance(value, FunctionType) or (isinstance(value, type) and issubclass(value, nn.Module)):
                found += _of_users(value)
    return list({id(value): value for value in found}.values())


def state_of(values: Iterable[Any]) -> str:
    """Return a text that changes where one of these functions and classes, or what it leads to, is replaced."""
    found = list(values)
    walk = Walk(Ownership(tuple(str(getattr(value, "__module__", "")) for value in found)), quick=True)
    for value in found:
        walk.visit(f"{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', '?')}", value)
    return walk.digest()


def _hooks() -> Iterator[Any]:
    for kind in GLOBAL_HOOKS:
        for hook in list(getattr(module_of_torch, kind, {}).values()):
            yield from _of_users(hook)


def _of_layers(net: nn.Module | None) -> Iterator[Any]:
    for layer in net.modules() if net is not None else ():
        for value in vars(layer).values():
            if isinstance(value, FunctionType) or hasattr(value, "__func__"):
                yield from _of_users(value)


def _of_users(value: Any) -> Iterator[Any]:
    """Yield the functions and classes behind an attribute that the user wrote; wrapped ones are looked at as well."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, property):
            waiting += [part for part in (value.fget, value.fset) if part is not None]
        elif isinstance(value, functools.partial):
            waiting.append(value.func)
        elif isinstance(value, type):
            if not _is_installed_class(value):
                yield value
        elif isinstance(value, FunctionType):
            if not _is_installed_function(value):
                yield value
            if "__wrapped__" in vars(value):
                waiting.append(vars(value)["__wrapped__"])
        elif isinstance(value, classmethod | staticmethod) or hasattr(value, "__func__"):
            waiting.append(value.__func__)


def _is_plainly_installed(value: Any) -> bool:
    """Whether a value is of a package or no code at all; a quick answer for most of some thousand values."""
    kind = type(value)
    if kind is FunctionType:
        return value.__code__.co_filename in _FILES_OF_PACKAGES and not value.__dict__
    return kind in _NO_CODE


def _is_installed_function(function: FunctionType) -> bool:
    file = function.__code__.co_filename
    if file.startswith("<frozen"):
        return True
    if file.startswith("<"):
        # What a package makes by `exec`, as dataclasses do, has the globals of the package.
        return _is_file_of_package(function.__globals__.get("__file__"), str(function.__globals__.get("__name__")))
    if not _is_file_of_package(file, str(function.__globals__.get("__name__"))):
        return False
    _FILES_OF_PACKAGES.add(file)
    return True


def _is_installed_class(kind: type) -> bool:
    name = str(kind.__module__)
    module = sys.modules.get(name)
    if not isinstance(module, ModuleType):
        return False
    return _is_file_of_package(getattr(module, "__file__", None), name) or name in sys.builtin_module_names


def _is_file_of_package(file: Any, name: str) -> bool:
    # PyTorch that was built in its own folder is still PyTorch, as is what tasearch puts into its nets.
    if name.partition(".")[0] in ("torch", "tasearch"):
        return not isinstance(file, str) or lies_with_packages(file) or _lies_with(file, name.partition(".")[0])
    return isinstance(file, str) and lies_with_packages(file)


@functools.lru_cache(maxsize=2)
def _folder_of(package: str) -> str:
    return str(getattr(sys.modules.get(package, torch), "__file__", "")).rpartition("__init__")[0]


def _lies_with(file: str, package: str) -> bool:
    return file.startswith(_folder_of(package))
