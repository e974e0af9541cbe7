from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasearch.domain.spec import ChainSpec
from tests.bench.landscapes import (
    PLACES,
    SCOPES,
    PlainDigits,
    StageModel,
    StageTable,
    Synthetic,
    fit_stages,
)

MODEL = StageModel(
    weights=np.array([0.4, 0.1, -0.2, 0.02, 0.3, -0.1, 0.05, 0.01, -0.01, 0.05, -0.1, 0.02, 0.03, 0.02, 0.01, -0.02]),
    teacher=0.6,
    effect_sd=0.0,
    noise_sd=0.01,
    epochs=2,
)


def test_the_fit_finds_the_model_that_made_a_table() -> None:
    digits = PlainDigits(StageTable({}, MODEL.teacher, MODEL.epochs), 0)
    accuracies: dict[ChainSpec, tuple[float, ...]] = {}
    for scope in SCOPES:
        for chain in digits.space(scope).all_chains():
            for stages in range(1, len(chain.path)):
                rung = digits.space(scope).rung(chain, stages)
                above = digits.space(scope).rung(chain, stages - 1) if stages > 1 else None
                place, pair = PLACES[rung.path[-1]], (rung.temperatures[-1], rung.kd_weights[-1])
                teacher = accuracies[above][0] if above else MODEL.teacher
                mean = MODEL.mean(place, place - PLACES[rung.path[-2]], teacher, pair)
                accuracies[rung] = (mean, mean)
    fitted = fit_stages(StageTable(accuracies, MODEL.teacher, MODEL.epochs))
    assert fitted.noise_sd == pytest.approx(0.0, abs=1e-9)
    assert fitted.mean(1.0, 0.2, 0.55, (8.0, 0.9)) == pytest.approx(MODEL.mean(1.0, 0.2, 0.55, (8.0, 0.9)))


def test_without_noise_what_is_seen_is_true() -> None:
    quiet = Synthetic(replace(MODEL, noise_sd=0.0), seed=3)
    chain = list(quiet.space("last").all_chains())[-1]
    assert quiet.observe(chain) == quiet.truth(chain)


def test_a_lucky_ta_stays_lucky_for_every_chain_on_it() -> None:
    landscape = Synthetic(MODEL, seed=0)
    space = landscape.space("last")
    rung = space.rung(space.build(["rung3"], 4.0, 0.9), 1)
    luck = landscape.observe(rung) - landscape.truth(rung)
    longer = space.rung(space.build(["rung3", "rung5"], 4.0, 0.9), 2)
    alone = MODEL.noise_sd * landscape._draw(longer, "noise")
    assert landscape.observe(longer) - landscape.truth(longer) - alone == pytest.approx(0.3 * luck)


def test_another_seed_is_another_landscape() -> None:
    chains = list(Synthetic(MODEL, seed=0).space("chain").all_chains())[:50]
    seen = [[Synthetic(MODEL, seed=seed).observe(chain) for chain in chains] for seed in (0, 1)]
    assert seen[0] != seen[1]
