"""Tasks that need stages, carried out side by side: what several of them wait for is trained in one pack."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from tasearch.domain.errors import LeaseLostError, TasearchError
from tasearch.domain.result import EpochResult, StageResult
from tasearch.domain.spec import StageSpec
from tasearch.stores.stages import StageClaim
from tasearch.training.loop import InterruptedStage, StageJob, Trained
from tasearch.training.pack import Pack, is_out_of_memory

POLL_SECONDS = 0.5
"""How often is looked for what other workers train, and for further tasks."""
logger = logging.getLogger(__name__)


class StageBusyError(TasearchError):
    """Another live worker trains a stage that is needed; it is worth asking again later."""

    def __init__(self, spec: StageSpec, owner: str) -> None:
        super().__init__(f"{spec.label} is being trained by {owner}")
        self.spec = spec


@dataclass(frozen=True, kw_only=True, eq=False)
class Need:
    """A stage that a task cannot go on without."""

    spec: StageSpec
    wait: bool = True
    """Whether to wait for another live worker that trains it; otherwise the task gets StageBusyError."""
    poll: Callable[[], None] = lambda: None
    """Called after every step while it is trained for this task; may raise InterruptedStage."""
    epoch_done: Callable[[EpochResult], None] = lambda _point: None
    """Called after every epoch of it; may raise InterruptedStage."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """A stage that was needed."""

    result: StageResult
    reused: bool
    """Whether nothing had to be trained for this task."""


Task = Generator[Need, Delivered, None]
"""Yields what it needs and is sent it; what goes wrong with a stage is raised at its `yield`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Attempt:
    """The training of one stage that this worker has claimed."""

    job: StageJob
    claim: StageClaim
    held: ExitStack
    """The claim's lease and the teacher table in use."""


class Bench(Protocol):
    """Where single stages are found, claimed and recorded."""

    def find(self, spec: StageSpec) -> StageResult | None:
        """Return the result of a stage that is there. Raises StageFailedError."""

    def begin(self, need: Need) -> Attempt | StageResult | None:
        """Claim a stage and prepare its training; None where another live worker has it and `need` says to wait.

        A result where nothing has to be trained. Raises StageBusyError.
        """

    def settle(self, attempt: Attempt, outcome: Trained | Exception) -> StageResult:
        """Record what came out and give up the claim. Raises `outcome` where it is an exception."""

    def poll(self) -> None:
        """Called many times a second while nothing is trained; may raise InterruptedStage."""

    def ended(self, spec: StageSpec, result: StageResult, *, reused: bool) -> None:
        """A stage that a task needed is there."""


@dataclass(eq=False)
class _Active:
    """A task under way."""

    task: Task
    needs: list[Need] = field(default_factory=list)
    """What it waits for, and above that what teaches this."""
    attempt: Attempt | None = None
    """Under way for it, or for another task that needs the same stage."""


