"""The one folder under which everything of a run lies."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL

from tasearch.domain.errors import StorageError
from tasearch.stores.files import nearest_existing, probe_writable

REPORT_NAME = "report.html"
_LONGEST_SLUG = 100


class Home:
    """Paths below `tasearch-data/`, or wherever `--home` points."""

    def __init__(self, root: Path) -> None:
        """`root` need not exist; `prepare` makes it."""
        self.root = root.absolute()
        self.database = self.root / "studies.db"
        self.artifacts = self.root / "artifacts"
        self.reports = self.root / "reports"
        self.cache = self.root / "cache"
        self.checkpoints = self.root / "checkpoints"
        self.data = self.root / "data"
        self.attachments = self.root / "attachments"

    @property
    def default_storage_url(self) -> str:
        """Database URL of `studies.db`, as `parse_storage_url` takes it."""
        return URL.create("sqlite", database=str(self.database)).render_as_string()

    def report_folder(self, study_name: str) -> Path:
        """Return `reports/<slug>`; not made."""
        return self.reports / slug(study_name)

    def report_page(self, study_name: str) -> Path:
        """Return where the study's report is written; not made."""
        return self.report_folder(study_name) / REPORT_NAME

    def check_writable(self) -> None:
        """Raise StorageError unless the folders can be made and written; makes nothing."""
        for folder in self._folders():
            with _refused(folder):
                probe_writable(nearest_existing(folder))

    def make_root(self) -> None:
        """Make the folder itself, in which the database lies. Raises StorageError."""
        with _refused(self.root):
            self.root.mkdir(parents=True, exist_ok=True)

    def prepare(self) -> None:
        """Make the folders. Raises StorageError where that fails or where one of them may not be written."""
        for folder in self._folders():
            with _refused(folder):
                folder.mkdir(parents=True, exist_ok=True)
                probe_writable(folder)

    def _folders(self) -> tuple[Path, ...]:
        return self.root, self.artifacts, self.reports, self.cache, self.checkpoints, self.data


@contextmanager
def _refused(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block into a StorageError that names the folder."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot write in the folder {folder}: {error.strerror or error}",
            hint="choose a folder that you may write with --home or TASEARCH_HOME",
        ) from error


def slug(study_name: str) -> str:
    """Return a folder name for the study that is safe on any file system; distinct names get distinct folders.

    A name that had to be changed carries a short hash after `~`, a character that no unchanged name holds.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", study_name)[:_LONGEST_SLUG].lstrip(".")
    if safe == study_name and safe:
        return safe
    return f"{safe}~{hashlib.sha256(study_name.encode()).hexdigest()[:8]}"
