"""Small real things for tests: a dataset that can be learned in a second, and the specs around it."""

from __future__ import annotations

import torch

from tasearch.data.dataset import ClassCounts, Dataset, Split, hash_splits
from tasearch.domain.spec import DataSpec, Distillation, ModelSpec, Recipe, StageSpec

CPU = torch.device("cpu")
NUM_CLASSES = 4
IMAGE_SIZE = 8


def make_split(count: int, seed: int) -> Split:
    """Return noisy images whose class is the brightest quadrant."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % NUM_CLASSES
    images = torch.randint(0, 120, (count, 1, IMAGE_SIZE, IMAGE_SIZE), generator=generator, dtype=torch.uint8)
    half = IMAGE_SIZE // 2
    for index, label in enumerate(labels.tolist()):
        top, left = half * (label // 2), half * (label % 2)
        images[index, 0, top : top + half, left : left + half] += 90
    return Split(images, labels)


def make_dataset(*, shift: int = 1, flip: bool = False, num_train: int = 96) -> Dataset:
    """Return 4 classes of 8 x 8 images with one channel."""
    train, val, test = make_split(num_train, 1), make_split(48, 2), make_split(48, 3)
    spec = DataSpec(
        name="quadrants",
        content_hash=hash_splits(train, val),
        image_size=IMAGE_SIZE,
        channels=1,
        num_classes=NUM_CLASSES,
        num_train=num_train,
        num_val=48,
        shift=shift,
        flip=flip,
    )
    counts = ClassCounts(train=(num_train // 4,) * 4, val=(12,) * 4, test=(12,) * 4)
    return Dataset(spec, train, val, test, ("a", "b", "c", "d"), hash_splits(test), counts)


def make_recipe(**changes: object) -> Recipe:
    """Return a recipe of two short epochs."""
    values: dict[str, object] = {
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 0.05,
        "schedule": "cosine",
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "precision": "float32",
        **changes,
    }
    return Recipe(**values)  # type: ignore[arg-type]


def make_stage(
    dataset: Dataset,
    name: str = "plain2",
    *,
    teacher: StageSpec | None = None,
    temperature: float = 4.0,
    kd_weight: float = 0.9,
    replicate: int = 0,
    recipe: Recipe | None = None,
) -> StageSpec:
    """Return a stage of the dataset."""
    data = dataset.spec
    model = ModelSpec(name=name, in_channels=data.channels, image_size=data.image_size, num_classes=data.num_classes)
    distillation = None
    if teacher is not None:
        distillation = Distillation(teacher=teacher, temperature=temperature, kd_weight=kd_weight)
    return StageSpec(
        student=model,
        distillation=distillation,
        recipe=recipe or make_recipe(),
        data=data,
        replicate=replicate,
        numerics_version=1,
    )
