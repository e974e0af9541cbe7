"""Several workers for one call on this machine: processes with one study between them."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Protocol

import torch

from tasearch.config.settings import Settings
from tasearch.domain.errors import NoCompletedTrialError, TasearchError
from tasearch.training.device import resolve_device
from tasearch.training.loop import InterruptedStage
from tasearch.worker.gpus import VISIBLE, Gpu, assign_gpus, gpus_here, workers_on
from tasearch.worker.progress import Display
from tasearch.worker.signals import StopFlag, stop_on_signals
from tasearch.worker.snapshot import Snapshot

_PATIENCE_SECONDS = 30.0
"""A worker that was asked to end saves its stage and goes; after this long it is killed, and nothing is lost."""


class Counts(Protocol):
    """What a worker did."""

    @property
    def trained(self) -> int:
        """Stages that it trained."""

    @property
    def reused(self) -> int:
        """Stages that were there already."""


Work = Callable[[Settings, Display, StopFlag], Counts]
"""What one worker process does; must be importable by name."""


def num_workers(settings: Settings, device: torch.device) -> int:
    """Return how many worker processes a call starts.

    `auto` is `--workers-per-gpu` on each GPU, and one per core on a CPU (of `--threads` cores each where that is
    said): nets this small gain little from a second thread (`tests/bench/workers_or_threads.py`).

    Raises ConfigError where `--gpus` or `--workers-per-gpu` cannot be met.
    """
    gpus = gpus_here(settings, device)
    if gpus:
        return workers_on(settings, gpus)
    if settings.workers != "auto":
        return settings.workers
    return max(1, _cores() // (settings.threads or 1))


def num_threads(settings: Settings, workers: int) -> int:
    """Return the CPU threads of each of some workers: what was asked for, else an equal share of the cores."""
    return settings.threads or max(1, _cores() // workers)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalWorkers:
    """The further workers of a call, beside the calling process; a context that ends them all."""

    def __init__(self, work: Work, settings: Settings, count: int, threads: int, display: Display) -> None:
        """`count` processes will do `work` on the same study, each with `threads` threads."""
        self._work, self._display = work, display
        gpus = gpus_here(settings, resolve_device(settings.device)) if count else ()
        # The calling process is the first worker.
        self._gpus = assign_gpus(gpus, 1 + count)[1:]
        alone = {"workers": 1, "gpus": None, "workers_per_gpu": None}
        self._settings = settings.model_copy(update={**alone, "threads": threads})
        self.trained = self.reused = 0

    def __enter__(self) -> LocalWorkers:
        # Not forked: threads and CUDA do not survive a fork. Settings travel by pipe, so no password is in a process
        # list.
        context = multiprocessing.get_context("spawn")
        level = logging.getLogger("tasearch").level
        self._processes, self._listeners = [], []
        for gpu in self._gpus:
            ours, theirs = context.Pipe(duplex=False)
            # A worker that sees one GPU alone: that is the first one it counts.
            settings = self._settings.model_copy(update={"device": "cuda:0"}) if gpu else self._settings
            process = context.Process(target=_run, args=(self._work, settings, level, theirs, gpu))
            process.start()
            theirs.close()
            listener = threading.Thread(target=self._listen, args=(ours,), daemon=True)
            listener.start()
            self._processes.append(process)
            self._listeners.append(listener)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the others, who end with the study; after an error or a signal here, ask them to end."""
        for process in self._processes:
            if kind is not None and process.is_alive():
                process.terminate()
        for process in self._processes:
            process.join(None if kind is None else _PATIENCE_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
        for listener in self._listeners:
            listener.join(_PATIENCE_SECONDS)

    def _listen(self, messages: Connection) -> None:
        """Show what a worker says and add up what it did, until it has ended."""
        while True:
            try:
                message = messages.recv()
            except (EOFError, OSError):
                return
            if isinstance(message, str):
                self._display.line(message)
            else:
                self.trained, self.reused = self.trained + message[0], self.reused + message[1]


class _Messenger:
    """A display whose lines are shown by another process."""

    def __init__(self, messages: Connection) -> None:
        self._messages = messages

    def refresh(self, snapshot: Snapshot) -> None:
        """Nothing: every worker publishes its state in the database."""

    def line(self, text: str) -> None:
        """Send the line."""
        # The other side may be gone: then nobody reads it.
        with contextlib.suppress(OSError):
            self._messages.send(text)


def _run(work: Work, settings: Settings, log_level: int, messages: Connection, gpu: Gpu | None) -> None:
    """Do the work in a process of its own, which sees no GPU but `gpu` where one is given."""
    if gpu is not None:
        # CUDA reads it when it is first used, not when torch is imported; so do processes that this one starts.
        os.environ[VISIBLE] = gpu.entry
    # Ctrl-C reaches the whole group of a terminal; this worker is told by its parent instead, once.
    os.setpgid(0, 0)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    logging.getLogger("tasearch").setLevel(log_level)
    display = _Messenger(messages)
    with stop_on_signals() as stop:
        threading.Thread(target=_stop_with_parent, args=(stop,), daemon=True).start()
        try:
            counts = work(settings, display, stop)
            messages.send((counts.trained, counts.reused))
        except (KeyboardInterrupt, InterruptedStage, NoCompletedTrialError):
            # The calling process says it.
            pass
        except TasearchError as error:
            display.line(f"a worker ended: {error.message}")
            raise SystemExit(error.exit_code) from None


def _stop_with_parent(stop: StopFlag) -> None:
    """End when the process that started this one is gone, even if it was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        stop.request(signal.SIGTERM)
