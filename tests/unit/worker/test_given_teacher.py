from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError
from tasearch.models.registry import build_model
from tasearch.stores.artifacts import ArtifactStore
from tasearch.worker.given_teacher import given_teacher
from tasearch.worker.study_plan import build_plan
from tests.factories import make_dataset, make_stage

DATASET = make_dataset()


def settings_of(**changes: Any) -> Settings:
    return Settings(**{"teacher": "plain4", "student": "plain2", "dataset": "cifar10", **changes})


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.save(build_model(make_stage(DATASET, "plain4").student, 3).state_dict(), tmp_path / "teacher.pt")
    return tmp_path / "teacher.pt"


def test_a_file_becomes_the_hash_of_its_weights_and_is_stored_when_asked(checkpoint: Path) -> None:
    artifacts = ArtifactStore(str(checkpoint.parent / "artifacts"))
    given = given_teacher(settings_of(teacher_checkpoint=str(checkpoint)), DATASET.spec, artifacts)
    plan = build_plan(given.settings, DATASET)
    stage = plan.stages.teacher_stage
    assert stage.given is not None
    assert not artifacts.exists(stage.given)
    given.store(artifacts)
    assert artifacts.get(stage.given) == given.weights


def test_other_processes_need_no_file(checkpoint: Path) -> None:
    artifacts = ArtifactStore(str(checkpoint.parent / "artifacts"))
    first = given_teacher(settings_of(teacher_checkpoint=str(checkpoint)), DATASET.spec, artifacts)
    first.store(artifacts)
    checkpoint.unlink()
    assert given_teacher(first.settings, DATASET.spec, artifacts).settings == first.settings


def test_weights_that_are_not_stored_are_refused_with_the_way_out(tmp_path: Path) -> None:
    settings = settings_of(teacher_checkpoint=f"artifact:{'a' * 64}")
    with pytest.raises(ConfigError, match="are not under") as error:
        given_teacher(settings, DATASET.spec, ArtifactStore(str(tmp_path)))
    assert "--teacher-checkpoint FILE" in error.value.hint


def test_what_is_no_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no SHA-256 of 64 digits"):
        given_teacher(settings_of(teacher_checkpoint="artifact:1"), DATASET.spec, ArtifactStore(str(tmp_path)))


def test_a_teacher_has_its_weights_from_one_place(checkpoint: Path) -> None:
    settings = settings_of(teacher_checkpoint=str(checkpoint), pretrained="teacher")
    with pytest.raises(ConfigError, match="from one of them"):
        given_teacher(settings, DATASET.spec, ArtifactStore(str(checkpoint.parent)))
