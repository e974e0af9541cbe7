"""A refused request leaves nothing behind: what loading its data has made is removed again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tasearch.domain.errors import UsageError

_KEPT = ("decoded", "kinds")
"""Where copies are kept that can be made again."""
_FOLDERS = (*_KEPT, "cifar10", "cifar100")
"""What the datasets make below the data folder."""


class DataFolderGuard:
    """Knows what the data folder held before anything was loaded."""

    def __init__(self, data_dir: Path) -> None:
        data_dir = data_dir.absolute()
        folders = [*(data_dir / name for name in _FOLDERS), data_dir, *data_dir.parents]
        self._missing = [folder for folder in folders if not folder.exists()]
        self._copies = [data_dir / name for name in _KEPT]
        self._before = self._all_copies()

    @contextlib.contextmanager
    def undone_if_refused(self) -> Iterator[None]:
        """Remove the decoded copies and the empty folders made since, where the block raises UsageError
        or a signal ends it.

        A download that is complete stays: it took long, and the corrected command needs it.
        """
        try:
            yield
        except (UsageError, KeyboardInterrupt):
            for copy in self._all_copies() - self._before:
                with contextlib.suppress(OSError):
                    copy.unlink()
            for folder in self._missing:
                with contextlib.suppress(OSError):
                    folder.rmdir()
            raise

    def _all_copies(self) -> set[Path]:
        return {copy for folder in self._copies for copy in folder.glob("*")}
