"""Decoded images kept in a file, so that a folder of images is decoded once."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import uuid
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

_LAYOUT = 1
"""Raised when what is stored, or how images are decoded, changes."""

log = logging.getLogger(__name__)


def key_of(root: Path, files: Iterable[str], image_size: int | None) -> str:
    """Return 64 hexadecimal digits that change with the name or content of any file and with the size.

    A file that was replaced is told by its length and times; of these only the time of the last change of its inode
    cannot be set by a program, such as one that unpacks or copies and keeps the other.
    """
    digest = hashlib.sha256(f"{_LAYOUT}/{image_size}\n".encode())
    prefix = str(root)
    for file in files:
        stat = os.stat(file)  # noqa: PTH116 - Path objects for all files would take longer than everything else
        line = f"{file.removeprefix(prefix)}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}\0{stat.st_ino}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def read(path: Path, names: tuple[str, ...]) -> tuple[Tensor, ...] | None:
    """Return the named tensors of the file, or None where it is missing, damaged or of another layout."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            tensors = tuple(stored.get_tensor(name) for name in names)
            expected = (stored.metadata() or {}).get("sha256")
    except (SafetensorError, OSError, ValueError) as error:
        log.warning("the decoded copy %s is damaged and will be made again: %s", path, error)
        return None
    if _digest(tensors) != expected:
        log.warning("the decoded copy %s is damaged and will be made again: wrong hash", path)
        return None
    return tensors


def image_size_of(path: Path, name: str) -> int | None:
    """Return the last dimension of a tensor of the file, from its header; None where it cannot be read."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            return int(stored.get_slice(name).get_shape()[-1])
    except (SafetensorError, OSError, ValueError):
        return None


def write(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write the file whole or not at all; a failure is only logged, for the copy is a convenience."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary, metadata={"sha256": _digest(tuple(tensors.values()))})
        with temporary.open("rb") as saved:
            os.fsync(saved.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        log.warning("cannot keep a decoded copy in %s: %s", path, error)
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _digest(tensors: tuple[Tensor, ...]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr(tuple(tensor.shape)).encode())
        digest.update(tensor.to(torch.uint8).contiguous().numpy().data)
    return digest.hexdigest()
