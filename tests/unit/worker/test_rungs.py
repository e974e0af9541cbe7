"""Stages outside of trials, with a runner that only says which stage it was given."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from tasearch.chain.tasks import Delivered, Need
from tasearch.config.settings import Settings
from tasearch.domain.errors import StageFailedError
from tasearch.domain.result import StageResult
from tasearch.domain.spec import StageSpec
from tasearch.search.study import ChainStudy
from tasearch.stores.engine import parse_storage_url
from tasearch.stores.records import Records, open_records
from tasearch.stores.stages import StageRecords
from tasearch.training.device import environment
from tasearch.training.loop import InterruptedStage
from tasearch.worker.rungs import WantedStages
from tasearch.worker.study_plan import StudyPlan, build_plan
from tests.factories import CPU, make_dataset
from tests.tasks import Answer, finish


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return open_records(parse_storage_url(f"sqlite:///{tmp_path / 'studies.db'}"))


@pytest.fixture
def plan() -> StudyPlan:
    values: dict[str, Any] = {
        "teacher": "resnet20",
        "student": "plain2",
        "tas": "resnet14,plain4",
        "dataset": "cifar10",
    }
    return build_plan(Settings(**values, sampler="dp", trials=3), make_dataset())


@pytest.fixture
def study(plan: StudyPlan) -> ChainStudy:
    """A study whose first trial, direct distillation, is done."""
    study = ChainStudy(optuna.storages.InMemoryStorage(), "study", plan.space, plan.sampler())
    first = study.ask("worker")
    assert first is not None
    study.tell_complete(first.number, 0.5, {})
    return study


def running(seen: list[str]) -> Answer:
    def run(spec: StageSpec, *, wait: bool) -> StageResult:
        seen.append(spec.label)
        return StageResult(
            fingerprint=spec.fingerprint,
            artifact_id="",
            val_accuracy=0.5 + len(seen) / 100,
            curve=(),
            seconds=1.0,
            environment=environment(CPU),
        )

    return run


def failing(error: Exception) -> Answer:
    def run(spec: StageSpec, *, wait: bool) -> StageResult:
        raise error

    return run


def train(spec: StageSpec, role: str) -> Generator[Need, Delivered, StageResult]:
    return (yield Need(spec=spec)).result


def train_wanted(study: ChainStudy, plan: StudyPlan, records: StageRecords, answer: Answer) -> bool:
    """Carry out one task, if any; whether there was one."""
    _, task = WantedStages(study, records, train).next_task(plan)
    if task is not None:
        finish(task, answer)
    return task is not None


def test_one_task_trains_one_stage_until_none_is_wanted(study: ChainStudy, plan: StudyPlan, records: Records) -> None:
    seen: list[str] = []
    while train_wanted(study, plan, records.stages, running(seen)):
        pass
    assert [label.split(",")[0] for label in seen] == ["resnet20 > resnet14", "resnet20 > plain4", "resnet14 > plain4"]


def test_a_stage_that_another_worker_trains_is_left_to_it(study: ChainStudy, plan: StudyPlan, records: Records) -> None:
    seen: list[str] = []
    train_wanted(study, plan, records.stages, running(seen))
    first, second = study.wanted_stages()
    records.stages.claim(plan.stages.chain(first)[-1], "other:1:1", 60.0)
    train_wanted(study, plan, records.stages, running(seen))
    assert study.wanted_stages() == [first]
    assert seen[-1] == plan.stages.chain(second)[-1].label


@pytest.mark.parametrize("error", [StageFailedError("diverged"), RuntimeError("out of memory"), MemoryError()])
def test_a_stage_that_fails_is_not_asked_for_again(
    study: ChainStudy, plan: StudyPlan, records: Records, error: Exception
) -> None:
    before = study.wanted_stages()[0]
    assert train_wanted(study, plan, records.stages, failing(error))
    assert before not in study.wanted_stages()


def test_a_signal_leaves_the_stage_wanted(study: ChainStudy, plan: StudyPlan, records: Records) -> None:
    before = study.wanted_stages()
    with pytest.raises(InterruptedStage):
        train_wanted(study, plan, records.stages, failing(InterruptedStage()))
    assert study.wanted_stages() == before


def test_nothing_is_trained_when_the_budget_is_used_up(study: ChainStudy, plan: StudyPlan, records: Records) -> None:
    ended = plan.settings.model_copy(update={"trials": 1})
    seen: list[str] = []
    assert not train_wanted(study, replace(plan, settings=ended), records.stages, running(seen))
    assert seen == []


def test_a_stage_under_way_is_not_handed_out_twice_and_no_trial_is_due_before_it_has_ended(
    study: ChainStudy, plan: StudyPlan, records: Records
) -> None:
    wanted = WantedStages(study, records.stages, train)
    begun = []
    for _ in study.wanted_stages():
        _, task = wanted.next_task(plan)
        assert task is not None
        begun.append(next(task).spec)
    assert begun == [plan.stages.chain(chain)[-1] for chain in study.wanted_stages()]
    assert wanted.next_task(plan) == (True, None)
