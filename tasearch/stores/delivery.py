"""A folder that is handed over whole: filled beside its place, moved there at the end, or never seen."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from tasearch.domain.errors import ConfigError, StorageError
from tasearch.stores.files import nearest_existing, probe_writable


def check_destination(folder: Path, *, force: bool) -> None:
    """Raise ConfigError where the folder holds files and they may not be replaced, StorageError where it cannot be
    written; makes nothing."""
    folder = folder.absolute()
    with _refused(folder):
        if folder.is_dir() and any(folder.iterdir()) and not force:
            raise ConfigError(
                f"--out {folder}: the folder is not empty",
                hint="choose a new folder, or say --force to replace the files of an earlier export in it",
            )
        # The files come from a folder beside: both must be writable.
        probe_writable(nearest_existing(folder))
        probe_writable(nearest_existing(folder.parent))


@contextlib.contextmanager
def delivered(folder: Path, names: Collection[str], *, force: bool) -> Iterator[Path]:
    """Give an empty folder to be filled; at the end of the block its files are in `folder`.

    Where the block raises, nothing of it is. `names`: every name that such a delivery may have. With `force` those in
    `folder` are replaced or removed; what has another name stays. Raises as `check_destination` does.
    """
    folder = folder.absolute()
    check_destination(folder, force=force)
    made = [parent for parent in (folder.parent, *folder.parent.parents) if not parent.exists()]
    with _refused(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        yield beside
        with _refused(folder):
            # As `mkdir` would have made it; `mkdtemp` keeps everyone else out.
            beside.chmod(0o777 & ~_umask())
            _move(beside, folder, names)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


def _move(beside: Path, folder: Path, names: Collection[str]) -> None:
    if not folder.is_dir() or not any(folder.iterdir()):
        beside.replace(folder)
        return
    for name in set(names) - {path.name for path in beside.iterdir()}:
        (folder / name).unlink(missing_ok=True)
    for path in list(beside.iterdir()):
        path.replace(folder / path.name)
    beside.rmdir()


def _umask() -> int:
    """Return the bits that new files of this process do not get; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _refused(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block into a StorageError that names the folder."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"--out {folder}: {error.strerror or error}", hint="choose a folder that you may write"
        ) from error
