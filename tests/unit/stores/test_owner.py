from __future__ import annotations

import subprocess
import sys

from tasearch.stores.owner import current_owner, is_known_dead
from tests.suite.waiting import wait_until


def test_this_process_is_alive() -> None:
    assert not is_known_dead(current_owner())


def test_a_later_process_of_the_same_number_is_another_owner() -> None:
    host, pid, start = current_owner().rsplit(":", 2)
    assert is_known_dead(f"{host}:{pid}:{int(start) - 1}")


def test_a_process_that_has_ended_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert is_known_dead(f"{current_owner().rsplit(':', 2)[0]}:{process.pid}:1")


def test_an_ended_process_that_nobody_has_waited_for_is_dead() -> None:
    code = "import sys; from tasearch.stores.owner import current_owner; print(current_owner(), flush=True)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        owner = process.stdout.readline().strip()
    # Not polled before: until then the system keeps the process in its table.
    assert wait_until(lambda: is_known_dead(owner))
    process.wait()


def test_nothing_is_known_of_other_hosts() -> None:
    assert not is_known_dead("somewhere-else:1:1")


def test_nothing_is_known_of_a_host_of_the_same_name_elsewhere() -> None:
    """Two containers with one host name, or the same host before it was booted again: its numbers mean others here."""
    host, pid, start = current_owner().rsplit(":", 2)
    name, _, place = host.rpartition("/")
    assert name
    assert not is_known_dead(f"{name}/{place[::-1]}x:{pid}:{int(start) - 1}")
