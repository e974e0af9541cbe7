"""What a net that is not ours is, as one hash: two different nets must never share a stage."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

_LIBRARIES = ("torch", "torchvision", "timm", "tasearch")
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_SIMPLE = (bool, int, float, str, type(None))


def net_hash(net: nn.Module, build: Callable[..., nn.Module] | None) -> str:
    """Return the SHA-256 over what a net consists of and, where `build` made it, over the code that says what it does.

    The architecture: names, types and shapes of the state, each layer as it prints, and plain attributes of layers
    that are not of a library. The code: the text of the modules that define `build` and the layers, and of what these
    import from the user's own code, line endings aside. A comment that changes makes another net: nobody can tell code
    that matters from code that does not.
    """
    digest = hashlib.sha256()
    for line in _architecture(net):
        digest.update(f"{line}\n".encode())
    if build is not None:
        for name, text in sorted(_sources(net, build).items()):
            digest.update(f"{name}\n".encode() + text + b"\n")
    return digest.hexdigest()


def _architecture(net: nn.Module) -> Iterator[str]:
    for name, tensor in sorted(net.state_dict().items()):
        yield f"{name} {tensor.dtype} {tuple(tensor.shape)}"
    yield repr(net)
    for name, layer in net.named_modules():
        if _library(type(layer).__module__):
            continue
        for attribute, value in sorted(vars(layer).items()):
            if attribute not in _OF_EVERY_MODULE and _is_plain(value):
                yield f"{name}.{attribute} = {value!r}"


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return isinstance(value, _SIMPLE)


def _library(module_name: str) -> bool:
    return module_name.partition(".")[0] in _LIBRARIES


def _sources(net: nn.Module, build: Callable[..., nn.Module]) -> dict[str, bytes]:
    """Return the text of every module of the user's that has a part in the net, by its name."""
    build = _innermost(build)
    roots = [build.__module__ or "", *(type(layer).__module__ for layer in net.modules())]
    packages = {name.partition(".")[0] for name in roots if not _library(name)}
    found: dict[str, bytes] = {}
    waiting = list(dict.fromkeys(roots))
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        if name in found or module is None or _library(name) or not _is_of_user(module, packages):
            continue
        found[name] = _text(module)
        waiting += _imports(module, found[name])
    if not any(found.values()):
        # Typed into an interpreter: there is no file, but perhaps a text.
        found |= {getattr(part, "__qualname__", "?"): _own_text(part) for part in (build, *map(type, net.modules()))}
    return found


def _innermost(build: Callable[..., nn.Module]) -> Any:
    while isinstance(build, functools.partial):
        build = build.func
    return inspect.unwrap(build)


def _is_of_user(module: ModuleType, packages: set[str]) -> bool:
    file = getattr(module, "__file__", None)
    if module.__name__.partition(".")[0] in packages:
        return True
    if file is None:
        return False
    path = Path(file).resolve()
    return not any(path.is_relative_to(folder) for folder in _installed())


@functools.lru_cache(maxsize=1)
def _installed() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({Path(sysconfig.get_path(name)).resolve() for name in names})


def _text(module: ModuleType) -> bytes:
    file = getattr(module, "__file__", None)
    try:
        return b"" if file is None else Path(file).read_bytes().replace(b"\r\n", b"\n")
    except OSError:
        return b""


def _imports(module: ModuleType, text: bytes) -> list[str]:
    """Return what a module's text imports: by its text, because what lies in a package depends on who imported what."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [part for alias in node.names for part in _with_parents(alias.name)]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = (module.__package__ or "").split(".")
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            found += [*_with_parents(base), *(f"{base}.{alias.name}" for alias in node.names)]
    return found


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _own_text(part: Any) -> bytes:
    try:
        return b"" if _library(part.__module__) else inspect.getsource(part).encode()
    except (OSError, TypeError):
        return b""
