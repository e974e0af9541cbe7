"""One stage: train a student by labels, or by labels and a teacher's logits."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from tasearch.data.views import ViewSource, batch_order, to_device
from tasearch.domain.errors import DataError, StageFailedError
from tasearch.domain.randomness import seed_for
from tasearch.domain.result import Environment, EpochResult
from tasearch.domain.spec import StageSpec
from tasearch.models.names import is_own
from tasearch.training.device import environment
from tasearch.training.evaluate import hits, share
from tasearch.training.graphs import StepGraphs, can_be_recorded
from tasearch.training.rebuilding import check_rebuilt
from tasearch.training.schedule import learning_rate
from tasearch.training.student import Student
from tasearch.training.weights import Checkpoint, capture, restore, weights_to_bytes

logger = logging.getLogger(__name__)
NUMERICS_VERSION = 2
"""Raised by any change that alters the weights a stage ends with."""


_LAG = 64
"""Steps of the next epoch that are queued on a GPU before the outcome of the last one is waited for."""


class InterruptedStage(Exception):  # noqa: N818
    """Raised by `StageControl.tick` to stop a stage; it is saved before the exception goes on."""


class StageControl(Protocol):
    """What the training loop tells its caller, and what may stop it."""

    def tick(self) -> None:
        """Called after every step and every block of val; may raise InterruptedStage."""

    def epoch_done(self, point: EpochResult) -> None:
        """Called after every epoch, evaluated on val."""

    def save(self, checkpoint: bytes) -> None:
        """Keep a checkpoint; replaces the one before."""


@dataclass(frozen=True, kw_only=True)
class StageData:
    """The data of a stage on its device."""

    train: ViewSource
    val: ViewSource


@dataclass(frozen=True, kw_only=True, eq=False)
class StageJob:
    """A stage that is to be trained."""

    spec: StageSpec
    control: StageControl
    teacher_logits: Callable[[int], Tensor] | None = None
    """Gives the teacher's logits on the training views of an epoch, shape (N, K), in the order of the samples."""
    teacher_artifact: str | None = None
    """Hash of the teacher's weights."""
    checkpoint: bytes | None = None
    """Of a run that was stopped, to be continued; not used where other weights have taught it."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A stage that has ended."""

    weights: bytes
    curve: tuple[EpochResult, ...]
    seconds: float
    """Training time over all attempts; of stages trained side by side each has its share."""
    environment: Environment
    """Where it was trained; it names the earlier ones where it was continued in another than it began in."""


def steps_per_epoch(num_train: int, batch_size: int) -> int:
    """Return how many full batches an epoch has; the rest is left to other epochs' orders.

    A set smaller than one batch is one batch.
    """
    return max(1, num_train // batch_size)


def fit(
    spec: StageSpec,
    data: StageData,
    device: torch.device,
    control: StageControl,
    *,
    teacher_logits: Callable[[int], Tensor] | None = None,
    checkpoint: bytes | None = None,
    checkpoint_seconds: float = 60.0,
    graphs: StepGraphs | None = None,
) -> Trained:
    """Train the student of `spec` and return its weights after the last epoch.

    `teacher_logits(epoch)` gives the teacher's logits on the training views of that epoch, shape (N, K), in the
    order of the samples. `checkpoint` continues a run that was stopped; the result is bit-identical to a run that
    was not. `graphs`: recordings of earlier stages on a GPU, to be used again. Raises StageFailedError where the loss
    stops being finite or the weights do not give the net that was trained, InterruptedStage where `control` says so.
    """
    job = StageJob(spec=spec, control=control, teacher_logits=teacher_logits, checkpoint=checkpoint)
    started = time.monotonic()
    run = StageRun(job, data, device, graphs or StepGraphs(device), checkpoint_seconds)
    try:
        goes_on = True
        while goes_on:
            goes_on = run.advance()
            started, before = time.monotonic(), started
            run.seconds += started - before
        return run.trained()
    finally:
        run.release()


class _EpochEnd:
    """What an epoch came to; on a GPU on its way to the CPU, behind the steps that are queued by then."""

    def __init__(self, epoch: int, *tensors: Tensor) -> None:
        self.epoch = epoch
        self._tensors = tensors
        self._arrival: torch.cuda.Event | None = None
        if tensors[0].is_cuda:
            self._tensors = tuple(_on_its_way(tensor) for tensor in tensors)
            self._arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrival.record(torch.cuda.current_stream(tensors[0].device))

    def wait(self) -> tuple[Tensor, ...]:
        """Return the tensors on the CPU; waits for them alone, not for what was queued after them."""
        if self._arrival is not None:
            self._arrival.synchronize()
        return self._tensors


def _on_its_way(tensor: Tensor) -> Tensor:
    # Into pinned memory, or the copy would wait for the GPU.
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)


