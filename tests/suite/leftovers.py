"""Nothing of a run of the suite outlives it: not a process, not a folder, also after Ctrl-C or SIGKILL.

All temporary files of a run lie in one folder, and every process of it inherits a mark in its environment. A process
of its own waits until the run has ended, however that was, then ends whatever still has the mark and removes the
folder. `TASEARCH_TEST_KEEP=1` keeps the folder, to look at what a failed test has left.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing.util
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

MARK = "PYTEST_RUN_OF_TASEARCH"
KEEP = "TASEARCH_TEST_KEEP"
_LAST_SECONDS = 3.0
"""For what ends by itself when the run does."""
_GRACE_SECONDS = 10.0
"""A PostgreSQL that is asked to end removes its shared memory; one that is killed does not."""


class Cleaner:
    """Waits beside a run, and cleans up after it."""

    def __init__(self) -> None:
        """Begin: from now on the environment of this process has the mark and the folder."""
        self.mark = secrets.token_hex(8)
        # Short, as sockets lie below it; open to others, as PostgreSQL runs as another user where we are root.
        self.folder = Path(tempfile.mkdtemp(prefix="tt-")).resolve()
        self.folder.chmod(0o755)
        keep = os.environ.get(KEEP, "")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.suite.leftovers", self.mark, str(self.folder), str(os.getpid()), keep],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            # Ctrl-C reaches the whole group of the terminal.
            start_new_session=True,
        )
        os.environ[MARK] = self.mark
        os.environ["TMPDIR"] = str(self.folder)
        tempfile.tempdir = None
        # Last of all: multiprocessing removes a folder of its own in ours, and complains where it is gone.
        atexit.unregister(multiprocessing.util._exit_function)  # type: ignore[attr-defined]
        atexit.register(self._process.communicate)
        atexit.register(multiprocessing.util._exit_function)  # type: ignore[attr-defined]


def clean(mark: str, folder: Path, runner: int, *, keep: bool) -> list[str]:
    """End every process of a run and remove its folder.

    Args:
        mark: What the processes have in their environment.
        folder: Where their temporary files lie.
        runner: Number of the process that ran the tests; its helpers end with it.
        keep: Whether the folder stays.

    Returns:
        The commands of those that did not end by themselves.
    """
    _, found = psutil.wait_procs(marked(mark, folder), timeout=_LAST_SECONDS)
    commands = [_command(process) for process in found if not _is_helper(process, runner)]
    for process in found:
        with contextlib.suppress(psutil.Error):
            # One that is stopped would not hear it.
            process.resume()
            process.terminate()
    psutil.wait_procs(found, timeout=_GRACE_SECONDS if found else 0)
    while found := marked(mark, folder):
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=1.0)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return commands


def marked(mark: str, folder: Path) -> list[psutil.Process]:
    """Return the processes that belong to a run: by their environment, or by the folder in their command.

    Some servers overwrite the memory in which the system looks for the environment.
    """
    own = os.getpid()
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == own or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if any(str(folder) in word for word in process.cmdline()) or process.environ().get(MARK) == mark:
                found.append(process)
    return found


def _is_helper(process: psutil.Process, runner: int) -> bool:
    try:
        return process.ppid() == runner and "from multiprocessing." in " ".join(process.cmdline())
    except psutil.Error:
        return True


def _command(process: psutil.Process) -> str:
    try:
        return f"{process.pid}: {' '.join(process.cmdline())[:160]}"
    except psutil.Error:
        return f"{process.pid}: ended meanwhile"


def main() -> None:
    """Wait for the end of stdin, which is the end of the run, then clean up."""
    mark, folder, runner, keep = sys.argv[1:]
    sys.stdin.buffer.read()
    commands = clean(mark, Path(folder), int(runner), keep=bool(keep))
    if commands:
        print("ended what the tests had left behind:", *commands, sep="\n  ", file=sys.stderr)


if __name__ == "__main__":
    main()
