from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from tasearch.domain.errors import ConfigError
from tasearch.domain.result import FinalRow, Role, Verdict
from tasearch.domain.spec import ChainSpec
from tasearch.search.verdict import judge
from tasearch.search.winner import run_of_chain, winning_run

VIA = ChainSpec(path=("t", "a", "s"), temperatures=(4.0, 4.0), kd_weights=(0.9, 0.9))
DIRECT = ChainSpec(path=("t", "s"), temperatures=(4.0,), kd_weights=(0.9,))
OTHER = ChainSpec(path=("t", "b", "s"), temperatures=(4.0, 4.0), kd_weights=(0.9, 0.9))
ARMS = {"via": (Role.FINALIST, VIA), "direct": (Role.BLKD, DIRECT), "nokd": (Role.NOKD, None)}


def rows(round_: int = 1, first: int = 1, *, test: float = 0.5, **vals: Sequence[float]) -> list[FinalRow]:
    """One arm for each name, with val accuracies by replicate."""
    return [
        FinalRow(
            round=round_,
            role=ARMS[name][0],
            arm="NOKD" if (chain := ARMS[name][1]) is None else chain.label,
            chain=chain,
            search_val_accuracy=0.6,
            replicate=first + place,
            fingerprint=f"{name}{place}",
            val_accuracy=val,
            test_accuracy=test,
        )
        for name, found in vals.items()
        for place, val in enumerate(found)
    ]


def judged(finals: Sequence[FinalRow]) -> Verdict:
    verdict = judge(finals)
    assert verdict is not None
    return verdict


@pytest.mark.parametrize(
    ("vals", "arm"),
    [
        ({"via": (0.7, 0.6), "direct": (0.6, 0.6), "nokd": (0.5, 0.5)}, VIA.label),
        ({"via": (0.7, 0.5), "direct": (0.7, 0.6), "nokd": (0.5, 0.5)}, DIRECT.label),
        ({"via": (0.7, 0.5), "direct": (0.6, 0.6), "nokd": (0.8, 0.5)}, "NOKD"),
    ],
)
def test_the_arm_with_the_best_mean_val_accuracy_wins(vals: dict[str, Any], arm: str) -> None:
    finals = rows(**vals)
    assert winning_run(judged(finals), finals, "s").arm == arm


def test_test_accuracies_have_no_say() -> None:
    finals = [*rows(via=(0.7, 0.6), test=0.1), *rows(direct=(0.6, 0.6), nokd=(0.5, 0.5), test=0.9)]
    assert winning_run(judged(finals), finals, "s").arm == VIA.label


def test_of_its_replicates_the_best_on_val_is_taken_and_of_equal_ones_the_first() -> None:
    finals = rows(via=(0.6, 0.8, 0.8), direct=(0.5,) * 3, nokd=(0.4,) * 3)
    found = winning_run(judged(finals), finals, "s")
    assert (found.replicate, found.val_accuracy, found.test_accuracy) == (2, 0.8, 0.5)
    assert found.val is not None
    assert found.val.n == 3
    assert found.val.mean == pytest.approx(2.2 / 3)


def test_a_winner_that_the_verdict_names_is_taken_before_a_better_mean() -> None:
    finals = rows(via=(0.7, 0.6), direct=(0.6, 0.6), nokd=(0.5, 0.5))
    verdict = dataclasses.replace(judged(finals), winner=DIRECT.label)
    assert winning_run(verdict, finals, "s").arm == DIRECT.label


def test_only_the_last_round_counts() -> None:
    first = rows(via=(0.9, 0.9), direct=(0.6, 0.6), nokd=(0.5, 0.5))
    finals = [*first, *rows(2, 3, via=(0.7, 0.6), direct=(0.6, 0.6), nokd=(0.5, 0.5))]
    assert winning_run(judged(finals), finals, "s").replicate == 3


def test_without_a_verdict_there_is_no_winner() -> None:
    with pytest.raises(ConfigError, match="study 's' has no verdict") as caught:
        winning_run(None, (), "s")
    assert "--chain N" in caught.value.hint


def test_a_chain_of_the_finals_is_their_best_replicate() -> None:
    finals = rows(via=(0.7, 0.6), direct=(0.6, 0.65), nokd=(0.5, 0.5))
    found = run_of_chain(DIRECT, 0.99, judged(finals), finals)
    assert (found.role, found.replicate, found.val_accuracy) == (Role.BLKD, 2, 0.65)
    assert found.score is not None


def test_a_chain_of_earlier_finals_has_their_runs_and_no_score() -> None:
    finals = [*rows(via=(0.7, 0.6)), *rows(2, 3, direct=(0.6, 0.6), nokd=(0.5, 0.5))]
    found = run_of_chain(VIA, 0.99, judge(finals), finals)
    assert (found.replicate, found.score) == (1, None)


def test_a_chain_outside_the_finals_is_that_of_the_search() -> None:
    finals = rows(via=(0.7, 0.6), direct=(0.6, 0.6), nokd=(0.5, 0.5))
    found = run_of_chain(OTHER, 0.66, judged(finals), finals)
    assert (found.role, found.replicate, found.val_accuracy, found.test, found.score) == (None, 0, 0.66, None, None)
