"""A thread that keeps leases alive while the worker trains, and outlasts a database that is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasearch.domain.errors import LeaseLostError, TasearchError

logger = logging.getLogger(__name__)


class Held:
    """Something that is renewed again and again until it is let go or lost."""

    def __init__(self, renew: Callable[[], None]) -> None:
        self._renew = renew
        self._lost: LeaseLostError | None = None
        self._lock = threading.Lock()
        self._is_over = False

    def check(self) -> None:
        """Raise LeaseLostError where a renewal has found that another worker holds this."""
        if self._lost is not None:
            raise self._lost

    def renew(self) -> None:
        """Renew now; a database that fails is said and tried again next time."""
        with self._lock:
            if self._is_over or self._lost is not None:
                return
            try:
                self._renew()
            except LeaseLostError as error:
                self._lost = error
            except TasearchError as error:
                logger.warning("a lease could not be renewed: %s", error.message)
            except Exception:
                # The thread must outlive whatever a driver raises: a lease that is not renewed is work done twice.
                logger.warning("a lease could not be renewed", exc_info=True)

    def let_go(self) -> None:
        """Renew no more; returns when a renewal under way has ended."""
        with self._lock:
            self._is_over = True


class LeaseKeeper:
    """One daemon thread, begun when first needed, that renews everything held every `interval` seconds."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._held: list[Held] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """Renew nothing any more."""
        self._ended.set()

    @contextmanager
    def hold(self, renew: Callable[[], None]) -> Iterator[Held]:
        """Have `renew` called until the block ends; the block asks `check` whether it may go on."""
        held = self.keep(renew)
        try:
            yield held
        finally:
            self.drop(held)

    def keep(self, renew: Callable[[], None]) -> Held:
        """Have `renew` called until `drop`."""
        held = Held(renew)
        with self._lock:
            self._held.append(held)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lease keeper", daemon=True)
                self._thread.start()
        return held

    def drop(self, held: Held) -> None:
        """Renew this no more."""
        held.let_go()
        with self._lock:
            if held in self._held:
                self._held.remove(held)

    def _run(self) -> None:
        due = time.monotonic() + self._interval
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + self._interval
            with self._lock:
                held = list(self._held)
            for each in held:
                each.renew()
