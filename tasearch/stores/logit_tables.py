"""Teacher tables: logits computed once per (teacher, replicate, epoch) and reused by every stage they teach.

A cache: a table may vanish or be damaged at any time, and the caller then computes it again, bit-identically
(invariant 4: what the loss uses is what is stored).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import logging
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tasearch.stores.files import header_for, sweep_abandoned, unseal, write_atomically

logger = logging.getLogger(__name__)

Logits = NDArray[np.float16]


class LogitTables:
    """A folder of float16 arrays with a size limit, least recently used out first; shared by processes."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """`folder` is made when first needed; pinned tables may push it over `limit_bytes` for a while."""
        if limit_bytes < 0:
            raise ValueError(f"limit of {limit_bytes} bytes; allowed: 0 or more")
        self._folder = folder
        self._limit = limit_bytes
        sweep_abandoned(folder)

    def get(self, key: str) -> Logits | None:
        """Return the table as a writable array, or None where it is absent; a damaged one is logged and deleted."""
        path = self._path(key)
        try:
            sealed = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("cannot read teacher table %s (%s); it is computed again", path, error)
            return None
        array = _decode(sealed)
        if array is None:
            logger.warning("teacher table %s is damaged and was deleted; it is computed again", path)
            _unlink(path)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return array

    def put(self, key: str, array: Logits) -> None:
        """Store a float16 array of any shape, then evict down to the limit.

        A table that cannot be kept (too big, disk full) is logged and left out. Raises ValueError for another dtype.
        """
        if array.dtype != np.float16:
            raise ValueError(f"teacher table of dtype {array.dtype}; allowed: float16")
        path = self._path(key)
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        data = buffer.getbuffer()
        header = header_for(data)
        size = len(header) + len(data)
        if size > self._limit:
            logger.warning("teacher table of %d bytes exceeds the limit of %d; not kept", size, self._limit)
            return
        try:
            # Not synced to disk: after a power cut the hash tells, and the table is computed again.
            write_atomically(path, [header, data], durable=False)
        except OSError as error:
            logger.warning("cannot keep teacher table %s: %s", path, error)
            return
        self._evict()

    @contextlib.contextmanager
    def pin(self, key: str) -> Iterator[None]:
        """Keep the table from being evicted by any process while the context is open.

        The pin is a locked file, so that the pin of a process that was killed ends with it.
        """
        try:
            pin = self._place_pin(self._path(key))
        except OSError as error:
            logger.warning("cannot pin teacher table in %s (%s); it may be evicted", self._folder, error)
            yield
            return
        try:
            yield
        finally:
            _unlink(Path(pin.name))
            pin.close()

    def _path(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.table"

    def _place_pin(self, path: Path) -> IO[bytes]:
        """Return a new, locked pin file. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            pin = (self._folder / f"{path.stem}.{secrets.token_hex(6)}.pin").open("xb")
            try:
                fcntl.flock(pin, fcntl.LOCK_EX)
                # Between making and locking it, another process may have taken it for a dead one's.
                if os.fstat(pin.fileno()).st_nlink == 1:
                    return pin
            except BaseException:
                _unlink(Path(pin.name))
                pin.close()
                raise
            pin.close()

    def _evict(self) -> None:
        """Remove tables, least recently used first, until the rest fits; pinned ones stay."""
        tables = []
        for path in self._folder.glob("*.table"):
            with contextlib.suppress(OSError):
                status = path.stat()
                tables.append((status.st_mtime_ns, path.name, status.st_size, path))
        total = sum(size for _, _, size, _ in tables)
        for _, _, size, path in sorted(tables):
            if total <= self._limit:
                return
            if discard_table(path):
                total -= size


def idle_tables(folder: Path, seconds: float) -> list[Path]:
    """Return the tables that nobody has written or read for so long and that no living process has pinned."""
    found = []
    for path in sorted(folder.glob("*.table")):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > seconds and not _is_pinned(path, tidy=False):
                found.append(path)
    return found


def discard_table(path: Path) -> bool:
    """Remove a table, unless a living process has pinned it."""
    if _is_pinned(path):
        return False
    _unlink(path)
    return True


def _is_pinned(path: Path, *, tidy: bool = True) -> bool:
    """Whether a living process holds a pin of the table; with `tidy`, pins of dead ones are removed."""
    return any(_is_held(pin, tidy) for pin in path.parent.glob(f"{path.stem}.*.pin"))


def _is_held(pin: Path, tidy: bool) -> bool:
    try:
        with pin.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if tidy:
                _unlink(pin)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _decode(sealed: bytes) -> Logits | None:
    """Return the array, or None where the bytes do not match their hash or hold something else."""
    data = unseal(sealed)
    if data is None:
        return None
    try:
        array: Logits = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError):
        return None
    return array if array.dtype == np.float16 else None
