"""What a net that is not ours is, as one hash: two different nets must never share a stage."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from tasearch.models.description import described, is_installed, is_of_library, tensor_text, without_addresses

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def net_hash(net: nn.Module) -> str:
    """Return the SHA-256 over the architecture of a library's net: names, types and shapes, layers as they print."""
    return _sha256(_shapes(net))


def user_net_hash(net: nn.Module, other: nn.Module, build: Callable[..., nn.Module]) -> str:
    """Return the SHA-256 over what a net of the user's consists of and over the code that says what it does.

    `other` is the same net from another random state: values of weights, buffers and attributes that do not depend on
    it belong to the identity (constants, weights that the code loads), all others follow from the seed. The code: the
    text of the modules that define `build` and the layers, and of what these import from the user's own code, line
    endings aside. A comment that changes makes another net: nobody can tell code that matters from code that does not.
    """
    values, elsewhere = _values(net), _values(other)
    fixed = [f"{name} = {text}" for name, text in sorted(values.items()) if elsewhere.get(name) == text]
    tensors, drawn = _tensors(net), _tensors(other)
    fixed += [f"{name} = {tensor_text(t)}" for name, t in sorted(tensors.items()) if _same_bits(t, drawn.get(name))]
    sources = [f"{name}\n{text.decode(errors='replace')}" for name, text in sorted(_sources(net, build).items())]
    return _sha256([*_shapes(net), *fixed, *sources])


def _shapes(net: nn.Module) -> list[str]:
    state = [f"{name} {tensor.dtype} {tuple(tensor.shape)}" for name, tensor in sorted(net.state_dict().items())]
    return [*state, without_addresses(repr(net))]


def _tensors(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in (*net.named_parameters(), *net.named_buffers())}


def _same_bits(one: Tensor, other: Tensor | None) -> bool:
    """Whether two tensors hold the same bits: comparing is quicker than hashing what follows from the seed."""
    if other is None or one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(*(tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other)))


def _values(net: nn.Module) -> dict[str, str]:
    """Return the attributes of every layer of a net, by layer and name."""
    found: dict[str, str] = {}
    for name, layer in net.named_modules():
        # A library's layers say of themselves what matters, except for functions that they were given.
        functions_only = is_of_library(type(layer).__module__)
        for attribute, value in vars(layer).items():
            if attribute not in _OF_EVERY_MODULE and not (functions_only and not callable(value)):
                found[f"{name}:{attribute}"] = described(value)
    return found


def _sha256(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()


def _sources(net: nn.Module, build: Callable[..., nn.Module]) -> dict[str, bytes]:
    """Return the text of every module of the user's that has a part in the net, by its name."""
    build = _innermost(build)
    roots = [build.__module__ or "", *(type(layer).__module__ for layer in net.modules())]
    packages = {name.partition(".")[0] for name in roots if not is_of_library(name)}
    found: dict[str, bytes] = {}
    waiting = list(dict.fromkeys(roots))
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        if name in found or module is None or is_of_library(name) or not _is_of_user(module, packages):
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
    if module.__name__.partition(".")[0] in packages:
        return True
    return getattr(module, "__file__", None) is not None and not is_installed(module)


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
        return b"" if is_of_library(part.__module__) else inspect.getsource(part).encode()
    except (OSError, TypeError):
        return b""
