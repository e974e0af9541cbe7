from __future__ import annotations

import pytest

from tasearch.domain.spec import ChainSpec
from tests.unit.search.replayed import open_study, run
from tests.unit.search.test_space import make_space


@pytest.mark.parametrize("scope", ["last", "chain", "stage"])
def test_each_chain_needs_at_most_its_last_ta_and_the_student(scope: str) -> None:
    space = make_space(temperatures=(2.0, 4.0), kd_weights=(0.9,), scope=scope)
    trained: set[ChainSpec] = set()
    for chain in space.all_chains():
        stages = {space.rung(chain, number) for number in range(1, len(chain.path))}
        assert len(stages - trained) <= 2
        trained |= stages


def test_every_chain_is_tried_once() -> None:
    space = make_space(temperatures=(2.0, 4.0), kd_weights=(0.9,))
    chains = run(open_study(space, "exhaustive", quota=1), 100)
    assert len(chains) == 16
    assert set(chains) == set(space.all_chains())
