"""What a stage under way is tied to: stores, its lease, whoever watches, the task that it is trained for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tasearch.chain.tasks import Need
from tasearch.domain.result import EpochResult, StageResult
from tasearch.domain.spec import StageSpec
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.checkpoints import CheckpointStore
from tasearch.stores.keeper import Held
from tasearch.stores.logit_tables import LogitTables
from tasearch.stores.stages import StageClaim, StageRecords

LEASE_SECONDS = 60.0


class Watcher(Protocol):
    """Follows the work; every method returns at once."""

    def poll(self) -> None:
        """Called many times a second while a stage runs or waits; raises InterruptedStage to stop."""

    def stage_started(self, spec: StageSpec) -> None:
        """A stage begins or continues to train here."""

    def stage_waits(self, spec: StageSpec, owner: str) -> None:
        """Another worker trains the stage; this one waits."""

    def epoch_done(self, spec: StageSpec, point: EpochResult) -> None:
        """A stage has finished an epoch."""

    def stage_left(self, spec: StageSpec) -> None:
        """A stage that trained here does not any more, whether it has ended or not."""

    def stage_ended(self, spec: StageSpec, result: StageResult, *, reused: bool) -> None:
        """A stage is there; `reused` where nothing had to be trained."""


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Where stages and their bytes live."""

    stages: StageRecords
    artifacts: ArtifactStore
    checkpoints: CheckpointStore
    tables: LogitTables


class Control:
    """Connects a running stage to its lease, its checkpoints, whoever watches and the task that it is trained for."""

    def __init__(self, need: Need, claim: StageClaim, stores: Stores, watcher: Watcher) -> None:
        self._spec, self._need = need.spec, need
        self._claim, self._stores, self._watcher = claim, stores, watcher
        self._epoch = 0
        self.held: Held | None = None

    def tick(self) -> None:
        """Let watcher and task look around. Raises InterruptedStage, LeaseLostError."""
        self._watcher.poll()
        self._need.poll()
        self._check()

    def _check(self) -> None:
        """Raise LeaseLostError where another worker has taken over."""
        if self.held is not None:
            self.held.check()

    def epoch_done(self, point: EpochResult) -> None:
        """Note an epoch, and tell watcher and task."""
        self._epoch = point.epoch
        self._watcher.epoch_done(self._spec, point)
        self._need.epoch_done(point)

    def save(self, checkpoint: bytes) -> None:
        """Keep a checkpoint. Raises LeaseLostError."""
        # A worker that has lost its lease must not write over the checkpoint of the one that took over. One whose
        # database is away goes on: whoever took over would come to the same bytes.
        if self.held is not None:
            self.held.renew()
        self._check()
        self._stores.checkpoints.save(self._spec.fingerprint, checkpoint)

    def renew(self) -> None:
        """Extend the lease, and record how many epochs are done. Raises LeaseLostError, StorageError."""
        self._stores.stages.renew(self._claim, self._epoch, LEASE_SECONDS)
