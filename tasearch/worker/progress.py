"""Where a worker stands: kept here, shown on the terminal, published for `tasearch status`."""

from __future__ import annotations

import dataclasses
import logging
import signal
import time
from collections.abc import Callable
from typing import Any, Protocol

from tasearch.domain.errors import StorageError
from tasearch.domain.metric import in_words
from tasearch.domain.result import EpochResult, StageResult
from tasearch.domain.spec import StageSpec
from tasearch.stores.workers import WorkerRecords
from tasearch.training.loop import InterruptedStage
from tasearch.worker.cost import StudyCost
from tasearch.worker.signals import StopFlag
from tasearch.worker.snapshot import FIRST_PHASE, Snapshot

logger = logging.getLogger(__name__)
PUBLISH_SECONDS = 2.0
READING_SECONDS = 30.0
"""How often is said how far the first reading of images that stay in their files has come."""


class Display(Protocol):
    """Shows progress to a person."""

    def refresh(self, snapshot: Snapshot) -> None:
        """Show where the worker stands."""

    def line(self, text: str) -> None:
        """Say that something was finished."""


class Silent:
    """A display that shows nothing."""

    def refresh(self, snapshot: Snapshot) -> None:
        """Nothing."""

    def line(self, text: str) -> None:
        """Nothing."""


class FirstReading:
    """Says how far the first reading of all images has come; raises InterruptedStage once a signal asks for an end."""

    def __init__(self, display: Display, stop: StopFlag) -> None:
        self._display, self._stop = display, stop
        self._said_at = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Take note that `done` of `total` images have been read."""
        if self._stop.is_set:
            raise InterruptedStage
        if time.monotonic() - self._said_at >= READING_SECONDS:
            self._said_at = time.monotonic()
            self._display.line(f"reading every image once: {done:,} of {total:,}")


class Progress:
    """Follows the stages of one worker (a `chain.control.Watcher`)."""

    def __init__(
        self,
        start: Snapshot,
        *,
        cost: StudyCost,
        records: WorkerRecords,
        worker_id: str,
        display: Display,
        stop: StopFlag,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """`is_stopped`: whether the workers of the study were asked to end; asked whenever the state is published."""
        self.now, self._cost, self._is_stopped = start, cost, is_stopped
        self._macs_done = 0.0
        self._records, self._worker_id, self._display, self._stop = records, worker_id, display, stop
        self._started = self._published_at = time.monotonic()
        self._phase_started = self._started
        self._phase_done = 0
        self._under_way: dict[str, tuple[StageSpec, int]] = {}
        """Stages that train here with the epochs done of each, by fingerprint, in the order in which they began."""
        self.on_poll: Callable[[], None] = lambda: None

    def update(self, **changes: Any) -> None:
        """Change fields of the snapshot and show it."""
        if changes.get("phase", self.now.phase) != self.now.phase:
            self._phase_started, self._phase_done = time.monotonic(), 0
        self._phase_done += changes.get("trials_done", self.now.trials_done) - self.now.trials_done
        self._phase_done += changes.get("finals_done", self.now.finals_done) - self.now.finals_done
        self.now = dataclasses.replace(self.now, **changes)
        self._show()

    def say(self, text: str) -> None:
        """Say that something was finished."""
        self._display.line(text)

    def poll(self) -> None:
        """Publish and redraw now and then; raises InterruptedStage once a signal has asked for an end."""
        if self._stop.is_set:
            raise InterruptedStage
        self.on_poll()
        if time.monotonic() - self._published_at >= PUBLISH_SECONDS:
            self._show()

    def stage_started(self, spec: StageSpec) -> None:
        """Show the stage."""
        self._under_way[spec.fingerprint] = spec, 0
        self._show()

    def stage_left(self, spec: StageSpec) -> None:
        """Show it no more."""
        self._under_way.pop(spec.fingerprint, None)

    def stage_waits(self, spec: StageSpec, owner: str) -> None:
        """Show what is waited for."""
        host, pid, _ = owner.rsplit(":", 2)
        self.update(stage=f"{spec.label} (waits for process {pid} on {host})", epoch=0, epochs=spec.recipe.epochs)

    def epoch_done(self, spec: StageSpec, point: EpochResult) -> None:
        """Show the epoch and hand it on."""
        self._macs_done += self._cost.of_epoch(spec)
        self._under_way[spec.fingerprint] = spec, point.epoch
        self._display.refresh(self._timed())

    def stage_ended(self, spec: StageSpec, result: StageResult, *, reused: bool) -> None:
        """Count the stage."""
        counts = (
            {"stages_reused": self.now.stages_reused + 1} if reused else {"stages_trained": self.now.stages_trained + 1}
        )
        self.update(stage=None, **counts)
        if not reused:
            took = f"{result.seconds:.1f} s"
            done = "trained" if spec.given is None else "measured"
            self.say(f"{done} {spec.label}: val {in_words(spec.metric)} {100 * result.val_accuracy:.1f}%, {took}")

    def close(self) -> None:
        """Withdraw the worker from the list of live ones."""
        self._records.remove(self.now.study_name, self._worker_id)

    def _show(self) -> None:
        self._published_at = time.monotonic()
        snapshot = self._timed()
        try:
            self._records.put(self.now.study_name, self._worker_id, dataclasses.asdict(snapshot))
            self._notice_stop()
        except StorageError as error:
            # Only for people to look at: work goes on while the database is away.
            logger.debug("the state of this worker was not published: %s", error.message)
        self._display.refresh(snapshot)

    def _notice_stop(self) -> None:
        """Behave as after SIGTERM once the study was stopped. Raises StorageError."""
        if not self._stop.is_set and self._is_stopped():
            self._stop.request(signal.SIGTERM)
            self.say(f"study {self.now.study_name} was stopped (`tasearch stop`): this worker ends")

    def _timed(self) -> Snapshot:
        elapsed = time.monotonic() - self._started
        return dataclasses.replace(self.now, elapsed_seconds=elapsed, left_seconds=self._left(), **self._training())

    def _training(self) -> dict[str, Any]:
        """Return the fields of the snapshot that tell what trains here: of several stages those of the oldest."""
        if not self._under_way:
            return {}
        spec, epoch = next(iter(self._under_way.values()))
        others = len(self._under_way) - 1
        beside = f" and {others} more at the same time" if others else ""
        return {"stage": f"{spec.label}{beside}", "epoch": epoch, "epochs": spec.recipe.epochs}

    def _left(self) -> float | None:
        """Return seconds left: from the time per trial or final run, before there is one from the arithmetic done."""
        trials = max(0, self.now.trials_total - self.now.trials_done)
        finals = max(0, self.now.finals_total - self.now.finals_done)
        if self._phase_done:
            return (time.monotonic() - self._phase_started) / self._phase_done * (trials + finals)
        if not self._macs_done:
            return None
        ahead = (trials + finals) * self._cost.trial
        if self.now.phase == FIRST_PHASE:
            ahead += max(0.0, self._cost.baselines - self._macs_done)
        return (time.monotonic() - self._started) / self._macs_done * ahead
