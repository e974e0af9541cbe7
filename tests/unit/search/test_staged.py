from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from tasearch.domain.spec import ChainSpec
from tasearch.search.sampler import ChainSampler
from tasearch.search.staged import Staged
from tasearch.search.strategy import History, Strategy
from tests.unit.search.replayed import BUDGET, open_study, run
from tests.unit.search.test_space import make_space


def test_the_pair_of_the_tas_is_calibrated_on_the_smallest_ta_taught_by_the_teacher() -> None:
    study = open_study(make_space(scope="stage"), "staged", trials=120)
    run(study, 1)
    wanted = study.wanted_stages()
    assert {chain.path for chain in wanted} == {("plain10", "plain4")}
    assert len(wanted) == 6


def test_a_small_budget_calibrates_fewer_pairs() -> None:
    study = open_study(make_space(scope="last"), "staged", trials=80)
    run(study, 1)
    assert len(study.wanted_stages()) == 4


def test_a_space_whose_pair_is_given_is_refused_where_it_would_be_calibrated() -> None:
    with pytest.raises(ValueError, match="is_calibrated=False"):
        ChainSampler(make_space(scope="last"), strategy="staged", seed=0, trials=BUDGET)


def test_at_scope_last_the_tas_of_all_chains_have_the_calibrated_pair() -> None:
    chains = [chain for chain in calibrated("last", BUDGET) if chain.tas]
    assert {pair for chain in chains for pair in zip(chain.temperatures[:-1], chain.kd_weights[:-1], strict=True)} == {
        (16.0, 0.5)
    }


def test_a_search_that_calibrates_ends_when_every_chain_is_known() -> None:
    space = make_space(scope="last", is_calibrated=True, temperatures=(2.0, 4.0), kd_weights=(0.9,))
    study = open_study(space, "staged")
    assert len(run(study, 1000)) == space.num_chains == 16


def test_a_chain_that_shares_its_tas_with_others_is_preferred() -> None:
    space = make_space(scope="last", is_calibrated=True)
    proposals = [
        space.build(tas, 2.0, 0.5, ta_pair=(4.0, 0.9)) for tas in (["plain8"], ["plain6"], ["plain6", "plain4"])
    ]
    first = {"plain6": 0.5}

    class Fixed:
        def propose(self, history: History) -> Iterator[dict[str, Any]]:
            return map(space.params, proposals)

    strategy = Staged(space, cast(Strategy, Fixed()), trials=BUDGET, seed=0)
    history = History(
        study=cast(Any, None),
        trial=None,
        trials=(),
        number=0,
        tried=(),
        known=set(),
        known_tas=set(),
        num_direct=0,
        ta_accuracies={space.rung(proposals[1], 1): first["plain6"]},
    )
    assert space.chain(next(strategy.propose(history))) == proposals[1]


def calibrated(scope: str, trials: int) -> list[ChainSpec]:
    study = open_study(make_space(scope=scope), "staged")
    run(study, 1)
    for chain in study.wanted_stages():
        study.record_stage(chain, 0.9 if (chain.temperatures, chain.kd_weights) == ((16.0,), (0.5,)) else 0.5)
    return run(study, trials)


def test_structure_is_searched_with_the_tas_at_the_calibrated_pair() -> None:
    chains = [chain for chain in calibrated("stage", BUDGET // 2 - 1) if chain.tas]
    assert {chain.temperatures[0] for chain in chains} == {16.0}
    assert len({chain.path for chain in chains}) > 4


def test_at_scope_chain_structure_is_searched_at_the_calibrated_pair() -> None:
    chains = [chain for chain in calibrated("chain", 12) if chain.tas]
    first = chains[:7]
    assert {(chain.temperature, chain.kd_weight) for chain in first} == {(16.0, 0.5)}
    assert len({chain.path for chain in first}) == 7


@pytest.mark.parametrize("scope", ["last", "stage"])
def test_the_second_half_refines_one_stage_of_a_known_chain(scope: str) -> None:
    study = open_study(make_space(scope=scope), "staged")
    before = run(study, BUDGET // 2)
    refined = run(study, 1)[0]
    known = [chain for chain in before if chain.path == refined.path]

    def changed(chain: ChainSpec) -> int:
        pairs = (zip(one.temperatures, one.kd_weights, strict=True) for one in (chain, refined))
        return sum(old != new for old, new in zip(*pairs, strict=True))

    assert min(changed(chain) for chain in known) == 1
