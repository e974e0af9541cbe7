"""Real processes of the command line that start in milliseconds: forked from a server that has imported everything.

A new interpreter needs four seconds of CPU time before it can train (torch, its compiler, Optuna), and hundreds of
tests start one. These have a process number of their own, take signals and can be killed like any other; what they do
not have is a command line of their own in the process list, and atexit handlers do not run. Where a fork of a process
that has loaded torch is not safe (macOS), they are ordinary new interpreters.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

_PRELOAD = [
    "torch._dynamo",
    "torchvision",
    "tasearch.api.existing",
    "tasearch.cli.optimize",
    "tasearch.cli.worker",
    "tasearch.cli.status",
    "tasearch.cli.studies",
    "tasearch.cli.report",
    "tasearch.cli.stop",
    "tasearch.cli.reproduce",
    "tasearch.dashboard.app",
    "tests.suite.warm",
]
"""What every training process imports in the end; a first optimizer imports torch's compiler."""
IS_WARM = sys.platform == "linux"


class Command:
    """A `tasearch` command line in a process of its own, with the part of `subprocess.Popen` that tests use."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: Path,
        stderr: Path,
        new_session: bool = False,
    ) -> None:
        """Start it; its output goes to two files, its input is empty.

        `new_session`: it leads a session and a process group of its own, as the command of a shell does.
        """
        self._process: BaseProcess | subprocess.Popen[bytes]
        if IS_WARM:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(_PRELOAD)
            self._process = context.Process(
                target=_run, args=(list(arguments), str(cwd), dict(env), str(stdout), str(stderr), new_session)
            )
            self._process.start()
        else:
            with stdout.open("wb") as out, stderr.open("wb") as err:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tasearch", *arguments],
                    cwd=cwd,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=new_session,
                )

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Return its exit code, negative after a signal, or None while it runs."""
        if isinstance(self._process, subprocess.Popen):
            return self._process.poll()
        return self._process.exitcode

    def wait(self) -> int:
        """Wait for its end and return its exit code."""
        if isinstance(self._process, subprocess.Popen):
            return self._process.wait()
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode

    def send_signal(self, signum: int) -> None:
        """Send a signal to a process that has not ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _run(arguments: list[str], cwd: str, env: dict[str, str], stdout: str, stderr: str, new_session: bool) -> None:
    """Become the command: what a new interpreter would find in its environment is put in place first."""
    if new_session:
        os.setsid()
    for number, name in ((1, stdout), (2, stderr)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["tasearch", *arguments]
    from tasearch.cli.main import run

    run()
