"""Image files decoded by worker processes, in the order asked for and a bounded number ahead of whoever trains."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import signal
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from tasearch.data.decode import decode
from tasearch.domain.errors import DataError, TasearchError

MOST_WORKERS = 16
TASK_IMAGES = 32
"""Images of one task of a worker: a block is shared among the workers, and little is held ahead."""
_TASKS_AHEAD = 2
"""Tasks that each worker has done or has before it."""
_MOST_DEATHS = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    """Images as they came from their files."""

    images: Tensor
    """uint8 (B, 3, S, S)."""
    checksums: NDArray[np.uint32]
    """CRC-32 of each image's pixels, (B,)."""


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A DataError on its way from a worker: torch would put a traceback into the message."""

    message: str
    hint: str


_Task = tuple[str, ...]
_Decoded = tuple[NDArray[np.uint8], NDArray[np.uint32]] | _Unreadable


class ImageReader:
    """Decodes files in worker processes, which start when first needed and end with `close`."""

    def __init__(self, size: int, num_workers: int | None = None) -> None:
        """Images become `size` x `size`; one processor is left to who asks, unless `num_workers` says otherwise."""
        self.size = size
        self.num_workers = num_workers or max(1, min(MOST_WORKERS, _num_processors() - 1))
        self._tasks = _Tasks()
        self._loader: DataLoader[_Decoded] | None = None
        # Held here and nowhere else, not even in the frame of a traceback: the workers end when it goes.
        self._iterator: Iterator[_Decoded] | None = None
        self._turn = 0

    @property
    def most_ahead(self) -> int:
        """How many decoded images may wait for their turn."""
        return self.num_workers * _TASKS_AHEAD * TASK_IMAGES

    def read(self, blocks: Sequence[Sequence[str]]) -> Iterator[DecodedBlock]:
        """Yield the images of each block of files, in order.

        A worker that was killed is replaced. Raises DataError naming a file that cannot be read, TasearchError where
        workers keep dying. Only the last reading that was begun can go on.
        """
        self._turn += 1
        turn = self._turn
        tasks = [
            tuple(block[start : start + TASK_IMAGES]) for block in blocks for start in range(0, len(block), TASK_IMAGES)
        ]
        # The workers stay; what they had begun for another reading is dropped.
        self._iterator = None
        done = 0
        for block in blocks:
            images = torch.empty((len(block), 3, self.size, self.size), dtype=torch.uint8)
            checksums = np.empty(len(block), dtype=np.uint32)
            filled = 0
            while filled < len(block):
                if turn != self._turn:
                    raise RuntimeError("another reading of the same files has begun")
                pixels, sums = self._next(tasks, done)
                images[filled : filled + len(sums)] = torch.from_numpy(pixels)
                checksums[filled : filled + len(sums)] = sums
                filled, done = filled + len(sums), done + 1
            yield DecodedBlock(images, checksums)

    def close(self) -> None:
        """End the workers and wait for them; the next reading starts new ones."""
        self._turn += 1
        self._end_workers()

    def _end_workers(self) -> None:
        self._iterator = self._loader = None
        atexit.unregister(self.close)

    def _next(self, tasks: Sequence[_Task], done: int) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
        deaths = 0
        while True:
            try:
                if self._iterator is None:
                    self._begin(tasks[done:])
                    assert self._iterator is not None
                found = next(self._iterator)
                break
            except (RuntimeError, OSError, EOFError) as error:
                # Decoding is a pure function: what a dead worker owed is decoded by another, bit-identically.
                deaths += 1
                reason = str(error) or type(error).__name__
            self._end_workers()
            if deaths == _MOST_DEATHS:
                raise TasearchError(
                    f"the processes that decode images ended {deaths} times in a row: {reason}",
                    hint="is memory short? the same command goes on from the last checkpoint",
                )
            log.warning("a process that decodes images ended (%s); another takes its place", reason)
        if isinstance(found, _Unreadable):
            raise DataError(found.message, hint=found.hint)
        return found

    def _begin(self, tasks: Sequence[_Task]) -> None:
        """Give the workers tasks, and start them where there are none."""
        self._tasks.now = tasks
        if self._loader is None:
            # Neither fork, which would copy CUDA and the threads of torch into the workers, nor spawn, in which each
            # would import torch anew: they are forked from a server that has imported what they need and no more.
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["__main__", "tasearch.data.decode_server"])
            self._loader = DataLoader(
                _Decoding(self.size),
                batch_size=None,
                sampler=self._tasks,
                num_workers=self.num_workers,
                collate_fn=_unchanged,
                worker_init_fn=_follow_parent,
                multiprocessing_context=context,
                # Its seed is drawn from here, not from torch's ambient generator.
                generator=torch.Generator(),
                prefetch_factor=_TASKS_AHEAD,
                persistent_workers=True,
            )
            # Before multiprocessing's own end, which would wait for workers that nobody has told to end.
            atexit.register(self.close)
        self._iterator = iter(self._loader)


def _num_processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Tasks(Sampler[_Task]):
    """The tasks of the reading under way."""

    def __init__(self) -> None:
        self.now: Sequence[_Task] = ()

    def __iter__(self) -> Iterator[_Task]:
        return iter(self.now)


class _Decoding(Dataset[_Decoded]):
    """What a worker does."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __getitem__(self, files: _Task) -> _Decoded:
        pixels = np.empty((len(files), 3, self._size, self._size), dtype=np.uint8)
        checksums = np.empty(len(files), dtype=np.uint32)
        for position, file in enumerate(files):
            try:
                pixels[position] = decode(file, self._size)
            except DataError as error:
                return _Unreadable(error.message, error.hint)
            checksums[position] = zlib.crc32(pixels[position])
        return pixels, checksums


def _unchanged(item: Any) -> Any:
    """Leave arrays arrays: they travel through pipes, where tensors would need shared memory, scarce in containers."""
    return item


def _follow_parent(_worker: int) -> None:
    """Leave signals to the process that asked for the images, and end when it ends.

    Ctrl-C and SIGTERM often reach a whole process group.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process once its parent is gone, even where it still waits for images to be taken from it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
