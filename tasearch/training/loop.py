"""One stage: train a student by labels, or by labels and a teacher's logits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasearch.data.views import ViewSource, batch_order
from tasearch.domain.errors import DataError, StageFailedError
from tasearch.domain.randomness import seed_for
from tasearch.domain.result import EpochResult
from tasearch.domain.spec import StageSpec
from tasearch.models.ambient import seeded
from tasearch.models.names import is_own
from tasearch.models.registry import build_model
from tasearch.models.traits import as_input, placed
from tasearch.training.device import autocast
from tasearch.training.evaluate import score
from tasearch.training.loss import kd_loss
from tasearch.training.schedule import learning_rate
from tasearch.training.weights import Checkpoint, all_finite, capture, restore, weights_to_bytes

NUMERICS_VERSION = 1
"""Raised by any change that alters the weights a stage ends with."""
ADAMW_BETA2 = 0.999


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


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A stage that has ended."""

    weights: bytes
    curve: tuple[EpochResult, ...]
    seconds: float


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
) -> Trained:
    """Train the student of `spec` and return its weights after the last epoch.

    `teacher_logits(epoch)` gives the teacher's logits on the training views of that epoch, shape (N, K), in the
    order of the samples. `checkpoint` continues a run that was stopped; the result is bit-identical to a run that
    was not. Raises StageFailedError where the loss stops being finite, InterruptedStage where `control` says so.
    """
    if (spec.distillation is None) != (teacher_logits is None):
        raise ValueError("a stage with a teacher needs its logits, and one without must have none")
    run = _Run(spec, data, device, teacher_logits)
    if checkpoint is not None:
        run.resume(Checkpoint.from_bytes(checkpoint))
    saved_at = time.monotonic()
    try:
        while run.epoch <= spec.recipe.epochs:
            for _ in run.epoch_steps():
                control.tick()
                if time.monotonic() - saved_at >= checkpoint_seconds:
                    run.check_finite()
                    control.save(run.checkpoint().to_bytes())
                    saved_at = time.monotonic()
            control.epoch_done(run.finish_epoch(control.tick))
            control.tick()
    except (InterruptedStage, DataError):
        # A file that has vanished can be put back: the stage then goes on from here.
        control.save(run.checkpoint().to_bytes())
        raise
    return Trained(weights=weights_to_bytes(run.net), curve=tuple(run.curve), seconds=run.seconds)


