"""Carry out stages: reuse what the store has, wait for what another worker trains, train the rest."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from tasearch.data.dataset import Dataset
from tasearch.data.splits import open_test
from tasearch.data.views import ViewSource, normalisation_of
from tasearch.domain.chance import is_near_chance
from tasearch.domain.errors import ArtifactError, LeaseLostError, StageFailedError, TasearchError
from tasearch.domain.fingerprint import fingerprint
from tasearch.domain.metric import in_words
from tasearch.domain.result import EpochResult, StageResult
from tasearch.domain.spec import StageSpec
from tasearch.models.registry import build_model
from tasearch.models.traits import placed
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.checkpoints import CheckpointStore
from tasearch.stores.keeper import Held, LeaseKeeper
from tasearch.stores.logit_tables import LogitTables
from tasearch.stores.owner import is_known_dead
from tasearch.stores.stages import StageClaim, StageRecords, StageState
from tasearch.training.device import environment
from tasearch.training.evaluate import evaluation_batch, logits_table, score
from tasearch.training.loop import StageData, fit
from tasearch.training.weights import load_weights

LEASE_SECONDS = 60.0
_POLL_SECONDS = 0.5
_NETS_KEPT = 4
logger = logging.getLogger(__name__)


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

    def stage_ended(self, spec: StageSpec, result: StageResult, *, reused: bool) -> None:
        """A stage is there; `reused` where nothing had to be trained."""


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Where stages and their bytes live."""

    stages: StageRecords
    artifacts: ArtifactStore
    checkpoints: CheckpointStore
    tables: LogitTables


class StageBusyError(TasearchError):
    """Another live worker trains a stage that is needed; it is worth asking again later."""

    def __init__(self, spec: StageSpec, owner: str) -> None:
        super().__init__(f"{spec.label} is being trained by {owner}")
        self.spec = spec


