from __future__ import annotations

import pytest

from tasearch.domain.spec import ChainSpec
from tests.unit.search.replayed import BUDGET, open_study, run
from tests.unit.search.test_space import make_space


def test_the_pair_of_the_tas_is_calibrated_on_the_smallest_ta_taught_by_the_teacher() -> None:
    study = open_study(make_space(scope="stage"), "staged")
    run(study, 1)
    wanted = study.wanted_stages()
    assert {chain.path for chain in wanted} == {("plain10", "plain4")}
    assert len(wanted) == 6


def test_nothing_is_calibrated_where_the_pair_of_the_tas_is_given() -> None:
    study = open_study(make_space(scope="last"), "staged")
    run(study, 1)
    assert study.wanted_stages() == []


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
