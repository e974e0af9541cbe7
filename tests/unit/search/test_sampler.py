from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from tasearch.domain.spec import ChainSpec
from tasearch.search.sampler import ChainSampler, baseline_quota
from tasearch.search.study import ChainStudy, Proposal
from tests.unit.search.test_space import make_space


def make_study(
    path: Path, *, strategy: str = "tpe", seed: int = 0, quota: int = 4, ladder: tuple[str, ...] = ("plain6", "plain4")
) -> ChainStudy:
    space = make_space(ladder=ladder, temperatures=(2.0, 4.0), kd_weights=(0.5, 0.9))
    storage = optuna.storages.RDBStorage(f"sqlite:///{path / 'studies.db'}")
    return ChainStudy(
        storage, "study", space, ChainSampler(space, strategy=strategy, seed=seed, trials=12, quota=quota)
    )


def score(chain: ChainSpec) -> float:
    return 0.5 + 0.01 * len(chain.path) + 0.001 * chain.temperature


def run(study: ChainStudy, trials: int) -> list[Proposal]:
    done: list[Proposal] = []
    while len(done) < trials:
        proposal = study.ask("worker")
        if proposal is None:
            break
        study.tell_complete(proposal.number, score(proposal.chain), {})
        done.append(proposal)
    return done


@pytest.mark.parametrize("strategy", ["tpe", "random"])
def test_no_chain_is_proposed_twice_until_the_space_is_exhausted(tmp_path: Path, strategy: str) -> None:
    done = run(make_study(tmp_path, strategy=strategy), 100)
    assert len(done) == len({proposal.chain.key for proposal in done}) == 16


def test_the_first_trial_is_direct_distillation_at_the_recommended_pair(tmp_path: Path) -> None:
    first = run(make_study(tmp_path), 1)[0].chain
    assert (first.path, first.temperature, first.kd_weight) == (("plain10", "plain2"), 4.0, 0.9)


def test_direct_distillation_has_half_of_the_trials_until_its_quota_is_met(tmp_path: Path) -> None:
    direct = [proposal.chain.is_direct for proposal in run(make_study(tmp_path, quota=3), 6)]
    assert all(sum(direct[: 2 * count]) >= count for count in (1, 2, 3))


@pytest.mark.parametrize("seed", range(5))
def test_a_chain_with_tas_is_tried_at_least_in_every_second_trial(tmp_path: Path, seed: int) -> None:
    tried = [proposal.chain.is_direct for proposal in run(make_study(tmp_path, seed=seed, quota=1), 8)]
    assert all(sum(tried[:count]) <= (count + 1) // 2 for count in range(1, 9))


def test_the_same_seed_gives_the_same_trials_also_when_interrupted(tmp_path: Path) -> None:
    whole, first = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    first.mkdir()
    at_once = [proposal.chain for proposal in run(make_study(whole), 12)]
    in_parts = [proposal.chain for trials in (3, 4, 5) for proposal in run(make_study(first), trials)]
    assert in_parts == at_once


def test_another_seed_gives_other_trials(tmp_path: Path) -> None:
    chains = []
    for seed in (0, 1):
        folder = tmp_path / str(seed)
        folder.mkdir()
        chains.append([proposal.chain for proposal in run(make_study(folder, seed=seed), 10)])
    assert chains[0] != chains[1]


@pytest.mark.parametrize(("trials", "quota"), [(40, 6), (18, 6), (12, 4), (3, 1), (1, 1)])
def test_the_baseline_gets_six_pairs_but_never_over_a_third_of_the_budget(trials: int, quota: int) -> None:
    assert baseline_quota(trials, grid_size=12) == quota


def test_the_baseline_quota_never_exceeds_the_grid() -> None:
    assert baseline_quota(40, grid_size=2) == 2
