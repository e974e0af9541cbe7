"""A refused request leaves nothing behind: what loading its data has made is removed again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tasearch.domain.errors import UsageError

_DECODED = "decoded"
_FOLDERS = (_DECODED, "cifar10", "cifar100")
"""What the datasets make below the data folder."""


@contextlib.contextmanager
def undone_if_refused(data_dir: Path) -> Iterator[None]:
    """Remove the decoded copies and the empty folders that the block has made, where it raises UsageError.

    A download that is complete stays: it took long, and the corrected command needs it.
    """
    data_dir = data_dir.absolute()
    folders = [*(data_dir / name for name in _FOLDERS), data_dir, *data_dir.parents]
    missing = [folder for folder in folders if not folder.exists()]
    copies = data_dir / _DECODED
    before = set(copies.glob("*"))
    try:
        yield
    except UsageError:
        for copy in set(copies.glob("*")) - before:
            with contextlib.suppress(OSError):
                copy.unlink()
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