class StageRun:
    """A stage under way, advanced step by step; several of them may take turns."""

    def __init__(
        self, job: StageJob, data: StageData, device: torch.device, graphs: StepGraphs, checkpoint_seconds: float
    ) -> None:
        """Begin, or go on from the job's checkpoint. Raises torch.OutOfMemoryError."""
        spec = job.spec
        if (spec.distillation is None) != (job.teacher_logits is None):
            raise ValueError("a stage with a teacher needs its logits, and one without must have none")
        self.job, self.data, self.device = job, data, device
        self._graphs, self._checkpoint_seconds = graphs, checkpoint_seconds
        # Images that stay in their files come at their own pace: their steps are not recorded.
        is_recorded = device.type == "cuda" and data.train.is_resident and can_be_recorded(spec)
        self._graph = graphs.take(spec) if is_recorded else None
        self.student = self._graph.student if self._graph else Student(spec, device)
        self.steps = steps_per_epoch(spec.data.num_train, spec.recipe.batch_size)
        self.epoch, self.step = 1, 0
        self.curve: list[EpochResult] = []
        self.seconds = 0.0
        """Time spent on it, kept by whoever advances it."""
        self.saved = job.checkpoint
        """The checkpoint that was last handed out, or begun from."""
        self._weights = b""
        self._environment = environment(device)
        # On a GPU the next epoch is begun before the outcome of the last one has come back, so that it never waits.
        # After a fixed number of steps: how stages take turns must not depend on time.
        self._lag = min(_LAG, self.steps - 1) if device.type == "cuda" else 0
        self._queued: _EpochEnd | None = None
        self._untold: list[EpochResult] = []
        self._saved_at = time.monotonic()
        self.is_between_steps = True
        """Whether its state is that after a whole step; False once it was broken off within one."""
        if self._graph is not None:
            # Images and teachers were brought there by others.
            self._graph.stream.wait_stream(torch.cuda.default_stream(device))
        with self._on_its_stream():
            if job.checkpoint is not None:
                self._resume(Checkpoint.from_bytes(job.checkpoint))
        self._work = self._stage()

    def advance(self) -> bool:
        """Carry out the next step, on a GPU queue it; False once the stage has ended.

        Raises StageFailedError as `fit` does, and what the control raises; the stage is saved
        before an InterruptedStage or a DataError goes on. After any exception it has nothing more to save: it may have
        been broken off within a step.
        """
        self.is_between_steps = False
        with self._on_its_stream():
            goes_on = next(self._work, True) is None
        self.is_between_steps = True
        return goes_on

    def trained(self) -> Trained:
        """Return what came out, once `advance` has returned False."""
        return Trained(
            weights=self._weights,
            curve=tuple(self.curve),
            seconds=self.seconds,
            environment=self._environment,
        )

    def checkpoint(self) -> bytes:
        """Return the state between two steps. Raises StageFailedError where the epoch before has diverged."""
        with self._on_its_stream():
            self._note_epoch()
            return Checkpoint(
                epoch=self.epoch,
                step=self.step,
                loss_sum=float(self.student.loss_sum),
                curve=tuple(self.curve),
                seconds=self.seconds,
                environments=(*self._environment.earlier, replace(self._environment, earlier=())),
                teacher_artifact=self.job.teacher_artifact,
                tensors=capture(self.student.net, self.student.optimizer),
            ).to_bytes()

    def save(self) -> None:
        """Hand out a checkpoint."""
        self.saved = self.checkpoint()
        self.job.control.save(self.saved)
        self._saved_at = time.monotonic()

    def release(self) -> None:
        """Give back what other stages can use; the run is over."""
        self._work.close()
        if self._graph is not None:
            self._graphs.give_back(self._graph)
            self._graph = None

    def _on_its_stream(self) -> Any:
        return nullcontext() if self._graph is None else torch.cuda.stream(self._graph.stream)

    def _resume(self, checkpoint: Checkpoint) -> None:
        if checkpoint.teacher_artifact != self.job.teacher_artifact:
            # Half a stage from each of two teachers would be the stage of neither.
            logger.warning(
                "%s: the weights of its teacher are not those that had taught it when it was stopped, because the "
                "teacher was trained again; the stage begins anew",
                self.job.spec.label,
            )
            self.saved = None
            return
        restore(checkpoint.tensors, self.student.net, self.student.optimizer)
        self.epoch, self.step = checkpoint.epoch, checkpoint.step
        self.student.loss_sum.fill_(checkpoint.loss_sum)
        self.curve = list(checkpoint.curve)
        self.seconds = checkpoint.seconds
        self._environment = self._environment.after(checkpoint.environments)
        if self.step < self._lag:
            # Whoever was stopped this early had not told the epoch before; telling it twice is harmless.
            self._untold = self.curve[-1:]

    def _stage(self) -> Generator[None]:
        """Carry out what is left of the stage; yields where others may take their turn."""
        control = self.job.control
        try:
            while self.epoch <= self.job.spec.recipe.epochs:
                for _ in self._epoch_steps():
                    self.step += 1
                    if self.step == self._lag:
                        self._tell_epoch()
                    control.tick()
                    if time.monotonic() - self._saved_at >= self._checkpoint_seconds:
                        self._check_finite(self.epoch, self.step, self.student.loss_sum, self.student.is_finite())
                        self.save()
                    yield
                self._end_epoch()
                if not self._lag or self.epoch > self.job.spec.recipe.epochs:
                    self._tell_epoch()
            self._weights = weights_to_bytes(self.student.net)
            self._check_rebuilt()
        except (InterruptedStage, DataError):
            # A file that has vanished can be put back: the stage then goes on from here.
            self.save()
            raise

    def _epoch_steps(self) -> Iterator[None]:
        """Carry out the remaining steps of the current epoch; yields after each."""
        spec, logits = self.job.spec, self.job.teacher_logits
        views = self.data.train.views(spec.replicate, self.epoch)
        order = to_device(batch_order(spec.data.num_train, spec.replicate, self.epoch), self.device)
        table = None if logits is None else logits(self.epoch).to(self.device)
        size = spec.recipe.batch_size
        batches = [order[step * size : (step + 1) * size] for step in range(self.step, self.steps)]
        rates = [self._learning_rate(step) for step in range(self.step, self.steps)]
        if self._graph is not None:
            return self._graph.steps(batches, views, self.data.train.labels, table, rates)
        return self.student.steps(batches, views, self.data.train.labels, table, rates, self._seeds())

    def _seeds(self) -> list[int] | None:
        """Return what the draws (dropout and the like) of each remaining step of the epoch start from.

        A pure function of replicate, epoch and step. None for nets of ours, which draw nothing.
        """
        spec, name = self.job.spec, self.job.spec.student.name
        if is_own(name):
            return None
        steps = range(self.step, self.steps)
        return [seed_for(spec.replicate, f"draws {name} step {step}", self.epoch) for step in steps]

    def _learning_rate(self, step: int) -> float:
        recipe = self.job.spec.recipe
        return learning_rate(
            (self.epoch - 1) * self.steps + step,
            recipe.epochs * self.steps,
            peak=recipe.learning_rate,
            schedule=recipe.schedule,
            warmup_fraction=recipe.warmup,
            milestones=recipe.milestones,
        )

    def _end_epoch(self) -> None:
        """Evaluate the epoch on val, on a GPU only have that queued, and go on to the next."""
        student, precision = self.student, self.job.spec.recipe.precision
        loss_sum, finite = student.loss_sum.clone(), student.is_finite()
        found = hits(student.net, self.data.val, precision=precision, tick=self.job.control.tick)
        self._queued = _EpochEnd(self.epoch, loss_sum, finite, found)
        self.epoch, self.step = self.epoch + 1, 0
        student.loss_sum.zero_()

    def _note_epoch(self) -> None:
        """Add the epoch that has ended to the curve, once it is there. Raises StageFailedError where it diverged."""
        if self._queued is None:
            return
        end, self._queued = self._queued, None
        loss_sum, finite, found = end.wait()
        loss = self._check_finite(end.epoch, self.steps, loss_sum, finite)
        val_accuracy = share(found, self.data.val, self.job.spec.metric)
        self.curve.append(EpochResult(epoch=end.epoch, train_loss=loss, val_accuracy=val_accuracy))
        self._untold.append(self.curve[-1])

    def _tell_epoch(self) -> None:
        """Tell the control of the epoch that has ended, if there is one."""
        self._note_epoch()
        while self._untold:
            self.job.control.epoch_done(self._untold.pop(0))
            self.job.control.tick()

    def _check_rebuilt(self) -> None:
        """Raise StageFailedError where the net rebuilt from the weights is not the one that was trained."""
        check_rebuilt(
            self.student.net,
            self.job.spec,
            self._weights,
            self.data.val,
            self.curve[-1].val_accuracy,
            is_exact=self.device.type == "cpu" and not self._environment.earlier,
            tick=self.job.control.tick,
        )

    def _check_finite(self, epoch: int, steps: int, loss_sum: Tensor, finite: Tensor) -> float:
        """Return the mean loss of an epoch after some steps. Raises StageFailedError where not all is finite.

        The last step of an epoch may break the weights after a loss that was still finite.
        """
        loss = float(loss_sum) / max(1, steps)
        broken = "" if math.isfinite(loss) else f"the loss is {loss}"
        if not broken and not finite:
            broken = "a weight is not finite"
        if broken:
            recipe = self.job.spec.recipe
            raise StageFailedError(
                f"stage {self.job.spec.label} diverged in epoch {epoch}: {broken} (learning rate "
                f"{recipe.learning_rate:g}, batch size {recipe.batch_size}, precision {recipe.precision})",
                hint="use a smaller --learning-rate",
            )
        return loss
