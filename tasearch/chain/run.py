"""Carry out stages: reuse what the store has, wait for what another worker trains, train the rest."""

from __future__ import annotations

import gc
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from tasearch.chain.control import LEASE_SECONDS, Control, Stores, Watcher
from tasearch.chain.tasks import Attempt, Crew, Delivered, Need, StageBusyError, Task
from tasearch.data.dataset import Dataset
from tasearch.data.splits import open_test
from tasearch.data.views import ViewSource, normalisation_of
from tasearch.domain.chance import is_near_chance
from tasearch.domain.errors import ArtifactError, LeaseLostError, StageFailedError
from tasearch.domain.fingerprint import fingerprint
from tasearch.domain.metric import in_words
from tasearch.domain.result import StageResult
from tasearch.domain.spec import StageSpec
from tasearch.stores.keeper import LeaseKeeper
from tasearch.stores.owner import is_known_dead
from tasearch.stores.stages import StageClaim, StageState
from tasearch.training.device import environment
from tasearch.training.device_tables import DeviceTables
from tasearch.training.evaluate import evaluation_batch, logits_table, score
from tasearch.training.graphs import StepGraphs
from tasearch.training.loop import StageData, StageJob, Trained
from tasearch.training.pack import Pack, is_out_of_memory
from tasearch.training.rebuilding import rebuilt

