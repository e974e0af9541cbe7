"""The files that code of the user's opens for reading while a net is built and run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tasearch.models.description import sha256
from tasearch.models.ownership import lies_with_packages

_OF_SYSTEM = ("/proc/", "/dev/", "/sys/", "/etc/", "/usr/share/", "/usr/lib/")
_CACHES = ("__pycache__", "torchinductor", "triton")
"""Beginnings of names of folders whose files follow from other files."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND


class FilesRead:
    """Collects paths of files that one thread opens while `collected` is entered."""

    def __init__(self) -> None:
        """Start with none."""
        self._read: dict[str, None] = {}
        self._written: set[str] = set()

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """Note the files that this thread opens within the block."""
        _install_hook()
        before, _ACTIVE.files = getattr(_ACTIVE, "files", None), self
        try:
            yield
        finally:
            _ACTIVE.files = before

    def note(self, path: Any, mode: Any, flags: Any) -> None:
        """Note one call of `open`, as Python's audit event describes it."""
        if not isinstance(path, str | bytes | os.PathLike):
            return
        full = _absolute(os.fsdecode(path))
        is_written = bool(set("wax+") & set(mode)) if isinstance(mode, str) else bool(int(flags or 0) & _WRITING)
        if is_written:
            self._written.add(full)
        else:
            self._read.setdefault(full)

    def parts(self, folders: Sequence[str]) -> dict[str, str]:
        """Return the hashes of the bytes of the files that were only read.

        Args:
            folders: The folders of the user's code, longest first; names are relative to the first that holds a file.

        Returns:
            A text for each name. Of a file that lies in none of the folders only its own name is said.
        """
        sources = {_absolute(file) for file in map(_file_of, list(sys.modules.values())) if file}
        found: dict[str, list[str]] = {}
        for path in self._read:
            if path not in self._written and path not in sources and _counts(path):
                # A file may be gone by now, or not be readable as a whole.
                with contextlib.suppress(OSError), Path(path).open("rb") as file:
                    found.setdefault(_name(path, folders), []).append(hashlib.file_digest(file, "sha256").hexdigest())
        return {
            f"file read {name}": hashes[0] if len(hashes) == 1 else sha256(" ".join(sorted(hashes)))
            for name, hashes in found.items()
        }


_ACTIVE = threading.local()
_INSTALLED: list[bool] = []
"""Whether the hook is there: an audit hook cannot be taken away again, so that a process has one."""


def _install_hook() -> None:
    if not _INSTALLED:
        _INSTALLED.append(True)
        sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open":
        return
    files = getattr(_ACTIVE, "files", None)
    if files is not None:
        # An exception would make the user's `open` fail.
        with contextlib.suppress(Exception):
            files.note(*arguments)


def _absolute(path: str) -> str:
    # Not `Path.resolve`, which would follow links and so name the place where data are kept.
    return os.path.abspath(path)  # noqa: PTH100


def _file_of(module: Any) -> str | None:
    with contextlib.suppress(Exception):
        file = vars(module).get("__file__")
        return file if isinstance(file, str) else None
    return None


def _counts(path: str) -> bool:
    if path.startswith(_OF_SYSTEM) or path.endswith((".pyc", ".pyo")):
        return False
    if any(part.startswith(_CACHES) for part in Path(path).parts):
        return False
    return Path(path).is_file() and not lies_with_packages(path)


def _name(path: str, folders: Sequence[str]) -> str:
    for folder in folders:
        if Path(path).is_relative_to(folder):
            return Path(path).relative_to(folder).as_posix()
    return Path(path).name
