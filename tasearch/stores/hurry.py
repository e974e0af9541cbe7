"""The process is asked to end: whoever waits for a database or a disk that is away waits no longer than a moment.

Of the whole process, as signals are: deep inside a transaction nobody could be asked otherwise.
"""

from __future__ import annotations

import time

GRACE_SECONDS = 3.0
"""What can be stored or given back within this is; the rest is as a killed process leaves it: nothing is lost."""
_SLICE_SECONDS = 0.1
# Plain values, no lock: a signal handler writes them, whatever the main thread is at.
_asked_at: list[float] = []
_given_up: list[bool] = []


def hurry() -> None:
    """Ask everything in this process that waits for a store to give up soon. Safe in a signal handler."""
    if not _asked_at:
        _asked_at.append(time.monotonic())


def no_hurry() -> None:
    """Take it back: the process goes on with something else."""
    _asked_at.clear()
    _given_up.clear()


def is_out_of_time() -> bool:
    """Whether this process was asked to end so long ago that no store is waited for any more."""
    return bool(_asked_at) and time.monotonic() > _asked_at[0] + GRACE_SECONDS


def give_up() -> None:
    """Note that a store was away when the time was over: it is not tried again, each try may take seconds."""
    _given_up.append(True)


def has_given_up() -> bool:
    """Whether a store was away when the time was over."""
    return bool(_given_up)


def pause(seconds: float) -> None:
    """Wait, and no longer once the process is out of time."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and not is_out_of_time():
        time.sleep(min(left, _SLICE_SECONDS))
