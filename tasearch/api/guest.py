"""Good manners in a process that is somebody else's: no output, no exit, nothing of it changed for good."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasearch.domain.errors import StoppedError
from tasearch.models.switches import own_switches
from tasearch.training.loop import InterruptedStage
from tasearch.worker.progress import Display, Silent
from tasearch.worker.signals import StopFlag, stop_on_interrupt
from tasearch.worker.snapshot import Snapshot

Say = Callable[[str], None]
"""Told in one line what was finished, e.g. `print`."""


class _Lines:
    """A display that hands on what was finished."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def refresh(self, snapshot: Snapshot) -> None:
        """Nothing."""

    def line(self, text: str) -> None:
        """Hand the line on."""
        self._say(text)


def display_of(say: Say | None) -> Display:
    """Return the display of a call."""
    return Silent() if say is None else _Lines(say)


@contextmanager
def as_guest() -> Iterator[StopFlag]:
    """Give the flag that Ctrl-C sets; torch's settings of the caller have no say in the block and are back after it.

    Raises KeyboardInterrupt after Ctrl-C, once what was under way is saved, and StoppedError where `tasearch stop`
    ended the work.
    """
    with own_switches(), stop_on_interrupt() as stop:
        try:
            yield stop
        except InterruptedStage:
            if stop.signum == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise StoppedError(
                "the study was stopped before it had its verdict", hint="the same call goes on from there"
            ) from None
