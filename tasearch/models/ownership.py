"""Who wrote a piece of code: the user, whose code is part of a net's identity, or a package that is installed."""

from __future__ import annotations

import functools
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

MAIN = ("__main__", "__mp_main__")
"""What a script and an interactive session are called as modules."""
_LIBRARIES = ("torch", "torchvision", "timm", "tasearch")
_ZOOS = ("torchvision", "timm")
_NOT_LOADED: dict[str, Any] = {}


def is_of_library(name: str) -> bool:
    """Whether a module of this name is one of the libraries that nets are made with."""
    return name.partition(".")[0] in _LIBRARIES


def namespace_of(module_name: str | None) -> Mapping[str, Any]:
    """Return the globals of a module by its name; empty where it is not loaded."""
    module = sys.modules.get(module_name or "")
    return vars(module) if isinstance(module, ModuleType) else _NOT_LOADED


def is_installed(namespace: Mapping[str, Any], name: str) -> bool:
    """Whether a module is Python's own or lies where packages are installed, by its globals and its name."""
    file = namespace.get("__file__")
    if isinstance(file, str):
        return lies_with_packages(file)
    # A file of the user's may have the name of a module of Python's, a module without a file may not.
    return name not in MAIN and name.partition(".")[0] in sys.stdlib_module_names


@functools.lru_cache(maxsize=4096)
def lies_with_packages(file: str) -> bool:
    """Whether a file is part of Python or of a package that is installed."""
    path = Path(file).resolve()
    return any(path.is_relative_to(folder) for folder in _installed())


@functools.lru_cache(maxsize=1)
def _installed() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({Path(sysconfig.get_path(name)).resolve() for name in names})


class Ownership:
    """Tells the user's code from that of packages; the packages that a net's own layers come from count as his."""

    def __init__(self, module_names: tuple[str, ...] = ()) -> None:
        """Take the names of the modules that define the build function and the layers of a net."""
        tops = {name.partition(".")[0] for name in module_names if not is_of_library(name)}
        self._packages = {name for name in tops if name not in sys.stdlib_module_names}

    def is_users(self, namespace: Mapping[str, Any], name: str) -> bool:
        """Whether a module with these globals and this name is the user's."""
        if is_of_library(name):
            return _is_local_clone(namespace, name)
        return name.partition(".")[0] in self._packages or not is_installed(namespace, name)

    def has_function(self, function: FunctionType) -> bool:
        """Whether the user wrote a function: by its globals, as `functools.wraps` copies names of others' modules."""
        name = function.__globals__.get("__name__")
        if not isinstance(name, str):
            return True
        if self.is_users(function.__globals__, name):
            return not _is_code_of_package(function.__code__)
        return False

    def has_class(self, kind: type) -> bool:
        """Whether the user wrote a class, by the module that it names."""
        name = str(getattr(kind, "__module__", None))
        return self.is_users(namespace_of(name), name)


def _is_local_clone(namespace: Mapping[str, Any], name: str) -> bool:
    """Whether a module of torchvision or timm lies elsewhere than packages do: then it may be edited at any time."""
    file = namespace.get("__file__")
    return name.partition(".")[0] in _ZOOS and isinstance(file, str) and not lies_with_packages(file)


def _is_code_of_package(code: CodeType) -> bool:
    """Whether code with globals of the user's was written by Python itself, as the methods of named tuples are."""
    return code.co_filename.startswith(("<frozen", "<attrs generated"))
