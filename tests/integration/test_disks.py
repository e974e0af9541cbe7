"""Disks that are full or may only be read: a file system of one megabyte, mounted where that is allowed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasearch.cli.main import main
from tasearch.domain.errors import StorageError
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.checkpoints import CheckpointStore
from tasearch.stores.records import open_records

OPTIMIZE = ["optimize", "--teacher", "plain6", "--student", "plain2", "--limit-train", "200", "--epochs", "1"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `mount` here")
    if mounted.returncode != 0:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path, leave: int) -> None:
    """Fill the disk but for `leave` bytes."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        block = bytes(4096)
        try:
            while file.write(block) == len(block):
                pass
        except OSError:
            pass
        file.truncate(file.tell() - leave)


def read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def test_a_database_on_a_full_disk(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(disk, 40_960)
    assert main(["db", "init", "--storage", f"sqlite:///{disk}/studies.db"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert f"{disk}/studies.db failed: " in error
    assert "full" in error
    assert "free some space" in hint
    (disk / "ballast").unlink()
    assert main(["db", "init", "-q", "--storage", f"sqlite:///{disk}/studies.db"]) == 0


def test_a_record_on_a_full_disk_is_whole_or_absent(disk: Path) -> None:
    records = open_records(f"sqlite:///{disk}/studies.db", patience=0.0)
    fill(disk, 0)

    def write_on() -> None:
        for number in range(100):
            records.studies.create(f"study-{number}", {"text": "x" * 10_000}, {}, {})

    with pytest.raises(StorageError, match="full") as caught:
        write_on()
    assert "free some space" in caught.value.hint
    found = records.studies.list_all()
    records.close()
    assert all(study.identity == {"text": "x" * 10_000} for study in found)


def test_an_artifact_on_a_full_disk_leaves_nothing(disk: Path) -> None:
    store = ArtifactStore(str(disk / "artifacts"))
    kept = store.put(b"before")
    fill(disk, 16_384)
    with pytest.raises(StorageError, match=r"cannot write an artifact under .*No space left on device"):
        store.put(bytes(100_000))
    assert [file.artifact_id for file in store.files()] == [kept]


def test_a_checkpoint_on_a_full_disk_leaves_the_one_before(disk: Path) -> None:
    checkpoints = CheckpointStore(disk / "checkpoints")
    checkpoints.save("stage", b"before")
    fill(disk, 16_384)
    with pytest.raises(StorageError, match=r"cannot save checkpoint stage .*No space left on device"):
        checkpoints.save("stage", bytes(100_000))
    assert checkpoints.load("stage") == b"before"


@pytest.mark.parametrize("command", [["db", "init"], OPTIMIZE], ids=["db init", "optimize"])
def test_a_database_that_may_only_be_read(disk: Path, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["db", "init", "-q", "--storage", f"sqlite:///{disk}/studies.db"]) == 0
    read_only(disk)
    assert main([*command, "--storage", f"sqlite:///{disk}/studies.db"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert f"cannot use the SQLite file {disk}/studies.db: Read-only file system" in error
    assert "where you may write" in hint


def test_artifacts_that_may_only_be_read(disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read_only(disk)
    places = ["--artifacts", str(disk / "artifacts"), "--home", str(tmp_path / "home")]
    assert main([*OPTIMIZE, *places]) == 2
    error, _ = capsys.readouterr().err.splitlines()
    assert f"cannot write artifacts under {disk}/artifacts: " in error
    assert "Read-only file system" in error
    assert not (tmp_path / "home").exists()
