"""A pack: stages that train side by side on one device, each with the result it has alone.

A small net fills a few percent of a GPU. The stages of a pack take turns in queueing their steps, each on a stream of
its own, and the GPU works on all of them at once. What stages have in common (architecture, teacher, replicate) does
not matter; no arithmetic is shared. On a CPU they simply take turns.
"""

from __future__ import annotations

import gc
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from tasearch.training.graphs import StepGraphs
from tasearch.training.loop import StageData, StageJob, StageRun, Trained

logger = logging.getLogger(__name__)
Ended = tuple[StageJob, Trained | Exception]
_IN_WORDS = ("out of memory", "ALLOC_FAILED", "can't allocate memory", "not enough memory")


class Pack:
    """Trains stages side by side, at most `most` at a time; fewer once the device's memory does not hold so many."""

    def __init__(
        self,
        data: StageData,
        device: torch.device,
        *,
        most: int,
        checkpoint_seconds: float = 60.0,
        graphs: StepGraphs | None = None,
        free_memory: Callable[[], None] = lambda: None,
    ) -> None:
        """`graphs`: recordings of earlier stages on a GPU, to be used again.

        `free_memory` is called where the device has none left: to let go of what can be had again.
        """
        self.most = most
        self._data, self._device, self._checkpoint_seconds = data, device, checkpoint_seconds
        self._graphs, self._free_memory = graphs or StepGraphs(device), free_memory
        self._runs: list[StageRun] = []
        self._waiting: deque[tuple[StageJob, StageJob]] = deque()
        """Jobs that have no place yet: as they were added, and with the checkpoint to begin from."""
        self._broken: list[Ended] = []
        """Stages that could not be saved when they had to make room: reported with the next turn."""
        self._added: dict[int, StageJob] = {}
        self._has_run_out = False

    def __len__(self) -> int:
        """Return how many stages have been added and have not been returned as ended."""
        return len(self._runs) + len(self._waiting) + len(self._broken)

    @property
    def has_room(self) -> bool:
        """Whether a further stage would begin at once."""
        return len(self) < self.most

    def add(self, job: StageJob) -> None:
        """Have a stage trained from the next turn on."""
        self._waiting.append((job, job))

    def turn(self) -> list[Ended]:
        """Give every stage one step; return those that have ended, each with its result or with what it raised.

        The time that this takes is shared among the stages that took part. Exceptions that are no `Exception`
        (KeyboardInterrupt) go on to the caller.
        """
        began = time.monotonic()
        self.tidy_up()
        ended, self._broken = self._broken, []
        ended += self._begin_waiting()
        present = list(self._runs)
        done: list[tuple[StageJob, StageRun]] = []
        for run in present:
            if run not in self._runs:
                # It had to make room for another.
                continue
            goes_on, failure = _advanced(run)
            # Not while it is handled: what else goes wrong would seem to follow from it.
            if failure is not None:
                if not self._has_made_room(failure, run, len(present)):
                    ended.append((self._removed(run), failure))
            elif not goes_on:
                done.append((self._removed(run), run))
        for run in present:
            run.seconds += (time.monotonic() - began) / len(present)
        return ended + [(job, run.trained()) for job, run in done]

    def interrupt(self) -> list[StageJob]:
        """Save every stage under way and take it out; return all jobs that have not ended."""
        for run in self._runs:
            # One that was broken off within a step goes on from its last checkpoint.
            if not run.is_between_steps:
                continue
            try:
                run.save()
            except Exception:
                # The checkpoint before it will do.
                logger.warning("stage %s was not saved", run.job.spec.label, exc_info=True)
        left = [*map(self._removed, list(self._runs)), *(job for job, _ in self._waiting)]
        left += [job for job, _ in self._broken]
        self._waiting.clear()
        self._broken.clear()
        return left

    def make_room(self) -> bool:
        """Free memory for something beside the stages under way; False where nothing can be freed."""
        if not self._can_make_room(len(self) + 1):
            return False
        self._suspend_beyond(self.most)
        return True

    def _begin_waiting(self) -> list[Ended]:
        ended: list[Ended] = []
        while self._waiting and len(self._runs) < self.most:
            job, begun = self._waiting.popleft()
            run = self._begun(begun)
            if isinstance(run, StageRun):
                self._added[id(run)] = job
                self._runs.append(run)
            elif is_out_of_memory(run) and self._can_make_room(len(self._runs) + 1):
                self._waiting.appendleft((job, begun))
                self._suspend_beyond(self.most)
                break
            else:
                ended.append((job, run))
        return ended

    def _begun(self, job: StageJob) -> StageRun | Exception:
        try:
            return StageRun(job, self._data, self._device, self._graphs, self._checkpoint_seconds)
        except Exception as error:
            return error

    def _removed(self, run: StageRun) -> StageJob:
        self._runs.remove(run)
        run.release()
        return self._added.pop(id(run))

    def _has_made_room(self, error: Exception, run: StageRun, tried: int) -> bool:
        """Whether a stage that ran out of memory can be tried again, in a smaller pack, from its last checkpoint."""
        if not is_out_of_memory(error) or not self._can_make_room(tried):
            return False
        # What it was in the middle of may have changed some of its weights and not others.
        begun = replace(run.job, checkpoint=run.saved)
        self._waiting.appendleft((self._removed(run), begun))
        self._suspend_beyond(self.most)
        return True

    def _can_make_room(self, tried: int) -> bool:
        """Free what is idle, or halve the pack; False where one stage alone does not fit."""
        self._has_run_out = True
        self._free_memory()
        if self._graphs.drop_idle():
            return True
        if tried <= 1:
            return False
        if self.most > tried // 2:
            self.most = tried // 2
            logger.warning(
                "%d stages at once do not fit into the memory of the device: from now on %d (--pack)", tried, self.most
            )
        return True

    def _suspend_beyond(self, most: int) -> None:
        """Take out all stages but the first few, to go on later from where they are."""
        for run in self._runs[most:]:
            try:
                run.save()
            except Exception as error:
                # Without memory to save it in, the checkpoint before will do; anything else is what it ends with.
                if not is_out_of_memory(error):
                    self._broken.append((self._removed(run), error))
                    continue
            begun = replace(run.job, checkpoint=run.saved)
            self._waiting.append((self._removed(run), begun))

    def tidy_up(self) -> None:
        """Give memory back after it had run out; not while an exception still holds on to it."""
        if not self._has_run_out:
            return
        self._has_run_out = False
        self._graphs.drop_idle()
        # Networks whose steps were recorded refer to themselves.
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def _advanced(run: StageRun) -> tuple[bool, Exception | None]:
    """Return whether a stage goes on after its next step, and what it raised."""
    try:
        return run.advance(), None
    except Exception as error:
        return False, error


def fit_pack(
    jobs: Sequence[StageJob],
    data: StageData,
    device: torch.device,
    *,
    most: int | None = None,
    checkpoint_seconds: float = 60.0,
    graphs: StepGraphs | None = None,
) -> list[Trained | Exception]:
    """Train stages side by side and return, in their order, what `fit` of each would return or raise.

    `most`: how many at a time; None: all.
    """
    pack = Pack(data, device, most=most or max(1, len(jobs)), checkpoint_seconds=checkpoint_seconds, graphs=graphs)
    for job in jobs:
        pack.add(job)
    found: dict[int, Trained | Exception] = {}
    while len(pack):
        found |= {id(job): outcome for job, outcome in pack.turn()}
    return [found[id(job)] for job in jobs]


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it came after, says that there is no memory left, on a device or beside it."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return True
        # Drivers, cuBLAS, cuDNN and torch's allocator for the CPU say it in words only.
        if isinstance(error, RuntimeError) and any(words in str(error) for words in _IN_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False
