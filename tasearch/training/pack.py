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
from collections.abc import Sequence
from dataclasses import replace

import torch

from tasearch.training.graphs import StepGraphs
from tasearch.training.loop import StageData, StageJob, StageRun, Trained

logger = logging.getLogger(__name__)
Ended = tuple[StageJob, Trained | Exception]


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
    ) -> None:
        """`graphs`: recordings of earlier stages on a GPU, to be used again."""
        self.most = most
        self._data, self._device, self._checkpoint_seconds = data, device, checkpoint_seconds
        self._graphs = graphs or StepGraphs(device)
        self._runs: list[StageRun] = []
        self._waiting: deque[tuple[StageJob, StageJob]] = deque()
        """Jobs that have no place yet: as they were added, and with the checkpoint to begin from."""
        self._added: dict[int, StageJob] = {}
        self._accounted_at = time.monotonic()
        self._has_run_out = False

    def __len__(self) -> int:
        """Return how many stages have been added and have not ended."""
        return len(self._runs) + len(self._waiting)

    @property
    def has_room(self) -> bool:
        """Whether a further stage would begin at once."""
        return len(self) < self.most

    def add(self, job: StageJob) -> None:
        """Have a stage trained from the next turn on."""
        self._waiting.append((job, job))

    def turn(self) -> list[Ended]:
        """Give every stage one step; return those that have ended, each with its result or with what it raised.

        Exceptions that are no `Exception` (KeyboardInterrupt) go on to the caller.
        """
        self._tidy_up()
        ended = self._begin_waiting()
        done: list[StageRun] = []
        for run in list(self._runs):
            if run not in self._runs:
                continue
            try:
                if not run.advance():
                    done.append(run)
            except Exception as error:
                if not self._has_made_room(error, run):
                    ended.append((self._removed(run), error))
        self._account()
        ended += [(self._removed(run), run.trained()) for run in done]
        return ended

    def interrupt(self) -> list[StageJob]:
        """Save every stage under way and take it out; return all jobs that have not ended."""
        for run in self._runs:
            try:
                run.save()
            except Exception:
                # The checkpoint before it will do.
                logger.warning("stage %s was not saved", run.job.spec.label, exc_info=True)
        left = [*map(self._removed, list(self._runs)), *(job for job, _ in self._waiting)]
        self._waiting.clear()
        return left

    def _begin_waiting(self) -> list[Ended]:
        ended: list[Ended] = []
        while self._waiting and len(self._runs) < self.most:
            job, begun = self._waiting.popleft()
            try:
                run = StageRun(begun, self._data, self._device, self._graphs, self._checkpoint_seconds)
            except Exception as error:
                if is_out_of_memory(error) and self._can_make_room(len(self._runs) + 1):
                    self._waiting.appendleft((job, begun))
                    self._suspend_beyond(self.most)
                    break
                ended.append((job, error))
                continue
            self._added[id(run)] = job
            self._runs.append(run)
        return ended

    def _removed(self, run: StageRun) -> StageJob:
        self._runs.remove(run)
        run.release()
        return self._added.pop(id(run))

    def _has_made_room(self, error: Exception, run: StageRun) -> bool:
        """Whether a stage that ran out of memory can be tried again, in a smaller pack, from its last checkpoint."""
        if not is_out_of_memory(error) or not self._can_make_room(len(self._runs)):
            return False
        # What it was in the middle of may have changed some of its weights and not others.
        begun = replace(run.job, checkpoint=run.saved)
        self._waiting.appendleft((self._removed(run), begun))
        self._suspend_beyond(self.most)
        return True

    def _can_make_room(self, tried: int) -> bool:
        """Free what is idle, or halve the pack; False where one stage alone does not fit."""
        self._has_run_out = True
        if self._graphs.drop_idle():
            return True
        if tried <= 1:
            return False
        self.most = tried // 2
        logger.warning(
            "%d stages at once do not fit into the memory of the device: from now on %d (--pack)", tried, self.most
        )
        return True

    def _suspend_beyond(self, most: int) -> None:
        for run in self._runs[most:]:
            run.save()
            begun = replace(run.job, checkpoint=run.saved)
            self._waiting.append((self._removed(run), begun))

    def _tidy_up(self) -> None:
        """Give memory back after it had run out; not while an exception still holds on to it."""
        if not self._has_run_out:
            return
        self._has_run_out = False
        gc.collect()
        self._graphs.drop_idle()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _account(self) -> None:
        """Share the time since the last turn among the stages under way."""
        now = time.monotonic()
        for run in self._runs:
            run.seconds += (now - self._accounted_at) / len(self._runs)
        self._accounted_at = now


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
    """Whether an error, or one that it came after, says that a device has no memory left."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError):
            return True
        error = error.__context__
    return False
