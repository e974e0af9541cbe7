"""Do one thing in many processes that begin at the same moment.

    python -m tests.contract.at_once MODULE FUNCTION PROCESSES STORAGE_URL

prints what FUNCTION(storage_url, owner) returned in each of them, as JSON. In a program of its own: a process has one
forkserver for ever, and that of the suite may have torch in it by now.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from typing import Any

_gate: list[Barrier] = []


def at_once(work: Callable[[str, str], Any], processes: int, storage_url: str) -> list[Any]:
    """Return what `work`, a function of a module, gives in each process. Raises AssertionError where one fails."""
    words = (work.__module__, work.__name__, str(processes), storage_url)
    command = [sys.executable, "-m", "tests.contract.at_once", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def wait_for_all() -> None:
    """Wait until every process is up."""
    _gate[0].wait()


def _enter(gate: Barrier) -> None:
    _gate.append(gate)


def _main(module: str, function: str, processes: str, storage_url: str) -> None:
    # Not fork: a child must not inherit the open connections of this process.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    count = int(processes)
    work = getattr(importlib.import_module(module), function)
    with context.Pool(count, _enter, (context.Barrier(count),)) as pool:
        jobs = [pool.apply_async(work, (storage_url, f"worker-{number}")) for number in range(count)]
        print(json.dumps([job.get() for job in jobs]))


if __name__ == "__main__":
    from tests.contract import at_once as this

    this._main(*sys.argv[1:])
