"""What holds for every strategy at every scope."""

from __future__ import annotations

import optuna
import pytest

from tasearch.domain.errors import ConfigError
from tasearch.search.sampler import MOST_EXHAUSTIVE, STRATEGIES, check_sampler
from tasearch.search.space import SearchSpace
from tests.unit.search.replayed import open_study, run, tell, train_wanted
from tests.unit.search.test_space import make_space

SCOPES = ("last", "chain", "stage")
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)
every_scope = pytest.mark.parametrize("scope", SCOPES)


def small(scope: str) -> SearchSpace:
    return make_space(("plain6", "plain4"), temperatures=(2.0, 4.0), kd_weights=(0.5, 0.9), scope=scope)


@every_strategy
@every_scope
def test_the_same_seed_gives_the_same_trials_also_when_interrupted(strategy: str, scope: str) -> None:
    at_once = run(open_study(small(scope), strategy), 10)
    storage = optuna.storages.InMemoryStorage()
    in_parts = [
        chain for trials in (1, 4, 2, 3) for chain in run(open_study(small(scope), strategy, storage=storage), trials)
    ]
    assert in_parts == at_once


@every_strategy
@every_scope
def test_two_workers_that_share_a_study_never_run_the_same_chain(strategy: str, scope: str) -> None:
    storage = optuna.storages.InMemoryStorage()
    workers = [open_study(small(scope), strategy, storage=storage) for _ in range(2)]
    running, chains = [], []
    for turn in range(12):
        study = workers[turn % 2]
        train_wanted(study)
        proposal = study.ask(f"worker {turn % 2}")
        if proposal is None:
            break
        chains.append(proposal.chain)
        running.append((study, proposal))
        if len(running) == 3:
            tell(*running.pop(0))
    assert len(set(chains)) == len(chains) >= 10


@every_strategy
@every_scope
def test_direct_distillation_keeps_its_quota(strategy: str, scope: str) -> None:
    first = run(open_study(small(scope), strategy, quota=3), 6)
    assert sum(chain.is_direct for chain in first) >= 3


@pytest.mark.parametrize("strategy", ["tpe", "random", "exhaustive", "staged"])
@every_scope
def test_a_search_ends_by_itself_when_every_chain_has_been_tried(strategy: str, scope: str) -> None:
    space = make_space(("plain4",), temperatures=(2.0, 4.0), kd_weights=(0.5, 0.9), scope=scope)
    chains = run(open_study(space, strategy), 100)
    assert len(chains) == len(set(chains)) == space.num_chains


@pytest.mark.parametrize("strategy", ["dp", "staged"])
def test_a_strategy_among_tas_is_refused_where_there_are_none(strategy: str) -> None:
    with pytest.raises(ConfigError, match=f"--sampler {strategy} searches among TAs, and this study has none"):
        check_sampler(strategy, make_space(ladder=()))


@pytest.mark.parametrize("strategy", ["tpe", "random", "exhaustive"])
def test_a_strategy_over_pairs_alone_is_allowed_without_tas(strategy: str) -> None:
    space = make_space(ladder=())
    assert len(run(open_study(space, strategy, quota=1), 100)) == space.num_chains


def test_enumerating_too_many_chains_is_refused() -> None:
    space = make_space(scope="stage")
    assert space.num_chains > MOST_EXHAUSTIVE
    with pytest.raises(ConfigError, match=r"--sampler exhaustive: the search space has 26,364 chains"):
        check_sampler("exhaustive", space)


def test_a_chain_that_is_running_is_not_started_again_when_somebody_enqueues_it() -> None:
    storage, space = optuna.storages.InMemoryStorage(), small("last")
    study = open_study(space, "tpe", storage=storage)
    first = study.ask("one")
    assert first is not None
    optuna.load_study(storage=storage, study_name="study").enqueue_trial(space.params(first.chain))
    second = study.ask("two")
    assert second is not None
    assert second.chain != first.chain
    refused = study.rows()[first.number + 1]
    assert (refused.duplicate_of, refused.failure) == (0, "trial 0 is running this chain")
    assert study.num_counted() == 2


def test_every_strategy_has_its_own_trials() -> None:
    """Sixteen, because TPE draws its first ten as `random` does."""
    orders = {tuple(run(open_study(small("stage"), strategy), 16)) for strategy in STRATEGIES}
    assert len(orders) == len(STRATEGIES)
