"""Whole studies on a folder that is not allowed to be in memory."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tasearch.cli.main import main
from tasearch.worker import session
from tests.image_folder import make_image_folder
from tests.integration.conftest import Study
from tests.suite.waiting import wait_until
from tests.suite.warm import Command


def weights(home: Path) -> dict[str, str]:
    with sqlite3.connect(home / "studies.db") as connection:
        return dict(connection.execute("SELECT fingerprint, artifact_id FROM tasearch_stages"))


def test_a_streamed_study_is_the_study_in_memory(optimize: Study, tmp_path: Path) -> None:
    budget = ("--trials", "2", "--replicates", "1", "--precision", "float32", "--augment", "shift+flip")
    in_memory = optimize(*budget)
    streamed = optimize(*budget, "--memory-gb", "0", "--home", str(tmp_path / "other"))
    assert weights(tmp_path / "other") == weights(tmp_path / "home")
    assert streamed["verdict"] == in_memory["verdict"]
    assert not (tmp_path / "other" / "data" / "decoded").exists()


def test_a_study_may_go_on_streamed(optimize: Study) -> None:
    first = optimize("--trials", "1", "--replicates", "1")
    again = optimize("--trials", "1", "--replicates", "1", "--memory-gb", "0")
    assert again["stages"]["trained"] == 0
    assert again["verdict"] == first["verdict"]


def test_streaming_is_said_at_the_start(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [argument for argument in arguments if argument not in ("-q", "--json")]
    assert main([*shown, "--trials", "1", "--replicates", "1", "--memory-gb", "1e-6"]) == 0
    assert "streamed from files: in memory the images would take " in capsys.readouterr().err


@pytest.fixture
def own_images(tmp_path: Path) -> Path:
    """A folder that a test may change."""
    return make_image_folder(tmp_path / "pets")


def test_a_damaged_image_ends_the_command_with_its_name(
    arguments: list[str], own_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = own_images / "train" / "left" / "000.png"
    broken.write_bytes(broken.read_bytes()[:-40])
    assert main([*arguments, "--dataset", f"folder:{own_images}", "--memory-gb", "0"]) == 2
    captured = capsys.readouterr().err
    assert captured.startswith(f"error: image {broken} cannot be read")
    assert "Traceback" not in captured
    assert not (tmp_path / "home").exists()


def test_an_image_that_vanishes_in_training_is_named_and_the_study_goes_on_once_it_is_back(
    arguments: list[str],
    own_images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    budget = ["--trials", "1", "--replicates", "1", "--dataset", f"folder:{own_images}", "--memory-gb", "0"]
    vanishing, aside = own_images / "train" / "left" / "000.png", tmp_path / "aside.png"

    def vanish(*_: object) -> list[str]:
        vanishing.rename(aside)
        return []

    monkeypatch.setattr(session, "opening_lines", vanish)
    assert main([*arguments, *budget]) == 2
    captured = capsys.readouterr().err
    assert captured.startswith(f"error: image {vanishing} cannot be read")
    assert "Traceback" not in captured
    monkeypatch.undo()
    aside.rename(vanishing)
    assert main([*arguments, *budget]) == 0


@pytest.fixture
def start(arguments: list[str], tmp_path: Path) -> Iterator[Callable[[], Command]]:
    """Start a long streamed study in a process group of its own, and wait until it trains."""
    started: list[Command] = []

    def run() -> Command:
        flags = [argument for argument in arguments if argument not in ("-q", "--json")]
        flags += ["--memory-gb", "0", "--epochs", "500", "--checkpoint-seconds", "0.1"]
        stdout, stderr = tmp_path / "stdout", tmp_path / "stderr"
        process = Command(flags, cwd=tmp_path, env=dict(os.environ), stdout=stdout, stderr=stderr, new_session=True)
        started.append(process)
        checkpoints = tmp_path / "home" / "checkpoints"

        def must_run() -> None:
            assert process.poll() is None, stderr.read_text()

        wait_until(lambda: checkpoints.exists() and any(checkpoints.iterdir()), check=must_run)
        return process

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def members(group: int) -> list[int]:
    """Return the living processes of a process group."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_saves_and_leaves_none(
    start: Callable[[], Command], tmp_path: Path, signum: int
) -> None:
    process = start()
    assert len(members(process.pid)) > 1
    os.killpg(process.pid, signum)
    assert process.wait() == 128 + signum
    stderr = (tmp_path / "stderr").read_text()
    assert "stopped; the same command goes on from here" in stderr
    assert "Traceback" not in stderr
    assert "takes its place" not in stderr
    wait_until(lambda: members(process.pid) == [])


def test_a_killed_command_leaves_no_process(start: Callable[[], Command]) -> None:
    process = start()
    process.kill()
    process.wait()
    wait_until(lambda: members(process.pid) == [])
