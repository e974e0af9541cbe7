"""How long stages take on a device: a few steps of the real loop, timed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tasearch.data.dataset import AnySplit, Dataset, Split
from tasearch.data.views import ChannelStatistics, ViewSource
from tasearch.domain.result import EpochResult
from tasearch.domain.spec import Distillation, StageSpec
from tasearch.models.registry import build_model
from tasearch.models.traits import placed
from tasearch.training.evaluate import logits_table
from tasearch.training.loop import StageData, fit

_STEPS = 3
_LEAST_SECONDS = 0.4


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpeed:
    """Seconds per image of one model."""

    train: float
    """Views, forward, loss, backward and optimizer."""
    forward: float
    """Views and forward in eval mode, as for a teacher's logits or val."""


class _Unwatched:
    """A control that does nothing."""

    def tick(self) -> None:
        """Nothing."""

    def epoch_done(self, point: EpochResult) -> None:
        """Nothing."""

    def save(self, checkpoint: bytes) -> None:
        """Nothing."""


def speed_of(spec: StageSpec, dataset: Dataset, statistics: ChannelStatistics, device: torch.device) -> ModelSpeed:
    """Return the speed of the student of `spec` (a stage from labels) when it is taught, on some of the data."""
    batch = min(spec.recipe.batch_size, len(dataset.train))
    count = min(_STEPS * batch, len(dataset.train) // batch * batch)
    few, one = torch.arange(count), torch.arange(1)

    def source(indices: Tensor) -> ViewSource:
        return ViewSource(_in_memory(dataset.train, indices), dataset.spec, statistics, device)

    data = StageData(train=source(few), val=source(one))
    taught = dataclasses.replace(
        spec,
        data=dataclasses.replace(spec.data, num_train=count, num_val=1),
        recipe=dataclasses.replace(spec.recipe, epochs=1),
        distillation=Distillation(teacher=spec, temperature=4.0, kd_weight=0.9),
    )
    table = torch.zeros(count, spec.data.num_classes, dtype=torch.float16)
    net = placed(build_model(spec.student, seed=0), device)
    views = data.train.views(0, 1)
    precision = spec.recipe.precision

    def train() -> None:
        fit(taught, data, device, _Unwatched(), teacher_logits=lambda _: table)

    def forward() -> None:
        logits_table(net, views, precision=precision, tick=lambda: None)

    return ModelSpeed(train=_fastest(train) / count, forward=_fastest(forward) / count)


def _in_memory(split: AnySplit, indices: Tensor) -> Split:
    """Return some samples of a split in memory: decoding goes on beside training and is not timed."""
    if isinstance(split, Split):
        return split.subset(indices)
    return Split(torch.cat(list(split.read([indices]))), split.labels[indices])


def _fastest(work: Callable[[], None]) -> float:
    """Return the shortest of a few runs in seconds, after one that is not counted."""
    work()
    began, fastest = time.perf_counter(), float("inf")
    while time.perf_counter() - began < _LEAST_SECONDS or fastest == float("inf"):
        started = time.perf_counter()
        work()
        fastest = min(fastest, time.perf_counter() - started)
    return fastest
