"""The files of the user's code that have a part in a net: their text, and that of the files that they import."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from tasearch.models.ownership import MAIN, Ownership, lies_with_packages, namespace_of

Namespace = Mapping[str, Any]


def module_texts(modules: Mapping[str, Namespace], ownership: Ownership) -> dict[str, bytes]:
    """Return the text of the user's modules and of what these import of the user's, by name, line endings aside.

    `modules`: their globals, by name. A script or a session (`__main__`) is left out: most of it is the study, and
    what a net reaches in it is found by `models.reached_code`. A comment in a file counts: nobody can tell text that
    matters from text that does not.
    """
    found: dict[str, bytes] = {}
    waiting = [(name, namespace) for name, namespace in modules.items() if ownership.is_users(namespace, name)]
    while waiting:
        name, namespace = waiting.pop()
        if name in found or name in MAIN or not namespace:
            continue
        found[name] = _text(namespace)
        package = str(namespace.get("__package__") or "")
        for other in _imports(found[name], package):
            theirs = namespace_of(other) or _not_loaded(other)
            if theirs and ownership.is_users(theirs, other):
                waiting.append((other, theirs))
    return found


def folders_of(modules: Iterable[Namespace]) -> tuple[str, ...]:
    """Return the folders of the user's files, the current, home and temporary one, longest first.

    A net may know where it lies, and where a machine keeps things.
    """
    files = [namespace.get("__file__") for namespace in modules]
    folders = {Path(file).parent for file in files if isinstance(file, str) and not lies_with_packages(file)}
    folders.add(Path.cwd())
    # A folder below the root would be found in many paths that have nothing to do with it.
    found = {folder for folder in _with_resolved(folders) if len(folder.parts) > 2}
    found |= {folder for folder in _with_resolved(_folders_of_machine()) if len(folder.parts) > 1}
    return tuple(sorted(map(str, found), key=lambda text: (-len(text), text)))


def _with_resolved(folders: set[Path]) -> set[Path]:
    return folders | {folder.resolve() for folder in folders}


def _folders_of_machine() -> set[Path]:
    """Return the home folder and the one for temporary files, as far as a process has them."""
    found = set()
    with contextlib.suppress(RuntimeError):
        found.add(Path.home())
    with contextlib.suppress(OSError):
        found.add(Path(tempfile.gettempdir()))
    return found


def imported_name(name: str, level: int, package: str) -> str:
    """Return the full name of a module that `from ..name import` speaks of in a package."""
    if not level:
        return name
    try:
        return importlib.util.resolve_name("." * level + name, package)
    except (ImportError, ValueError):
        return name


def _not_loaded(name: str) -> Namespace:
    """Return file and package of a module that nobody imported yet, without importing it or its package.

    Whether a module that is imported inside a function is loaded depends on what else the process did.
    """
    path: Sequence[str] | None = None
    spec = None
    parts = name.split(".")
    for number in range(len(parts)):
        if number and path is None:
            return {}
        try:
            spec = PathFinder.find_spec(".".join(parts[: number + 1]), path)
        except (ImportError, ValueError):
            return {}
        if spec is None:
            return {}
        path = spec.submodule_search_locations
    if spec is None or spec.origin is None or not spec.has_location:
        return {}
    return {"__file__": spec.origin, "__package__": name if path is not None else name.rpartition(".")[0]}


def _text(namespace: Namespace) -> bytes:
    file = namespace.get("__file__")
    try:
        return b"" if not isinstance(file, str) else Path(file).read_bytes().replace(b"\r\n", b"\n")
    except OSError:
        return b""


@functools.lru_cache(maxsize=512)
def _imports(text: bytes, package: str) -> tuple[str, ...]:
    """Return what a module's text imports: by its text, because what lies in a package depends on who imported what."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ()
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [part for alias in node.names for part in _with_parents(alias.name)]
        elif isinstance(node, ast.ImportFrom):
            base = imported_name(node.module or "", node.level, package)
            found += [*_with_parents(base), *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(dict.fromkeys(found))


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
