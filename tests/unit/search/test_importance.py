from __future__ import annotations

import random

import pytest

from tasearch.domain.result import TrialRow, TrialState
from tasearch.domain.spec import ChainSpec
from tasearch.search.importance import LEAST_TRIALS, chain_importances

TEMPERATURES = (2.0, 4.0, 8.0, 16.0)


def trial(number: int, tas: tuple[str, ...], temperature: float, kd_weight: float, value: float) -> TrialRow:
    stages = len(tas) + 1
    chain = ChainSpec(
        path=("plain10", *tas, "plain2"),
        temperatures=(4.0,) * (stages - 1) + (temperature,),
        kd_weights=(0.9,) * (stages - 1) + (kd_weight,),
    )
    return TrialRow(number=number, state=TrialState.COMPLETE, chain=chain, val_accuracy=value)


def search_where_only_temperature_matters() -> list[TrialRow]:
    draw = random.Random(0)
    cells = [(tas, t, w) for tas in ((), ("plain6",), ("plain4",)) for t in TEMPERATURES for w in (0.5, 0.9)]
    return [
        trial(number, *cell, value=0.7 - 0.02 * TEMPERATURES.index(cell[1]) + draw.gauss(0, 0.001))
        for number, cell in enumerate(cells)
    ]


def test_what_the_good_chains_share_comes_first() -> None:
    assert chain_importances(search_where_only_temperature_matters())[0].choice == "temperature"


def test_shares_sum_to_one() -> None:
    assert sum(one.share for one in chain_importances(search_where_only_temperature_matters())) == pytest.approx(1)


def test_choices_that_do_not_vary_or_say_the_same_are_left_out() -> None:
    """With one TA at most the first is the last, and TAs have one pair throughout."""
    named = {one.choice for one in chain_importances(search_where_only_temperature_matters())}
    assert named == {"number of TAs", "last TA", "temperature", "KD weight"}


def test_a_chain_answered_from_the_store_does_not_count_twice() -> None:
    rows = search_where_only_temperature_matters()
    again = TrialRow(
        number=99, state=TrialState.COMPLETE, chain=rows[0].chain, val_accuracy=rows[0].val_accuracy, duplicate_of=0
    )
    assert chain_importances([*rows, again]) == chain_importances(rows)


def test_too_few_chains_have_no_importances() -> None:
    assert chain_importances(search_where_only_temperature_matters()[: LEAST_TRIALS - 1]) == ()


def test_chains_that_are_all_equally_good_have_no_importances() -> None:
    rows = [trial(row.number, row.chain.tas, row.chain.temperature, row.chain.kd_weight, 0.7)
            for row in search_where_only_temperature_matters() if row.chain is not None]  # fmt: skip
    assert chain_importances(rows) == ()
