from __future__ import annotations

import pytest

from tests.bench.landscapes import Fig5
from tests.bench.replay import Replay
from tests.unit.search.replayed import open_study, run, train_wanted
from tests.unit.search.test_space import make_space


@pytest.mark.parametrize("scope", ["last", "chain"])
def test_the_optimum_of_figure_5_is_found_with_10_of_its_15_stages(scope: str) -> None:
    replay = Replay(Fig5(), scope, "dp", seed=0, trials=8)
    point = replay.run([8])[0]
    best = max(replay.observed, key=lambda chain: replay.observed[chain])
    assert best.path == ("plain10", "plain8", "plain6", "plain4", "plain2")
    assert (point.stages, point.regret, point.trials_run) == (10, 0.0, 4)


def test_each_rung_is_taught_by_the_teacher_and_by_the_best_of_every_larger_rung() -> None:
    study = open_study(make_space(), "dp")
    run(study, 1)
    wanted = train_wanted(study)
    assert len(wanted) == 6
    assert [len(chain.path) for chain in wanted if chain.path[-1] == "plain8"] == [2]
    assert {chain.path[-2] for chain in wanted if chain.path[-1] == "plain4"} == {"plain10", "plain8", "plain6"}


@pytest.mark.parametrize("max_tas", [1, 2, 3])
def test_no_rung_is_deeper_than_a_chain_may_be(max_tas: int) -> None:
    study = open_study(make_space(max_tas=max_tas), "dp")
    run(study, 1)
    assert max(len(chain.path) - 1 for chain in train_wanted(study)) <= max_tas
    assert max(len(chain.tas) for chain in run(study, 20)) <= max_tas


def test_rungs_are_not_trained_before_the_baseline_that_is_due() -> None:
    assert open_study(make_space(), "dp").wanted_stages() == []


def test_a_rung_that_failed_is_not_asked_for_again_and_nothing_is_built_on_it() -> None:
    study = open_study(make_space(("plain6", "plain4")), "dp")
    run(study, 1)
    for chain in study.wanted_stages():
        study.record_stage(chain, 0.4)
    for chain in study.wanted_stages():
        study.record_stage(chain, *((0.0, "diverged") if len(chain.path) == 3 else (0.3, None)))
    assert study.wanted_stages() == []
    assert {chain.path for chain in run(study, 30)} == {
        ("plain10", "plain2"),
        ("plain10", "plain6", "plain2"),
        ("plain10", "plain4", "plain2"),
    }


def test_the_search_ends_when_the_best_model_of_every_rung_has_been_tried_at_every_pair() -> None:
    space = make_space(temperatures=(2.0, 4.0), kd_weights=(0.9,))
    chains = run(open_study(space, "dp"), 100)
    assert len(chains) == 2 * 4


def test_scope_stage_trains_tas_at_the_calibrated_pair() -> None:
    space = make_space(temperatures=(2.0, 4.0), kd_weights=(0.5, 0.9), scope="stage")
    study = open_study(space, "dp")
    run(study, 1)
    for chain in study.wanted_stages():
        study.record_stage(chain, 0.9 if (chain.temperatures, chain.kd_weights) == ((2.0,), (0.5,)) else 0.5)
    with_tas = [chain for chain in run(study, 20) if chain.tas]
    assert {
        pair for chain in with_tas for pair in zip(chain.temperatures[:-1], chain.kd_weights[:-1], strict=True)
    } == {(2.0, 0.5)}