class _Run:
    """The mutable state of a stage under way."""

    def __init__(
        self,
        spec: StageSpec,
        data: StageData,
        device: torch.device,
        teacher_logits: Callable[[int], Tensor] | None,
    ) -> None:
        self.spec, self.data, self.device = spec, data, device
        self.teacher_logits = teacher_logits
        seed = seed_for(spec.replicate, f"init {spec.student.name}")
        net = build_model(spec.student, seed, spec.recipe.initial_weights)
        self.net = placed(net, device)
        self.optimizer = _optimizer(self.net, spec)
        self.steps = steps_per_epoch(spec.data.num_train, spec.recipe.batch_size)
        self.epoch, self.step = 1, 0
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.curve: list[EpochResult] = []
        self._seconds_before = 0.0
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Training time over all attempts."""
        return self._seconds_before + time.monotonic() - self._started

    def resume(self, checkpoint: Checkpoint) -> None:
        restore(checkpoint.tensors, self.net, self.optimizer)
        self.epoch, self.step = checkpoint.epoch, checkpoint.step
        self.loss_sum.fill_(checkpoint.loss_sum)
        self.curve = list(checkpoint.curve)
        self._seconds_before = checkpoint.seconds

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(
            epoch=self.epoch,
            step=self.step,
            loss_sum=float(self.loss_sum),
            curve=tuple(self.curve),
            seconds=self.seconds,
            tensors=capture(self.net, self.optimizer),
        )

    def epoch_steps(self) -> Iterator[int]:
        """Carry out the remaining steps of the current epoch; yields the number of done ones after each."""
        spec = self.spec
        views = self.data.train.views(spec.replicate, self.epoch)
        order = batch_order(spec.data.num_train, spec.replicate, self.epoch).to(self.device)
        table = None if self.teacher_logits is None else self.teacher_logits(self.epoch).to(self.device)
        self.net.train()
        size = spec.recipe.batch_size
        batches = [order[step * size : (step + 1) * size] for step in range(self.step, self.steps)]
        for indices, images in zip(batches, views.blocks(batches), strict=True):
            self._set_learning_rate()
            loss = self._loss(images, indices, table)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.loss_sum += loss.detach()
            self.step += 1
            yield self.step

    def _set_learning_rate(self) -> None:
        recipe = self.spec.recipe
        rate = learning_rate(
            (self.epoch - 1) * self.steps + self.step,
            recipe.epochs * self.steps,
            peak=recipe.learning_rate,
            schedule=recipe.schedule,
            warmup_fraction=recipe.warmup,
            milestones=recipe.milestones,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _loss(self, images: Tensor, indices: Tensor, table: Tensor | None) -> Tensor:
        with self._draws(), autocast(self.device, self.spec.recipe.precision):
            logits = self.net(as_input(images, self.net))
        logits, targets = logits.float(), self.data.train.labels[indices]
        kd = self.spec.distillation
        if kd is None or table is None:
            return F.cross_entropy(logits, targets)
        teacher = table[indices].float()
        return kd_loss(
            logits,
            teacher,
            targets,
            temperature=kd.temperature,
            kd_weight=kd.kd_weight,
            kl_reduction=kd.kl_reduction,
        )

    def _draws(self) -> AbstractContextManager[None]:
        """Return what a step's dropout and the like draw under: a pure function of replicate, epoch and step.

        Nets of ours draw nothing.
        """
        name = self.spec.student.name
        if is_own(name):
            return nullcontext()
        return seeded(seed_for(self.spec.replicate, f"draws {name} step {self.step}", self.epoch), self.device)

    def check_finite(self) -> float:
        """Return the mean loss of the epoch so far. Raises StageFailedError where it or a weight is not finite.

        The last step of an epoch may break the weights after a loss that was still finite.
        """
        loss = float(self.loss_sum) / max(1, self.step)
        broken = "" if math.isfinite(loss) else f"the loss is {loss}"
        if not broken and not all_finite(self.net):
            broken = "a weight is not finite"
        if broken:
            recipe = self.spec.recipe
            raise StageFailedError(
                f"stage {self.spec.label} diverged in epoch {self.epoch}: {broken} (learning rate "
                f"{recipe.learning_rate:g}, batch size {recipe.batch_size}, precision {recipe.precision})",
                hint="use a smaller --learning-rate",
            )
        return loss

    def finish_epoch(self, tick: Callable[[], None]) -> EpochResult:
        loss = self.check_finite()
        spec = self.spec
        val_accuracy = score(self.net, self.data.val, metric=spec.metric, precision=spec.recipe.precision, tick=tick)
        point = EpochResult(epoch=self.epoch, train_loss=loss, val_accuracy=val_accuracy)
        self.curve.append(point)
        self.epoch, self.step = self.epoch + 1, 0
        self.loss_sum.zero_()
        return point


def _optimizer(net: nn.Module, spec: StageSpec) -> torch.optim.Optimizer:
    """Return SGD or AdamW; weight decay is on kernels and matrices, not on biases or batch norm, unless `all`."""
    recipe = spec.recipe
    decayed = [p for p in net.parameters() if p.ndim >= 2 or recipe.decayed == "all"]
    others = [p for p in net.parameters() if p.ndim < 2 and recipe.decayed != "all"]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.momentum, ADAMW_BETA2), foreach=True)
    return torch.optim.SGD(
        groups,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov and recipe.momentum > 0,
        foreach=True,
    )
