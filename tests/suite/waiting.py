"""Waiting for an event instead of for a time: slow machines are slow, and only the watchdog decides what is a hang."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(event: Callable[[], T], *, check: Callable[[], object] = lambda: None, pause: float = 0.02) -> T:
    """Ask again and again until the event has happened.

    There is no deadline: the watchdog of the suite ends a test that waits for ever and shows every process.

    Args:
        event: Returns something true once the event has happened.
        check: Called between two looks; raises where the event cannot happen any more.
        pause: Seconds between two looks.

    Returns:
        What `event` returned.
    """
    while not (seen := event()):
        check()
        time.sleep(pause)
    return seen
