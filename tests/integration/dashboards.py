"""A finished study and dashboards on it, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.suite.waiting import wait_until
from tests.suite.warm import Command


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


@dataclass
class Served:
    """A dashboard that runs."""

    url: str
    process: subprocess.Popen[str] | Command
    stderr: Path | None = None
    """Where a warm command writes it."""

    def ask(self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Reply:
        """Send a request."""
        request = urllib.request.Request(
            self.url.rstrip("/") + path,
            method=method,
            headers=dict(headers or {}),
            data=b"{}" if method != "GET" else None,
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return Reply(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.read())

    def end(self, signum: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; return the exit code and what was said on stderr."""
        self.process.send_signal(signum)
        if isinstance(self.process, Command):
            assert self.stderr is not None
            return self.process.wait(), self.stderr.read_text()
        _, err = self.process.communicate()
        return self.process.returncode, err


@contextmanager
def serving(home: Path, *flags: str) -> Iterator[Served]:
    """Start `tasearch dashboard` on any free port of this machine."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = ["dashboard", "--home", str(home), "--port", "0", "--json", *flags]
    with tempfile.TemporaryDirectory(prefix="dashboard-") as name:
        out, err = Path(name) / "out", Path(name) / "err"
        process = Command(command, cwd=Path(name), env=environment, stdout=out, stderr=err)

        def must_run() -> None:
            assert process.poll() is None, err.read_text()

        try:
            wait_until(lambda: out.exists() and out.read_text().endswith("\n"), check=must_run)
            yield Served(json.loads(out.read_text())["url"], process, err)
        finally:
            process.kill()
            process.wait()


@contextmanager
def serving_guarded(home: Path, *flags: str, password: str) -> Iterator[Served]:
    """Start it with a password, in a process whose command line is its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TASEARCH_DASHBOARD_PASSWORD": password}
    command = [sys.executable, "-m", "tasearch", "dashboard", "--home", str(home), "--port", "0", "--json", *flags]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate()[1])
        yield Served(json.loads(line)["url"], process)
    finally:
        _end(process)


@contextmanager
def serving_stock(url: str) -> Iterator[Served]:
    """Start optuna-dashboard's own command on a database."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).parent / "optuna-dashboard"
    process = subprocess.Popen(
        [str(program), url, "--host", "127.0.0.1", "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        wait_until(lambda: _answers(port), check=lambda: _must_run(process))
        yield Served(f"http://127.0.0.1:{port}/", process)
    finally:
        _end(process)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/api/meta").close()
    except OSError:
        return False
    return True


def _must_run(process: subprocess.Popen[str]) -> None:
    assert process.poll() is None, "the server has ended"


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.communicate()
