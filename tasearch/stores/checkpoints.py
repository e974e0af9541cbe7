"""Checkpoints: the state of a stage under way, replaced after each epoch and deleted at its end."""

from __future__ import annotations

import contextlib
import logging
import re
from pathlib import Path

from tasearch.domain.errors import StorageError
from tasearch.stores.files import header_for, sweep_abandoned, unseal, write_atomically

_SUFFIX = ".checkpoint"
logger = logging.getLogger(__name__)


class CheckpointStore:
    """Named bytes in a folder of this machine; the last `save` of a name wins."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made when first needed."""
        self._folder = folder
        sweep_abandoned(folder)

    def save(self, name: str, data: bytes) -> None:
        """Replace the checkpoint; a crash leaves the old one or the new one. Raises StorageError."""
        try:
            write_atomically(self._path(name), [header_for(data), data])
        except OSError as error:
            raise StorageError(
                f"cannot save checkpoint {name} in {self._folder}: {error.strerror or error}",
                hint="check the folder's space and permissions, or choose another with --home",
            ) from error

    def load(self, name: str) -> bytes | None:
        """Return the checkpoint, or None where there is none; a damaged one is logged and deleted.

        Raises StorageError where the file is there and cannot be read.
        """
        path = self._path(name)
        try:
            sealed = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(
                f"cannot read checkpoint {path}: {error.strerror or error}",
                hint="check the folder's permissions, or choose another with --home",
            ) from error
        data = unseal(sealed)
        if data is None:
            logger.warning("checkpoint %s is damaged and was deleted; its stage starts again", path)
            self.delete(name)
            return None
        return bytes(data)

    def delete(self, name: str) -> None:
        """Remove the checkpoint; an absent one is no error."""
        with contextlib.suppress(OSError):
            self._path(name).unlink()

    def _path(self, name: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}", name):
            raise ValueError(f"checkpoint name `{name}`; allowed: letters, digits, `.`, `_` and `-`")
        return self._folder / f"{name}{_SUFFIX}"


def checkpoint_files(folder: Path) -> list[Path]:
    """Return the files of all checkpoints in a folder; the name of each is its stem."""
    return sorted(folder.glob(f"*{_SUFFIX}"))
