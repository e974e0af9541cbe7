"""Files that are either whole or absent: written beside, renamed into place, hash checked on read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_MAGIC = b"tasearch-sealed-1 "
HEADER_BYTES = len(_MAGIC) + 64 + 1
"""Length of the header that `seal` puts before the data."""
TEMPORARY_SUFFIX = ".tmp"
ABANDONED_SECONDS = 3600.0
"""A temporary file this old belongs to a process that was killed."""


def header_for(data: bytes | memoryview) -> bytes:
    """Return the header that makes `header + data` a sealed file."""
    return _MAGIC + hashlib.sha256(data).hexdigest().encode() + b"\n"


def unseal(sealed: bytes) -> memoryview | None:
    """Return the data behind the header without copying, or None where it does not match its hash."""
    data = memoryview(sealed)[HEADER_BYTES:]
    return data if sealed[:HEADER_BYTES] == header_for(data) else None


def write_atomically(path: Path, chunks: Sequence[bytes | memoryview], *, durable: bool = True) -> None:
    """Write `chunks` one after another to `path`, so that a reader sees the old file or the whole new one.

    `durable` also survives a power cut (fsync of the file and its folder). Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}"
    try:
        with temporary.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        _sync_folder(path.parent)


def sweep_abandoned(folder: Path) -> None:
    """Remove temporary files that a killed process left in `folder` more than an hour ago."""
    for temporary in abandoned(folder):
        with contextlib.suppress(OSError):
            temporary.unlink()


def abandoned(folder: Path) -> list[Path]:
    """Return the temporary files that a killed process left in `folder` more than an hour ago."""
    found = []
    with contextlib.suppress(OSError):
        for temporary in sorted(folder.glob(f".*{TEMPORARY_SUFFIX}")):
            with contextlib.suppress(OSError):
                if time.time() - temporary.stat().st_mtime > ABANDONED_SECONDS:
                    found.append(temporary)
    return found


def probe_writable(folder: Path) -> float:
    """Raise OSError unless a file can be written in the existing `folder`; leaves nothing behind.

    Asks by doing: permission bits say little on network disks, in containers and for root. Returns the file's
    modification time: seconds since 1970 by the clock of the file system.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"tasearch")
        file.flush()
        return os.fstat(file.fileno()).st_mtime


def nearest_existing(folder: Path) -> Path:
    """Return the folder, or the closest one above it that exists. Raises NotADirectoryError for a file."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file")
    return folder


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
