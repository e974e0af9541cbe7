from __future__ import annotations

from typing import Any

import pytest

from tasearch.config.settings import Settings
from tasearch.worker.cost import study_cost
from tasearch.worker.study_plan import build_plan
from tests.factories import make_dataset

CHOSEN: dict[str, Any] = {"teacher": "plain6", "student": "plain2", "dataset": "cifar10", "epochs": 2}
PLAN = build_plan(Settings(**CHOSEN), make_dataset())
COST = study_cost(PLAN)
MACS = {name: capacity.macs for name, capacity in PLAN.capacities.items()}


def test_the_baselines_are_two_stages_from_labels() -> None:
    assert COST.baselines == pytest.approx(2 * 96 * 3 * (MACS["plain6"] + MACS["plain2"]))


def test_a_trial_costs_the_mean_over_the_paths() -> None:
    direct = 3 * MACS["plain2"] + MACS["plain6"]
    indirect = 3 * MACS["plain4"] + MACS["plain6"] + 3 * MACS["plain2"] + MACS["plain4"]
    assert COST.trial == pytest.approx(2 * 96 * (direct + indirect) / 2)


def test_an_epoch_of_a_taught_stage_has_its_teachers_forward_pass() -> None:
    stage = PLAN.stages.chain(PLAN.space.build([], 4.0, 0.9))[0]
    assert COST.of_epoch(stage) == pytest.approx(96 * (3 * MACS["plain2"] + MACS["plain6"]))
