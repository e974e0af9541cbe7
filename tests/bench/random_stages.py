"""Stages on random images, for benchmarks that measure speed alone."""

from __future__ import annotations

import dataclasses

import torch

from tasearch.data.dataset import Split
from tasearch.domain.result import EpochResult
from tasearch.domain.spec import DataSpec, Distillation, ModelSpec, Recipe, StageSpec
from tasearch.training.loop import NUMERICS_VERSION

CLASSES, SIZE = 10, 32


class Unwatched:
    """A control that does nothing."""

    def tick(self) -> None:
        """Nothing."""

    def epoch_done(self, point: EpochResult) -> None:
        """Nothing."""

    def save(self, checkpoint: bytes) -> None:
        """Nothing."""


def random_split(count: int) -> Split:
    """Return random images: what they show does not change the speed."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    return Split(images, torch.randint(0, CLASSES, (count,), generator=generator))


def random_data(num_train: int, num_val: int) -> DataSpec:
    """Return the description of such images, seen shifted and flipped."""
    return DataSpec(
        name="random",
        content_hash="",
        image_size=SIZE,
        channels=3,
        num_classes=CLASSES,
        num_train=num_train,
        num_val=num_val,
        shift=4,
        flip=True,
    )


def model(name: str) -> ModelSpec:
    """Return a net for these images."""
    return ModelSpec(name=name, in_channels=3, image_size=SIZE, num_classes=CLASSES)


def taught_stage(
    teacher: str, student: str, data: DataSpec, recipe: Recipe, *, temperature: float, kd_weight: float
) -> StageSpec:
    """Return the stage of a student under a teacher from labels."""
    guide = StageSpec(
        student=model(teacher),
        distillation=None,
        recipe=recipe,
        data=data,
        replicate=0,
        numerics_version=NUMERICS_VERSION,
    )
    taught = Distillation(teacher=guide, temperature=temperature, kd_weight=kd_weight)
    return dataclasses.replace(guide, student=model(student), distillation=taught)


def sgd(precision: str, *, epochs: int, batch_size: int) -> Recipe:
    """Return the recipe that stages have by default, in a precision."""
    return Recipe(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=0.05,
        schedule="cosine",
        momentum=0.9,
        weight_decay=5e-4,
        precision=precision,
    )
