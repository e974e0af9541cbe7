from __future__ import annotations

import shlex
from dataclasses import replace

import optuna
import pytest

from tasearch.config.resolve import resolve
from tasearch.domain.spec import ChainSpec
from tasearch.report.reproduction import reproduction
from tasearch.report.view import StudyView
from tasearch.search.sampler import ChainSampler
from tasearch.search.study import ChainStudy
from tasearch.worker.study_plan import build_plan
from tests.factories import make_dataset

from .factories import make_chain

STUDY = (
    "tasearch optimize --teacher resnet110 --student resnet8 --dataset cifar10 --epochs 3 --tas resnet56,resnet20 "
    "--sampler tpe --seed 3 --trials 40 --workers 4 --learning-rate 0.1 --study-name 'my study'"
)
DIRECT = make_chain("resnet110", "resnet8", temperature=16.0, kd_weight=0.5)
BY_6_4 = ChainSpec(
    path=("resnet110", "resnet32", "resnet20", "resnet8"), temperatures=(16.0, 16.0, 8.0), kd_weights=(0.5, 0.5, 1.0)
)
BY_8_6_4 = make_chain("resnet110", "resnet56", "resnet32", "resnet20", "resnet8", temperature=2.0)
MIXED = replace(BY_6_4, temperatures=(16.0, 4.0, 8.0))


def flags_of(command: str) -> dict[str, str]:
    words = shlex.split(command)[2:]
    pairs = zip(words[::2], words[1::2], strict=True)
    return {flag.removeprefix("--").replace("-", "_"): value for flag, value in pairs}


def chains_tried(command: str) -> list[ChainSpec]:
    """The chains that the command's search asks for, in order."""
    plan = build_plan(resolve(flags_of(command), {}, None), make_dataset())
    sampler = ChainSampler(
        plan.space, strategy=plan.settings.sampler, seed=plan.settings.seed, trials=plan.settings.trials
    )
    study = ChainStudy(optuna.storages.InMemoryStorage(), "again", plan.space, sampler)
    found = []
    while study.num_counted() < plan.settings.trials:
        proposal = study.ask("here:1:1")
        assert proposal is not None
        study.tell_complete(proposal.number, 0.5, {})
        found.append(proposal.chain)
    return found


@pytest.mark.parametrize("chain", [DIRECT, BY_6_4, BY_8_6_4, make_chain("resnet110", "resnet32", "resnet8")], ids=str)
def test_the_chain_is_the_last_that_its_command_tries(chain: ChainSpec) -> None:
    assert chains_tried(reproduction(STUDY, chain).command)[-1] == chain


def test_what_is_tried_before_are_the_chains_own_beginnings() -> None:
    assert [tried.tas for tried in chains_tried(reproduction(STUDY, BY_8_6_4).command)] == [
        (),
        ("resnet56",),
        ("resnet56", "resnet32"),
        ("resnet56", "resnet32", "resnet20"),
    ]


def test_what_makes_a_stage_is_kept_and_what_made_the_search_is_not() -> None:
    flags = flags_of(reproduction(STUDY, BY_6_4).command)
    kept = {"teacher": "resnet110", "student": "resnet8", "dataset": "cifar10", "epochs": "3", "learning_rate": "0.1"}
    assert kept.items() <= flags.items()
    assert not {"seed", "workers", "study_name"} & set(flags)


def test_a_chain_outside_the_finals_gets_the_smallest_finals() -> None:
    flags = flags_of(reproduction(STUDY, BY_6_4).command)
    assert (flags["finalists"], flags["replicates"], flags["max_replicates"]) == ("1", "1", "1")


def test_a_finalist_gets_the_replicates_that_it_had(view: StudyView) -> None:
    assert view.verdict is not None
    score = next(score for score in view.verdict.scores if score.chain is not None and score.chain.tas)
    assert score.chain is not None
    flags = flags_of(reproduction(STUDY, score.chain, score).command)
    assert (flags["replicates"], flags["max_replicates"]) == ("5", "5")
    assert flags["finalists"] == str(len(score.chain.tas))


def test_tas_of_different_pairs_are_only_reached_by_the_whole_study() -> None:
    found = reproduction(STUDY, MIXED)
    assert (found.command, found.is_alone) == (STUDY, False)


def test_direct_distillation_needs_no_finalists() -> None:
    assert "finalists" not in flags_of(reproduction(STUDY, DIRECT).command)


def test_a_ta_from_labels_is_trained_from_labels_again() -> None:
    study = f"{STUDY} --ta-from scratch"
    chain = ChainSpec(
        path=("resnet110", "resnet20", "resnet8"), temperatures=(4.0, 4.0), kd_weights=(0.5, 0.5), ta_from="scratch"
    )
    assert chains_tried(reproduction(study, chain).command)[-1] == chain


def test_one_worker_takes_the_threads_that_each_of_several_had() -> None:
    assert flags_of(reproduction(STUDY, DIRECT, threads=1).command)["threads"] == "1"
    assert flags_of(reproduction(f"{STUDY} --threads 2", DIRECT, threads=2).command)["threads"] == "2"
    assert "threads" not in flags_of(reproduction(STUDY, DIRECT).command)
