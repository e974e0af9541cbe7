from __future__ import annotations

from dataclasses import replace

import pytest

from tasearch.search.rehearsal import rehearse
from tasearch.search.sampler import ChainSampler
from tasearch.search.space import SearchSpace

SPACE = SearchSpace(
    teacher="plain10",
    student="plain2",
    ladder=("plain8", "plain6"),
    max_tas=2,
    temperatures=(4.0, 8.0),
    kd_weights=(0.9,),
    scope="last",
)


def sampler(strategy: str, space: SearchSpace = SPACE) -> ChainSampler:
    return ChainSampler(space, strategy=strategy, seed=0, trials=6)


@pytest.mark.parametrize("strategy", ["tpe", "random", "exhaustive", "dp", "staged"])
def test_it_tries_the_budget_in_distinct_chains(strategy: str) -> None:
    space = replace(SPACE, is_calibrated=strategy == "staged")
    tried = rehearse(space, sampler(strategy, space), 6).trials
    assert len(set(tried)) == len(tried) == 6


def test_it_ends_with_the_space() -> None:
    assert len(rehearse(SPACE, sampler("exhaustive"), 100).trials) == SPACE.num_chains


def test_the_rungs_that_a_sampler_wants_are_told() -> None:
    assert rehearse(SPACE, sampler("dp"), 6).rungs
    assert not rehearse(SPACE, sampler("random"), 6).rungs