_NETS_KEPT = 4
logger = logging.getLogger(__name__)


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
        pack: int = 1,
    ) -> None:
        """`keeper` renews leases while stages train; by default the runner has one of its own.

        `pack`: how many stages are trained side by side where several are needed.
        """
        self.pack = pack
        self._keeper = keeper or LeaseKeeper(LEASE_SECONDS / 4)
        self._stores, self._dataset, self._device = stores, dataset, device
        self._owner, self._watcher, self._checkpoint_seconds = owner, watcher, checkpoint_seconds
        self._statistics = normalisation_of(dataset.spec, dataset.train)
        self._data = StageData(
            train=ViewSource(dataset.train, dataset.spec, self._statistics, device),
            val=ViewSource(dataset.val, dataset.spec, self._statistics, device),
        )
        self._test: ViewSource | None = None
        self._nets: OrderedDict[tuple[str, str], nn.Module] = OrderedDict()
        self._graphs = StepGraphs(device)
        self._device_tables = DeviceTables(device)
        self._num_attempts = 0

    def run(self, spec: StageSpec, *, wait: bool = True) -> StageResult:
        """Return the stage's result, training it and whatever teaches it where the store has them not.

        What another live worker trains is waited for, or without `wait` StageBusyError is raised. Raises
        StageFailedError, InterruptedStage, or StorageError where bytes cannot be stored.
        """
        found: list[StageResult] = []

        def task() -> Task:
            delivered: Delivered = yield Need(spec=spec, wait=wait)
            found.append(delivered.result)

        tasks = [task()]
        self.run_tasks(lambda: tasks.pop() if tasks else None)
        return found[0]

    def run_tasks(self, next_task: Callable[[], Task | None]) -> None:
        """Carry out tasks, as many side by side as the pack is wide, until there are no more.

        `next_task` is asked while there is room; None: no task now, maybe once another has ended. What a task raises
        ends the others as a signal would, and is then raised.
        """
        pack = Pack(
            self._data,
            self._device,
            most=self.pack,
            checkpoint_seconds=self._checkpoint_seconds,
            graphs=self._graphs,
            free_memory=self._free_memory,
        )
        try:
            Crew(self, pack, next_task).run()
        finally:
            # What did not fit once does not fit later.
            self.pack = min(self.pack, pack.most)

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
            return self._score_on(self._test, spec)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        finally:
            self._dataset.close()
        # Nothing trains now: what earlier stages have left for later ones can go.
        self._graphs.drop_idle()
        self._free_memory()
        gc.collect()
        try:
            return self._score_on(self._test, spec)
        finally:
            self._dataset.close()

    def _score_on(self, source: ViewSource, spec: StageSpec) -> float:
        precision, tick = spec.recipe.precision, self._watcher.poll
        return score(self._net(spec)[0], source, metric=spec.metric, precision=precision, tick=tick)

    def _free_memory(self) -> None:
        """Let go of what can be had again."""
        self._nets.clear()
        self._device_tables.clear()

    def poll(self) -> None:
        """Let whoever watches look around."""
        self._watcher.poll()

    def ended(self, spec: StageSpec, result: StageResult, *, reused: bool) -> None:
        """Tell whoever watches that a stage is there."""
        self._watcher.stage_ended(spec, result, reused=reused)

    def find(self, spec: StageSpec) -> StageResult | None:
        """Return a stage's result where the store has it. Raises StageFailedError where it has failed."""
        row = self._stores.stages.find(spec.fingerprint)
        if row is not None and row.state is StageState.FAILED:
            raise StageFailedError(
                row.failure or f"stage {spec.label} failed before",
                hint="it is not tried again as it is: mend the net where the message names one, or change the recipe, "
                "e.g. a smaller --learning-rate",
            )
        if row is None or row.artifact_id is None or row.state is not StageState.COMPLETE:
            return None
        if not self._stores.artifacts.exists(row.artifact_id):
            logger.warning("the weights of %s are missing; it is trained again", spec.label)
            self._stores.stages.invalidate(spec.fingerprint, row.artifact_id)
            return None
        return row.result()

    def begin(self, need: Need) -> Attempt | StageResult | None:
        """Claim a stage and prepare its training; None where another worker has it and `need` says to wait.

        Where nothing has to be trained, as its weights were given, it is there at once. Raises StageBusyError.
        """
        spec = need.spec
        claim = self._stores.stages.claim(spec, self._owner, LEASE_SECONDS) or self._take_over(need)
        if claim is None:
            return None
        control = Control(need, claim, self._stores, self._watcher)
        if spec.given is not None:
            return self._adopt(spec, spec.given, claim, control)
        self._watcher.stage_started(spec)
        held = ExitStack()
        try:
            control.held = held.enter_context(self._keeper.hold(control.renew))
            in_use = held.enter_context(ExitStack())
            logits, artifact_id = self._teacher_logits(spec, control, in_use)
            job = StageJob(
                spec=spec,
                control=control,
                teacher_logits=logits,
                teacher_artifact=artifact_id,
                checkpoint=self._stores.checkpoints.load(spec.fingerprint),
            )
        except BaseException:
            held.close()
            self._watcher.stage_left(spec)
            self._stores.stages.release(claim)
            raise
        self._num_attempts += 1
        return Attempt(job=job, claim=claim, held=held)

    def _take_over(self, need: Need) -> StageClaim | None:
        row = self._stores.stages.find(need.spec.fingerprint)
        if row is None or row.state is not StageState.RUNNING or row.owner is None:
            return None
        # What this very process holds and does not know of is left from an answer that was lost.
        if row.owner == self._owner or is_known_dead(row.owner):
            return self._stores.stages.take_over(need.spec, self._owner, row.owner, LEASE_SECONDS)
        if not need.wait:
            raise StageBusyError(need.spec, row.owner)
        self._watcher.stage_waits(need.spec, row.owner)
        return None

    def settle(self, attempt: Attempt, outcome: Trained | Exception) -> StageResult:
        """Record what became of a stage. Raises `outcome` where it is an exception; LeaseLostError, StorageError."""
        spec, claim = attempt.job.spec, attempt.claim
        self._num_attempts -= 1
        self._watcher.stage_left(spec)
        try:
            with attempt.held:
                if isinstance(outcome, Exception):
                    raise outcome
                # Still under the lease: bytes may take a while to their place.
                result = StageResult(
                    fingerprint=spec.fingerprint,
                    artifact_id=self._stores.artifacts.put(outcome.weights),
                    val_accuracy=outcome.curve[-1].val_accuracy,
                    curve=outcome.curve,
                    seconds=outcome.seconds,
                    environment=outcome.environment,
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
            if not self._num_attempts:
                self._dataset.close()
        self._stores.stages.complete(claim, result)
        self._stores.checkpoints.delete(spec.fingerprint)
        return result

    def _adopt(self, spec: StageSpec, given: str, claim: StageClaim, control: Control) -> StageResult | None:
        """Record a stage whose weights were given: nothing is trained, its accuracy on val is measured.

        None where the lease was lost meanwhile: another worker does it then.
        """
        self._watcher.stage_started(spec)
        began = time.monotonic()
        try:
            with self._keeper.hold(control.renew) as held:
                control.held = held
                net = rebuilt(spec.student, self._given_weights(given), self._device)
                precision = spec.recipe.precision
                found = score(net, self._data.val, metric=spec.metric, precision=precision, tick=control.tick)
        except LeaseLostError:
            logger.warning("the lease on %s was lost to another worker; waiting for its result", spec.label)
            return None
        except BaseException:
            self._stores.stages.release(claim)
            raise
        finally:
            self._watcher.stage_left(spec)
            self._dataset.close()
        if is_near_chance(found, self._dataset.class_counts.val, spec.metric):
            logger.warning(
                "%s: val %s %.1f%% is near chance: was it trained with another normalisation (--normalize), "
                "another order of the classes, or other images?",
                spec.label,
                in_words(spec.metric),
                100 * found,
            )
        result = StageResult(
            fingerprint=spec.fingerprint,
            artifact_id=given,
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

    def _teacher_logits(
        self, spec: StageSpec, control: Control, in_use: ExitStack
    ) -> tuple[Callable[[int], Tensor] | None, str | None]:
        """Return what gives the teacher's logits of an epoch, and the hash of the teacher's weights.

        `in_use` keeps that epoch's table from eviction. Both are None for a stage without a teacher.
        """
        if spec.distillation is None:
            return None, None
        teacher = spec.distillation.teacher
        net, artifact_id = self._net(teacher)
        identity = self._table_identity(teacher, artifact_id, spec)

        def logits(epoch: int) -> Tensor:
            key = fingerprint({**identity, "epoch": epoch})
            # Stages side by side want the same table; the one of the last epoch may go.
            in_use.close()
            in_use.enter_context(self._stores.tables.pin(key))
            table = self._device_tables.get(key)
            if table is None:
                table = self._device_tables.put(key, self._table(key, net, spec, epoch, control))
            return table

        return logits, artifact_id

    def _table(self, key: str, net: nn.Module, spec: StageSpec, epoch: int, control: Control) -> Tensor:
        """Return a teacher's logits as stored, computed and stored where they are missing."""
        stored = self._stores.tables.get(key)
        if stored is not None:
            return torch.from_numpy(stored)
        views = self._data.train.views(spec.replicate, epoch)
        table = logits_table(net, views, precision=spec.recipe.precision, tick=control.tick)
        self._stores.tables.put(key, table.numpy())
        return table

    def _table_identity(self, teacher: StageSpec, artifact_id: str, spec: StageSpec) -> dict[str, object]:
        """Everything that a table of teacher logits depends on, but the epoch; `artifact_id`: of the teacher's weights.

        The environment is part of it: a table made elsewhere may differ in the last bits, and what a stage learns
        must not depend on who was first.
        """
        return {
            "weights": artifact_id,
            "model": teacher.student,
            "data": spec.data.identity(),
            "replicate": spec.replicate,
            "precision": spec.recipe.precision,
            "batch": evaluation_batch(self._device),
            "numerics_version": spec.numerics_version,
            "environment": environment(self._device),
        }

    def _net(self, spec: StageSpec) -> tuple[nn.Module, str]:
        """Return the trained net of a stage with the hash of its weights, both from one look at the store.

        Nets are kept in memory by that hash too: a stage whose weights were lost may have been trained again
        elsewhere, and its new weights need not be the same bits. A damaged net is trained again, once, and said.
        """
        try:
            return self._kept(spec)
        except ArtifactError as error:
            logger.warning("%s: %s is trained again", error.message, spec.label)
        row = self._stores.stages.find(spec.fingerprint)
        if row is not None and row.artifact_id is not None:
            self._stores.stages.invalidate(spec.fingerprint, row.artifact_id)
        self.run(spec)
        return self._kept(spec)

    def _kept(self, spec: StageSpec) -> tuple[nn.Module, str]:
        """Return what `_net` does. Raises ArtifactError where the stage has no weights or they are damaged."""
        row = self._stores.stages.find(spec.fingerprint)
        if row is None or row.artifact_id is None:
            raise ArtifactError(f"stage {spec.label} has no stored weights")
        key = spec.fingerprint, row.artifact_id
        if key not in self._nets:
            weights = self._stores.artifacts.get(row.artifact_id)
            self._nets[key] = rebuilt(spec.student, weights, self._device)
            while len(self._nets) > _NETS_KEPT:
                self._nets.popitem(last=False)
        self._nets.move_to_end(key)
        return self._nets[key], row.artifact_id
