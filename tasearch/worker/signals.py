"""Ctrl-C and SIGTERM: the first asks for a clean end, the second ends at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tasearch.stores.hurry import hurry, no_hurry

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STOPPING = b"\nstopping after this step; once more ends at once\n"
_TOO_LONG = b"something does not answer: ended at once, the same command goes on\n"
MOST_SECONDS = 9.0
"""After a first signal; ten are promised."""
_SHOW_CURSOR = b"\x1b[?25h"
"""The live display hides the cursor; a process that ends at once must bring it back."""


class StopFlag:
    """Set by the first signal; work looks at it between steps."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.is_watched = False
        """Whether somebody looks at the flag by now; before that a signal raises KeyboardInterrupt."""

    def request(self, signum: int) -> None:
        """Ask for a clean end, soon: stores that are away are no longer waited for."""
        self.signum = signum
        hurry()

    @property
    def is_set(self) -> bool:
        """Whether somebody asked for an end."""
        return self.signum is not None

    @property
    def exit_code(self) -> int:
        """128 plus the signal, as shells expect: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + (self.signum or signal.SIGINT)


@contextmanager
def stop_on_signals() -> Iterator[StopFlag]:
    """Turn SIGINT and SIGTERM into a StopFlag while the block runs; a second one, or `MOST_SECONDS`, end the process.

    Until the flag is watched (data are loaded, nothing is under way) the first one raises KeyboardInterrupt.
    """
    flag = StopFlag()

    def handle(signum: int, _frame: FrameType | None) -> None:
        if flag.is_set:
            # The second one; whoever counts them ends the process.
            return
        flag.request(signum)
        if not flag.is_watched:
            raise KeyboardInterrupt
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), _STOPPING)

    with _end_in_time():
        before = {number: signal.signal(number, handle) for number in _SIGNALS}
        try:
            yield flag
        finally:
            no_hurry()
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _end_in_time() -> Iterator[None]:
    """End the process at the second signal, or some seconds after the first, counted where they arrive.

    Python runs handlers between bytecodes of the main thread and merges signals that came during one long call, in
    torch or in a database's driver; the bytes of its wakeup descriptor are written at once, one for each. A database
    that stands still can hold that thread for longer than anybody waits.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    left = threading.Event()

    def end(signum: int) -> None:
        # Nothing is lost: a stage is only ever recorded after its bytes are stored.
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), _SHOW_CURSOR)
        os._exit(128 + signum)

    def wait_for_end(signum: int) -> None:
        if not left.wait(MOST_SECONDS):
            os.write(2, _TOO_LONG)
            end(signum)

    def count() -> None:
        seen = 0
        while byte := os.read(reader, 1):
            seen += byte[0] in _SIGNALS
            if seen == 2:
                end(byte[0])
            elif byte[0] in _SIGNALS:
                threading.Thread(target=wait_for_end, args=(byte[0],), name="end in time", daemon=True).start()

    counter = threading.Thread(target=count, name="second signal", daemon=True)
    counter.start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(before)
        os.close(writer)
        counter.join()
        os.close(reader)


@contextmanager
def stop_on_interrupt() -> Iterator[StopFlag]:
    """Turn Ctrl-C into a StopFlag while the block runs, for a process that is somebody else's.

    A second one raises KeyboardInterrupt at once; so does the first while the flag is not watched. Outside the main
    thread no signal is touched: Python gives them to the main thread alone.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        try:
            yield flag
        finally:
            no_hurry()
        return

    def handle(signum: int, _frame: FrameType | None) -> None:
        was_set = flag.is_set
        flag.request(signum)
        if was_set or not flag.is_watched:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield flag
    finally:
        no_hurry()
        signal.signal(signal.SIGINT, before)
