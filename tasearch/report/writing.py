"""Files of a report: each is whole or absent."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from tasearch.domain.errors import StorageError


def write_text(target: Path, text: str) -> Path:
    """Write a text file, making its folder if absent, and return its path.

    A reader sees the old file or the new one, never a part. Raises StorageError if the folder cannot be used.
    """
    temporary = target.parent / f".{target.name}.{secrets.token_hex(8)}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("x", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"the report cannot be written to {target}: {error.strerror or error}",
            hint="choose a folder that you can write to",
        ) from error
    return target
