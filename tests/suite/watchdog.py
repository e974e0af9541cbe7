"""The one time limit of the suite: a test that hangs fails with what every process was doing at that moment."""

from __future__ import annotations

import faulthandler
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import pytest

_STACK_SECONDS = 60
"""A process that is stopped or swapped out gives its stack late."""


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Replace the timer of pytest-timeout: its own report shows one process, and the hang is often in another."""
    if not hasattr(signal, "SIGALRM"):
        return None

    def ring(_signum: int, _frame: FrameType | None) -> None:
        __tracebackhide__ = True
        pytest.fail(f"nothing ended within {settings.timeout:.0f} s; what every process was doing:\n{everyone()}")

    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    item.cancel_timeout = cancel  # type: ignore[attr-defined] # where pytest-timeout looks for it
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout)
    return True


def everyone() -> str:
    """Return the command, the state and the Python stack of this process and of all below it."""
    own = psutil.Process()
    parts = [f"{_headline(own)}\n{_own_stacks()}"]
    parts += [f"{_headline(process)}\n{_stack(process.pid)}" for process in own.children(recursive=True)]
    return "\n".join(parts)


def _headline(process: psutil.Process) -> str:
    try:
        command = " ".join(process.cmdline())[:200]
        times = process.cpu_times()
        return f"--- {process.pid} {process.status()}, {times.user + times.system:.1f} s of CPU: {command}"
    except psutil.Error as error:
        return f"--- {process.pid} {error}"


def _own_stacks() -> str:
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read()


def _stack(pid: int) -> str:
    """Return the stacks of another Python process, where py-spy may look at it."""
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if program is None:
        return "(no stack: py-spy is not installed)"
    try:
        done = subprocess.run(
            [program, "dump", "--pid", str(pid)], capture_output=True, text=True, timeout=_STACK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"(no stack within {_STACK_SECONDS} s)"
    return done.stdout if done.returncode == 0 else f"(no stack: {done.stderr.strip().splitlines()[-1:]})"
