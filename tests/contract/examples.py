"""Values that the contract tests store."""

from __future__ import annotations

from tasearch.domain.result import Environment, EpochResult, FinalRow, Role, StageResult
from tasearch.domain.spec import ChainSpec, DataSpec, Distillation, ModelSpec, Recipe, StageSpec

_DATA = DataSpec(
    name="cluttered-digits",
    content_hash="0" * 64,
    image_size=16,
    channels=1,
    num_classes=10,
    num_train=8000,
    num_val=5000,
    shift=2,
    flip=False,
)
_RECIPE = Recipe(
    epochs=10,
    batch_size=64,
    learning_rate=0.05,
    schedule="cosine",
    momentum=0.9,
    weight_decay=5e-4,
    precision="float32",
)
ARTIFACT = "a" * 64
CHAIN = ChainSpec(path=("plain10", "plain4", "plain2"), temperatures=(4.0, 2.0), kd_weights=(0.9, 0.5))


def stage(student: str = "plain2", *, teacher: StageSpec | None = None, replicate: int = 0) -> StageSpec:
    kd = None if teacher is None else Distillation(teacher=teacher, temperature=4.0, kd_weight=0.9)
    return StageSpec(
        student=ModelSpec(name=student, in_channels=1, image_size=16, num_classes=10),
        distillation=kd,
        recipe=_RECIPE,
        data=_DATA,
        replicate=replicate,
        numerics_version=1,
    )


def result_of(spec: StageSpec, *, artifact_id: str = ARTIFACT) -> StageResult:
    return StageResult(
        fingerprint=spec.fingerprint,
        artifact_id=artifact_id,
        val_accuracy=0.7018,
        curve=(
            EpochResult(epoch=1, train_loss=1.9, val_accuracy=0.1 + 0.2),
            EpochResult(epoch=2, train_loss=1.25, val_accuracy=0.7018),
        ),
        seconds=12.5,
        environment=Environment(device="cpu Test", threads=2, torch_version="2.15", instruction_set="AVX2"),
    )


def final(
    arm: str = CHAIN.label,
    *,
    round: int = 1,
    replicate: int = 1,
    role: Role = Role.FINALIST,
    chain: ChainSpec | None = CHAIN,
) -> FinalRow:
    return FinalRow(round=round, role=role, arm=arm, chain=chain, search_val_accuracy=0.69, replicate=replicate)
