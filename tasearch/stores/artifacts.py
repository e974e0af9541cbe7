"""Artifacts: immutable bytes named by their SHA-256, in a folder or on any store that fsspec reaches."""

from __future__ import annotations

import errno
import hashlib
import logging
import math
import os
import platform
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from tasearch.domain.errors import ArtifactError, StorageError, TasearchError
from tasearch.stores.engine import hide_password
from tasearch.stores.files import nearest_existing, probe_writable, sweep_abandoned, write_atomically
from tasearch.stores.hurry import is_out_of_time, pause

T = TypeVar("T")
logger = logging.getLogger(__name__)
GRACE_SECONDS = 3600.0
"""An artifact younger than this may have been stored by a worker that has not recorded it yet."""
_LASTING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG, errno.EFBIG)
"""A full or read-only disk is mended by people, not by a moment's wait."""
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss"}
"""Protocols without folders: making one would make a bucket, and a write is whole or absent by itself."""
_ARTIFACT_NAME = r"[0-9a-f]{2}/[0-9a-f]{2}/([0-9a-f]{64})"
_NOTES = "studies"
_NOTE_NAME = r"([0-9a-f]{32})\.json"
_LEFT_OVER_NAME = (
    r"[0-9a-f]{2}/[0-9a-f]{2}/\.?[0-9a-f]{64}\.[0-9a-f]{12}\.tmp"
    r"|studies/\.?[0-9a-f]{32}\.json\.[0-9a-f]{12}\.tmp|\.tasearch-[0-9a-f]{12}\.probe"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A file under the location that `ArtifactStore` has written."""

    name: str
    """Path below the location."""
    artifact_id: str | None
    """None: not an artifact but the rest of a write that was cut off."""
    size: int
    """Bytes."""
    modified: float
    """Seconds since 1970 by the clock of the location."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A note in an artifact location."""

    name: str
    text: str
    modified: float
    """Seconds since 1970 by the clock of the location."""


class ArtifactStore:
    """Content-addressed bytes under one location; safe to use from many processes."""

    def __init__(self, location: str, *, pauses: Sequence[float] = (0.5, 1.0, 2.0, 4.0, 8.0)) -> None:
        """`location`: a folder's path or an fsspec URL (`s3://bucket/folder`); `pauses`: seconds between tries where it
        fails in a way that may pass.

        Raises StorageError for a location that no installed file system serves.
        """
        self.location = hide_password(location)
        try:
            filesystem, root = url_to_fs(location)
        except ImportError as error:
            raise StorageError(
                f"artifact location {self.location} needs a package that is not installed: {error}",
                hint="`pip install tasearch[s3]` for s3://, gcsfs for gs://, or give a folder with --artifacts",
            ) from error
        except ValueError as error:
            raise StorageError(
                f"cannot use artifact location {self.location}: {error}",
                hint="give a folder or a URL such as s3://bucket/folder with --artifacts",
            ) from error
        self._filesystem: Any = filesystem
        self._pauses = tuple(pauses)
        self._root = str(root).rstrip("/") or "/"
        self._below = f"{self._root.rstrip('/')}/"
        self._local = isinstance(filesystem, LocalFileSystem)
        protocols = {filesystem.protocol} if isinstance(filesystem.protocol, str) else set(filesystem.protocol)
        self._has_folders = not protocols & _OBJECT_STORES

    @property
    def place(self) -> str:
        """The location for people on other machines: a folder with the host it lies on."""
        return f"{self.location} on {platform.node()}" if self._local else self.location

    def put(self, data: bytes) -> str:
        """Store `data` and return its artifact_id; an intact copy that is there already is left as it is.

        It then is young again, so that `tasearch gc` leaves it alone until it is recorded. Raises StorageError.
        """
        artifact_id = hashlib.sha256(data).hexdigest()
        path = self._path(artifact_id)

        def store() -> None:
            if self._read(path) != data:
                self._write(path, data)
            elif time.time() - self._modified(path) > GRACE_SECONDS / 2:
                self._renew(path, data)

        try:
            self._patiently(store)
        except Exception as error:  # every fsspec backend has exceptions of its own
            raise StorageError(
                f"cannot write an artifact under {self.location}: {_reason(error)}",
                hint="check that the location exists, has space left and may be written",
            ) from error
        return artifact_id

    def get(self, artifact_id: str) -> bytes:
        """Return the bytes. Raises ArtifactError where they are missing or damaged, StorageError where
        the location cannot be read."""
        path = self._path(artifact_id)
        try:
            data = self._patiently(lambda: self._read(path))
        except Exception as error:  # every fsspec backend has exceptions of its own
            raise StorageError(
                f"cannot read artifact {artifact_id[:12]} under {self.location}: {_reason(error)}",
                hint="check that the location can be reached and read",
            ) from error
        if data is None:
            raise ArtifactError(
                f"artifact {artifact_id[:12]} is missing: there is no {self.path_of(artifact_id)}",
                hint="the stage that made it can be trained again",
            )
        if hashlib.sha256(data).hexdigest() != artifact_id:
            raise ArtifactError(
                f"artifact {artifact_id[:12]} is damaged: {self.path_of(artifact_id)} does not match its hash",
                hint="the stage that made it can be trained again",
            )
        return data

    def exists(self, artifact_id: str) -> bool:
        """Whether there are bytes under this id; only `get` checks them. Raises StorageError."""
        path = self._path(artifact_id)
        try:
            return self._patiently(lambda: self._find(path)) is not None
        except Exception as error:  # every fsspec backend has exceptions of its own
            raise StorageError(
                f"cannot look for artifact {artifact_id[:12]} under {self.location}: {_reason(error)}",
                hint="check that the location can be reached and read",
            ) from error

    def path_of(self, artifact_id: str) -> str:
        """Return the artifact's path in a folder, or its URL elsewhere."""
        path = self._path(artifact_id)
        return path if self._local else hide_password(str(self._filesystem.unstrip_protocol(path)))

    def check_writable(self) -> None:
        """Raise StorageError unless artifacts can be written here; leaves nothing behind."""
        self.clock()

    def clock(self) -> float:
        """Return seconds since 1970 by the clock of the location, read from a file that is written and removed.

        Raises StorageError where it may not be written.
        """
        try:
            return probe_writable(nearest_existing(Path(self._root))) if self._local else self._probe_remote()
        except Exception as error:  # every fsspec backend has exceptions of its own
            raise StorageError(
                f"cannot write artifacts under {self.location}: {_reason(error)}",
                hint="choose a folder or URL that may be written with --artifacts",
            ) from error

    def files(self) -> list[StoredFile]:
        """Return every artifact, and what writes that were cut off have left. Raises StorageError."""
        found = self._asked(self._list)
        return [file for path, info in sorted(found.items()) if (file := self._stored_file(path, info)) is not None]

    def remove(self, name: str) -> None:
        """Remove a file of `files`; an absent one is no error. Raises StorageError."""
        path = f"{self._below}{name}"
        try:
            self._filesystem.rm_file(path)
        except FileNotFoundError:
            return
        except Exception as error:  # every fsspec backend has exceptions of its own
            raise StorageError(
                f"cannot remove {name} under {self.location}: {_reason(error)}",
                hint="check that the location may be written",
            ) from error

    def write_note(self, name: str, text: str) -> None:
        """Leave a note for whoever else uses this location; a note of that name is replaced. Raises StorageError."""
        try:
            self._write(self._note_path(name), text.encode())
        except Exception as error:  # every fsspec backend has exceptions of its own
            raise StorageError(
                f"cannot write under {self.location}: {_reason(error)}",
                hint="check that the location exists, has space left and may be written",
            ) from error

    def has_note(self, name: str) -> bool:
        """Whether a note of that name lies here. Raises StorageError."""
        return self._asked(lambda: self._find(self._note_path(name)) is not None)

    def notes(self) -> list[Note]:
        """Return every note, by name. Raises StorageError."""

        def read() -> list[Note]:
            self._filesystem.invalidate_cache()
            found = self._filesystem.find(f"{self._below}{_NOTES}", detail=True, withdirs=False)
            notes = []
            for path, info in sorted(found.items()):
                match = re.fullmatch(_NOTE_NAME, path.rpartition("/")[2])
                text = None if match is None else self._read(path)
                if match is not None and text is not None:
                    notes.append(Note(name=match[1], text=text.decode(errors="replace"), modified=_modified_in(info)))
            return notes

        return self._asked(read)

    def remove_note(self, name: str) -> None:
        """Remove a note; an absent one is no error. Raises StorageError."""
        self.remove(self._note_path(name).removeprefix(self._below))

    def _note_path(self, name: str) -> str:
        if not re.fullmatch(_NOTE_NAME, f"{name}.json"):
            raise ValueError(f"note `{name}`; allowed: 32 hexadecimal digits")
        return f"{self._below}{_NOTES}/{name}.json"

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Return what `ask` returns, asked again a few times where the location fails in a way that may pass."""
        for seconds in self._pauses:
            try:
                return ask()
            except Exception as error:  # every fsspec backend has exceptions of its own
                if not _may_pass(error):
                    raise
                logger.warning("%s: %s; trying again in %.1f s", self.location, _reason(error), seconds)
            pause(seconds)
            if is_out_of_time():
                break
        return ask()

    def _asked(self, ask: Callable[[], T]) -> T:
        """Return what `ask` finds; its failure is a StorageError."""
        try:
            return ask()
        except Exception as error:  # every fsspec backend has exceptions of its own
            raise StorageError(
                f"cannot read under {self.location}: {_reason(error)}",
                hint="check that the location can be reached and read",
            ) from error

    def _list(self) -> dict[str, dict[str, Any]]:
        self._filesystem.invalidate_cache()
        found: dict[str, dict[str, Any]] = self._filesystem.find(self._root, detail=True, withdirs=False)
        return found

    def _stored_file(self, path: str, info: dict[str, Any]) -> StoredFile | None:
        """Return what a listed file is to us, or None for a file that is not ours."""
        name = path.removeprefix(self._below)
        match = re.fullmatch(_ARTIFACT_NAME, name)
        if match is None and re.fullmatch(_LEFT_OVER_NAME, name) is None:
            return None
        artifact_id = None if match is None else match[1]
        return StoredFile(name=name, artifact_id=artifact_id, size=int(info["size"]), modified=_modified_in(info))

    def _path(self, artifact_id: str) -> str:
        """Return where the artifact lies: two levels of folders keep each one small."""
        if not re.fullmatch(r"[0-9a-f]{64}", artifact_id):
            raise ArtifactError(
                f"`{artifact_id[:80]}` is not an artifact id; allowed: 64 hexadecimal digits",
                hint="`tasearch status --json` shows the ids of a study",
            )
        return f"{self._below}{artifact_id[:2]}/{artifact_id[2:4]}/{artifact_id}"

    def _read(self, path: str) -> bytes | None:
        """Return the bytes, or None where there is no such file."""
        try:
            data: bytes = self._filesystem.cat_file(path)
        except FileNotFoundError as error:
            if _is_without_bucket(error):
                raise
            return None
        return data

    def _find(self, path: str) -> dict[str, Any] | None:
        """Return what the file system knows of a file, or None where there is none."""
        # Another machine may have written since this process last looked.
        self._filesystem.invalidate_cache()
        try:
            # Not `isfile`, which takes any failure for an absent file.
            info: dict[str, Any] = self._filesystem.info(path)
        except FileNotFoundError as error:
            if _is_without_bucket(error):
                raise
            return None
        return info if info["type"] == "file" else None

    def _modified(self, path: str) -> float:
        info = self._find(path)
        return -math.inf if info is None else _modified_in(info)

    def _renew(self, path: str, data: bytes) -> None:
        """Make an intact artifact young again."""
        if self._local:
            os.utime(path)
        else:
            self._write(path, data)

    def _write(self, path: str, data: bytes) -> None:
        if self._local:
            write_atomically(Path(path), [data])
            sweep_abandoned(Path(path).parent)
            return
        if not self._has_folders:
            self._filesystem.pipe_file(path, data)
            return
        self._filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        temporary = f"{path}.{secrets.token_hex(6)}.tmp"
        try:
            self._filesystem.pipe_file(temporary, data)
            self._filesystem.mv(temporary, path)
        except BaseException:
            if self._filesystem.exists(temporary):
                self._filesystem.rm_file(temporary)
            raise

    def _probe_remote(self) -> float:
        fresh = self._has_folders and not self._filesystem.exists(self._root)
        if fresh:
            self._filesystem.makedirs(self._root, exist_ok=True)
        probe = f"{self._below}.tasearch-{secrets.token_hex(6)}.probe"
        self._filesystem.pipe_file(probe, b"tasearch")
        modified = self._modified(probe)
        self._filesystem.rm_file(probe)
        if fresh:
            self._filesystem.rmdir(self._root)
        return modified


def _may_pass(error: Exception) -> bool:
    """Whether the same call may succeed a moment later: a shared disk or a service that is away or overloaded."""
    if isinstance(error, TasearchError):
        return False
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return False
    return not (isinstance(error, OSError) and error.errno in _LASTING)


def _is_without_bucket(error: FileNotFoundError) -> bool:
    """Whether the whole bucket is absent, which says nothing about an artifact."""
    return "bucket does not exist" in str(error)


def _modified_in(info: dict[str, Any]) -> float:
    """Return when a listed file was written; infinity where the file system does not tell: never old."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(key)
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, int | float):
            return float(value)
    return math.inf


def _reason(error: Exception) -> str:
    return hide_password(str(error)) or type(error).__name__
