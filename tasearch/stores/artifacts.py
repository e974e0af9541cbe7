"""Artifacts: immutable bytes named by their SHA-256, in a folder or on any store that fsspec reaches."""

from __future__ import annotations

import hashlib
import re
import secrets
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from tasearch.domain.errors import ArtifactError, StorageError
from tasearch.stores.engine import hide_password
from tasearch.stores.files import nearest_existing, probe_writable, sweep_abandoned, write_atomically

_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss"}
"""Protocols without folders: making one would make a bucket, and a write is whole or absent by itself."""


class ArtifactStore:
    """Content-addressed bytes under one location; safe to use from many processes."""

    def __init__(self, location: str) -> None:
        """`location`: a folder's path or an fsspec URL (`s3://bucket/folder`).

        Raises StorageError for a location that no installed file system serves.
        """
        self.location = hide_password(location)
        try:
            filesystem, root = url_to_fs(location)
        except ImportError as error:
            raise StorageError(
                f"artifact location {self.location} needs a package that is not installed: {error}",
                hint="install it (s3fs for s3://, gcsfs for gs://), or give a folder with --artifacts",
            ) from error
        except ValueError as error:
            raise StorageError(
                f"cannot use artifact location {self.location}: {error}",
                hint="give a folder or a URL such as s3://bucket/folder with --artifacts",
            ) from error
        self._filesystem: Any = filesystem
        self._root = str(root).rstrip("/") or "/"
        self._local = isinstance(filesystem, LocalFileSystem)
        protocols = {filesystem.protocol} if isinstance(filesystem.protocol, str) else set(filesystem.protocol)
        self._has_folders = not protocols & _OBJECT_STORES

    def put(self, data: bytes) -> str:
        """Store `data` and return its artifact_id; changes nothing where an intact copy is there already.

        Raises StorageError.
        """
        artifact_id = hashlib.sha256(data).hexdigest()
        path = self._path(artifact_id)
        try:
            if self._read(path) == data:
                return artifact_id
            self._write(path, data)
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
            data = self._read(path)
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
            # Another machine may have written since this process last looked.
            self._filesystem.invalidate_cache()
            return bool(self._filesystem.isfile(path))
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
        try:
            if self._local:
                folder = nearest_existing(Path(self._root))
                probe_writable(folder)
            else:
                self._probe_remote()
        except Exception as error:  # every fsspec backend has exceptions of its own
            raise StorageError(
                f"cannot write artifacts under {self.location}: {_reason(error)}",
                hint="choose a folder or URL that may be written with --artifacts",
            ) from error

    def _path(self, artifact_id: str) -> str:
        """Return where the artifact lies: two levels of folders keep each one small."""
        if not re.fullmatch(r"[0-9a-f]{64}", artifact_id):
            raise ArtifactError(
                f"`{artifact_id[:80]}` is not an artifact id; allowed: 64 hexadecimal digits",
                hint="`tasearch status --json` shows the ids of a study",
            )
        return f"{self._root.rstrip('/')}/{artifact_id[:2]}/{artifact_id[2:4]}/{artifact_id}"

    def _read(self, path: str) -> bytes | None:
        """Return the bytes, or None where there is no such file."""
        try:
            data: bytes = self._filesystem.cat_file(path)
        except FileNotFoundError:
            return None
        return data

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

    def _probe_remote(self) -> None:
        fresh = self._has_folders and not self._filesystem.exists(self._root)
        if fresh:
            self._filesystem.makedirs(self._root, exist_ok=True)
        probe = f"{self._root.rstrip('/')}/.tasearch-{secrets.token_hex(6)}.probe"
        self._filesystem.pipe_file(probe, b"tasearch")
        self._filesystem.rm_file(probe)
        if fresh:
            self._filesystem.rmdir(self._root)


def _reason(error: Exception) -> str:
    return hide_password(str(error)) or type(error).__name__