class Crew:
    """Carries out tasks until there are no more."""

    def __init__(self, bench: Bench, pack: Pack, next_task: Callable[[], Task | None]) -> None:
        """`next_task` is asked while the pack has room; None: no task now, maybe once another has ended."""
        self._bench, self._pack, self._next_task = bench, pack, next_task
        self._active: list[_Active] = []
        self._attempts: dict[StageJob, Attempt] = {}
        self._owners: dict[StageJob, _Active] = {}
        """The task that a stage is trained for; others that need it wait for the same."""
        self._looked_at = float("-inf")

    def run(self) -> None:
        """Carry out all tasks. What a task raises ends the others as a signal would, and is then raised."""
        try:
            while self._goes_on():
                pass
        except BaseException:
            self._wind_down()
            raise

    def _goes_on(self) -> bool:
        """Take the next step of everything; False where no task is left."""
        if time.monotonic() - self._looked_at >= POLL_SECONDS:
            self._look_around()
        if not self._active:
            return False
        if not len(self._pack):
            self._bench.poll()
            time.sleep(max(0.0, self._looked_at + POLL_SECONDS - time.monotonic()))
            return True
        errors = [error for job, outcome in self._pack.turn() if (error := self._settled(job, outcome)) is not None]
        if errors:
            raise errors[0]
        return True

    def _look_around(self) -> None:
        """Begin what can be begun: stages of the tasks under way, then further tasks."""
        self._looked_at = time.monotonic()
        self._pack.tidy_up()
        for active in list(self._active):
            self._begin(active)
        while len(self._active) < self._pack.most and (task := self._next_task()) is not None:
            active = _Active(task)
            self._active.append(active)
            self._go_on(active, partial(next, task))
            self._looked_at = time.monotonic()

    def _go_on(self, active: _Active, proceed: Callable[[], Need]) -> None:
        """Let a task go on to its next need, or to its end, where there is room for another one."""
        try:
            active.needs = [proceed()]
        except StopIteration:
            self._active.remove(active)
            self._looked_at = float("-inf")
            return
        except BaseException:
            self._active.remove(active)
            raise
        self._begin(active)

    def _begin(self, active: _Active) -> None:
        """Answer a task's need, or have it trained; where another live worker has it, it stays as it is."""
        while active.attempt is None and active in self._active:
            need = active.needs[-1]
            active.attempt = self._under_way(need.spec)
            if active.attempt is not None:
                return
            try:
                result = self._bench.find(need.spec)
                if result is not None:
                    self._deliver(active, result, reused=True)
                    return
                if need.spec.distillation is not None and self._lacks(need.spec.distillation.teacher):
                    active.needs.append(Need(spec=need.spec.distillation.teacher, wait=need.wait, poll=need.poll))
                    continue
                attempt: Attempt | StageResult | Exception | None = self._bench.begin(need)
            except Exception as error:
                attempt = error
            if isinstance(attempt, Exception):
                # With less beside it there may be room: it is tried again at the next look around.
                if not (is_out_of_memory(attempt) and self._pack.make_room()):
                    self._throw(active, attempt)
                return
            if attempt is None:
                return
            if isinstance(attempt, StageResult):
                self._deliver(active, attempt, reused=False)
                return
            active.attempt = attempt
            self._attempts[attempt.job], self._owners[attempt.job] = attempt, active
            self._pack.add(attempt.job)

    def _lacks(self, spec: StageSpec) -> bool:
        return self._bench.find(spec) is None

    def _under_way(self, spec: StageSpec) -> Attempt | None:
        return next((a for a in self._attempts.values() if a.job.spec.fingerprint == spec.fingerprint), None)

    def _settled(self, job: StageJob, outcome: Trained | Exception) -> BaseException | None:
        """Record what became of a stage and tell the tasks that wait for it; return what one of them raised."""
        attempt, owner = self._attempts.pop(job), self._owners.pop(job)
        waiting = [active for active in self._active if active.attempt is attempt]
        for active in waiting:
            active.attempt = None
        self._looked_at = float("-inf")
        try:
            result = self._bench.settle(attempt, outcome)
        except LeaseLostError:
            logger.warning("the lease on %s was lost to another worker; waiting for its result", job.spec.label)
            return None
        except Exception as error:
            # Who else needs the stage tries it anew; one that diverged is found to have failed.
            return self._caught(partial(self._throw, owner, error))
        told = [self._caught(partial(self._deliver, active, result, reused=active is not owner)) for active in waiting]
        return next((error for error in told if error is not None), None)

    def _deliver(self, active: _Active, result: StageResult, *, reused: bool) -> None:
        need = active.needs.pop()
        if active.needs:
            # It was a teacher.
            return self._begin(active)
        self._bench.ended(need.spec, result, reused=reused)
        return self._go_on(active, lambda: active.task.send(Delivered(result=result, reused=reused)))

    def _throw(self, active: _Active, error: Exception) -> None:
        self._go_on(active, lambda: active.task.throw(error))

    @staticmethod
    def _caught(call: Callable[[], None]) -> BaseException | None:
        """Return what a call raises: the others that have ended in the same turn must hear of it first."""
        try:
            call()
        except BaseException as error:
            return error
        return None

    def _wind_down(self) -> None:
        """End every task as a signal would: stages are saved and given back, and so is what the tasks hold."""
        self._pack.interrupt()
        # All of them: one that an interrupt has hit between two places of the pack is in none.
        for job, attempt in self._attempts.items():
            try:
                self._bench.settle(attempt, InterruptedStage())
            except InterruptedStage:
                pass
            except Exception:
                logger.warning("%s was not given back", job.spec.label, exc_info=True)
        for active in list(self._active):
            try:
                active.task.throw(InterruptedStage())
            except (InterruptedStage, StopIteration):
                pass
            except Exception:
                logger.warning("a task did not end in good order", exc_info=True)
        self._active.clear()