class StageRunner:
    """Gives the result of any stage of one dataset, trained at most once per store."""

    def __init__(
        self,
        stores: Stores,
        dataset: Dataset,
        device: torch.device,
        *,
        owner: str,
        watcher: Watcher,
        checkpoint_seconds: float,
        keeper: LeaseKeeper | None = None,
    ) -> None:
        """`keeper` renews leases while stages train; by default the runner has one of its own."""
        self._keeper = keeper or LeaseKeeper(LEASE_SECONDS / 4)
        self._stores, self._dataset, self._device = stores, dataset, device
        self._owner, self._watcher, self._checkpoint_seconds = owner, watcher, checkpoint_seconds
        self._statistics = normalisation_of(dataset.spec, dataset.train)
        self._data = StageData(
            train=ViewSource(dataset.train, dataset.spec, self._statistics, device),
            val=ViewSource(dataset.val, dataset.spec, self._statistics, device),
        )
        self._test: ViewSource | None = None
        self._nets: OrderedDict[str, nn.Module] = OrderedDict()

    def run(self, spec: StageSpec, *, wait: bool = True) -> StageResult:
        """Return the stage's result, training it and whatever teaches it where the store has them not.

        What another live worker trains is waited for, or without `wait` StageBusyError is raised. Raises
        StageFailedError, InterruptedStage, or StorageError where bytes cannot be stored.
        """
        result, reused = self._require(spec, wait=wait)
        self._watcher.stage_ended(spec, result, reused=reused)
        return result

    def is_elsewhere(self, spec: StageSpec) -> bool:
        """Whether another live worker trains the stage now, so that asking for it would mean waiting."""
        row = self._stores.stages.find(spec.fingerprint)
        if row is None or row.state is not StageState.RUNNING or row.owner in (None, self._owner):
            return False
        return (row.lease_left or 0.0) > 0 and not is_known_dead(str(row.owner))

    def test_accuracy(self, spec: StageSpec) -> float:
        """Return the accuracy, in the metric of the stage, on the test set; only the finals may ask."""
        if self._test is None:
            self._test = ViewSource(open_test(self._dataset), self._dataset.spec, self._statistics, self._device)
        try:
            return score(
                self._net(spec),
                self._test,
                metric=spec.metric,
                precision=spec.recipe.precision,
                tick=self._watcher.poll,
            )
        finally:
            self._dataset.close()

    def _require(self, spec: StageSpec, *, wait: bool = True) -> tuple[StageResult, bool]:
        found = self._find(spec)
        if found is not None:
            return found, True
        if spec.distillation is not None:
            self._require(spec.distillation.teacher, wait=wait)
        work = self._train if spec.given is None else self._adopt
        while True:
            claim = self._stores.stages.claim(spec, self._owner, LEASE_SECONDS) or self._take_over(spec, wait=wait)
            if claim is not None:
                try:
                    return work(spec, claim), False
                except LeaseLostError:
                    logger.warning("the lease on %s was lost to another worker; waiting for its result", spec.label)
            found = self._find(spec)
            if found is not None:
                return found, True
            self._watcher.poll()
            time.sleep(_POLL_SECONDS)

    def _find(self, spec: StageSpec) -> StageResult | None:
        row = self._stores.stages.find(spec.fingerprint)
        if row is not None and row.state is StageState.FAILED:
            raise StageFailedError(
                row.failure or f"stage {spec.label} failed before",
                hint="it is not tried again as it is: change the recipe, e.g. a smaller --learning-rate",
            )
        if row is None or row.artifact_id is None or row.state is not StageState.COMPLETE:
            return None
        if not self._stores.artifacts.exists(row.artifact_id):
            logger.warning("the weights of %s are missing; it is trained again", spec.label)
            self._stores.stages.invalidate(spec.fingerprint, row.artifact_id)
            return None
        return row.result()

    def _take_over(self, spec: StageSpec, *, wait: bool) -> StageClaim | None:
        row = self._stores.stages.find(spec.fingerprint)
        if row is None or row.state is not StageState.RUNNING or row.owner is None:
            return None
        # What this very process holds and does not know of is left from an answer that was lost.
        if row.owner == self._owner or is_known_dead(row.owner):
            return self._stores.stages.take_over(spec, self._owner, row.owner, LEASE_SECONDS)
        if not wait:
            raise StageBusyError(spec, row.owner)
        self._watcher.stage_waits(spec, row.owner)
        return None

    def _train(self, spec: StageSpec, claim: StageClaim) -> StageResult:
        control = _Control(spec, claim, self._stores, self._watcher)
        self._watcher.stage_started(spec)
        try:
            with ExitStack() as in_use, self._keeper.hold(control.renew) as held:
                control.held = held
                trained = fit(
                    spec,
                    self._data,
                    self._device,
                    control,
                    teacher_logits=self._teacher_logits(spec, control, in_use),
                    checkpoint=self._stores.checkpoints.load(spec.fingerprint),
                    checkpoint_seconds=self._checkpoint_seconds,
                )
                # Still under the lease: bytes may take a while to their place.
                result = StageResult(
                    fingerprint=spec.fingerprint,
                    artifact_id=self._stores.artifacts.put(trained.weights),
                    val_accuracy=trained.curve[-1].val_accuracy,
                    curve=trained.curve,
                    seconds=trained.seconds,
                    environment=environment(self._device),
                )
        except StageFailedError as error:
            self._stores.checkpoints.delete(spec.fingerprint)
            self._stores.stages.fail(claim, error.message)
            raise
        except LeaseLostError:
            raise
        except BaseException:
            # Interrupted, or bytes that could not be stored: another worker, or this one, goes on from the checkpoint.
            self._stores.stages.release(claim)
            raise
        finally:
            self._dataset.close()
        self._stores.stages.complete(claim, result)
        self._stores.checkpoints.delete(spec.fingerprint)
        return result

    def _adopt(self, spec: StageSpec, claim: StageClaim) -> StageResult:
        """Record a stage whose weights were given: nothing is trained, its accuracy on val is measured."""
        control = _Control(spec, claim, self._stores, self._watcher)
        self._watcher.stage_started(spec)
        began = time.monotonic()
        assert spec.given is not None
        try:
            with self._keeper.hold(control.renew) as held:
                control.held = held
                net = self._built(spec, self._given_weights(spec.given))
                found = score(
                    net, self._data.val, metric=spec.metric, precision=spec.recipe.precision, tick=control.tick
                )
        except LeaseLostError:
            raise
        except BaseException:
            self._stores.stages.release(claim)
            raise
        finally:
            self._dataset.close()
        if is_near_chance(found, spec.data.num_classes, spec.data.num_val):
            logger.warning(
                "%s: val %s %.1f%% is near chance: was it trained with another normalisation (--normalize), "
                "another order of the classes, or other images?",
                spec.label,
                in_words(spec.metric),
                100 * found,
            )
        result = StageResult(
            fingerprint=spec.fingerprint,
            artifact_id=spec.given,
            val_accuracy=found,
            curve=(),
            seconds=time.monotonic() - began,
            environment=environment(self._device),
        )
        self._stores.stages.complete(claim, result)
        return result

    def _given_weights(self, artifact_id: str) -> bytes:
        try:
            return self._stores.artifacts.get(artifact_id)
        except ArtifactError as error:
            raise ArtifactError(
                f"the given weights of the teacher are not stored: {error.message}",
                hint="the same command with --teacher-checkpoint FILE puts them there again",
            ) from error

    def _teacher_logits(self, spec: StageSpec, control: _Control, in_use: ExitStack) -> Callable[[int], Tensor] | None:
        """Return what gives the teacher's logits of an epoch; `in_use` keeps that epoch's table from eviction."""
        if spec.distillation is None:
            return None
        teacher = spec.distillation.teacher
        net = self._net(teacher)
        identity = self._table_identity(teacher, spec)

        def logits(epoch: int) -> Tensor:
            key = fingerprint({**identity, "epoch": epoch})
            # Stages side by side want the same table; the one of the last epoch may go.
            in_use.close()
            in_use.enter_context(self._stores.tables.pin(key))
            stored = self._stores.tables.get(key)
            if stored is not None:
                return torch.from_numpy(stored)
            views = self._data.train.views(spec.replicate, epoch)
            table = logits_table(net, views, precision=spec.recipe.precision, tick=control.tick)
            self._stores.tables.put(key, table.numpy())
            return table

        return logits

    def _table_identity(self, teacher: StageSpec, spec: StageSpec) -> dict[str, object]:
        """Everything that a table of teacher logits depends on, but the epoch.

        The environment is part of it: a table made elsewhere may differ in the last bits, and what a stage learns
        must not depend on who was first.
        """
        row = self._stores.stages.find(teacher.fingerprint)
        return {
            "weights": row.artifact_id if row else None,
            "model": teacher.student,
            "data": spec.data,
            "replicate": spec.replicate,
            "precision": spec.recipe.precision,
            "batch": evaluation_batch(self._device),
            "numerics_version": spec.numerics_version,
            "environment": environment(self._device),
        }

    def _net(self, spec: StageSpec) -> nn.Module:
        """Return the trained net of a stage; a damaged one is trained again, once, and said."""
        if spec.fingerprint not in self._nets:
            try:
                weights = self._weights(spec)
            except ArtifactError as error:
                logger.warning("%s: %s is trained again", error.message, spec.label)
                row = self._stores.stages.find(spec.fingerprint)
                if row is not None and row.artifact_id is not None:
                    self._stores.stages.invalidate(spec.fingerprint, row.artifact_id)
                self._require(spec)
                weights = self._weights(spec)
            self._nets[spec.fingerprint] = self._built(spec, weights)
            while len(self._nets) > _NETS_KEPT:
                self._nets.popitem(last=False)
        self._nets.move_to_end(spec.fingerprint)
        return self._nets[spec.fingerprint]

    def _built(self, spec: StageSpec, weights: bytes) -> nn.Module:
        net = build_model(spec.student, seed=0)
        load_weights(net, weights)
        return placed(net, self._device).eval()

    def _weights(self, spec: StageSpec) -> bytes:
        row = self._stores.stages.find(spec.fingerprint)
        if row is None or row.artifact_id is None:
            raise ArtifactError(f"stage {spec.label} has no stored weights")
        return self._stores.artifacts.get(row.artifact_id)


class _Control:
    """Connects a running stage to its lease, its checkpoints and whoever watches."""

    def __init__(self, spec: StageSpec, claim: StageClaim, stores: Stores, watcher: Watcher) -> None:
        self._spec, self._claim, self._stores, self._watcher = spec, claim, stores, watcher
        self._epoch = 0
        self.held: Held | None = None

    def tick(self) -> None:
        self._watcher.poll()
        self._check()

    def _check(self) -> None:
        """Raise LeaseLostError where another worker has taken over."""
        if self.held is not None:
            self.held.check()

    def epoch_done(self, point: EpochResult) -> None:
        self._epoch = point.epoch
        self._watcher.epoch_done(self._spec, point)

    def save(self, checkpoint: bytes) -> None:
        # A worker that has lost its lease must not write over the checkpoint of the one that took over. One whose
        # database is away goes on: whoever took over would come to the same bytes.
        if self.held is not None:
            self.held.renew()
        self._check()
        self._stores.checkpoints.save(self._spec.fingerprint, checkpoint)

    def renew(self) -> None:
        """Extend the lease, and record how many epochs are done. Raises LeaseLostError, StorageError."""
        self._stores.stages.renew(self._claim, self._epoch, LEASE_SECONDS)
