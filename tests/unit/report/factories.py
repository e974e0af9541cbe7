"""A made-up study with realistic numbers, whole or in part."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean, stdev

from tasearch.domain.latency import LatencyTable, Timing
from tasearch.domain.result import (
    ArmScore,
    Capacity,
    FinalRow,
    Interval,
    RaceSummary,
    Role,
    TrialRow,
    TrialState,
    Verdict,
)
from tasearch.domain.spec import ChainSpec
from tasearch.report.view import ModelPoint, StudyView
from tasearch.search.importance import chain_importances

from .made_stages import fingerprints, make_stages

LADDER = {
    "plain8": Capacity(num_params=327_962, macs=13_500_000),
    "plain6": Capacity(num_params=82_778, macs=9_900_000),
    "plain4": Capacity(num_params=37_338, macs=6_400_000),
}
EPOCHS = 10
LATENCY = LatencyTable(
    device="cpu Intel(R) Xeon(R)",
    threads=2,
    torch_version="2.15.0",
    models={
        name: tuple(
            Timing(batch=batch, median=alone * batch, low=0.9 * alone * batch, high=1.1 * alone * batch, runs=50)
            for batch in (1, 64)
        )
        for name, alone in {"plain10": 2e-3, "plain8": 9e-4, "plain6": 4e-4, "plain4": 2.5e-4, "plain2": 1e-4}.items()
    },
)
GAINS = {(): 0.0, ("plain8",): 0.001, ("plain6",): 0.004, ("plain4",): 0.009}
NUM_TRIALS = 20


def make_chain(*path: str, temperature: float = 4.0, kd_weight: float = 0.9) -> ChainSpec:
    stages = len(path) - 1
    return ChainSpec(path=path, temperatures=(temperature,) * stages, kd_weights=(kd_weight,) * stages)


def make_trial(number: int, chain: ChainSpec, val_accuracy: float | None, **changes: object) -> TrialRow:
    state = TrialState.RUNNING if val_accuracy is None else TrialState.COMPLETE
    row = TrialRow(
        number=number,
        state=state,
        chain=chain,
        val_accuracy=val_accuracy,
        curve=() if val_accuracy is None else curve_to(val_accuracy),
        ta_accuracies=tuple(0.8 - 0.02 * index for index in range(len(chain.tas))),
        seconds=20.0,
        stage_fingerprints=() if val_accuracy is None else fingerprints(chain),
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def curve_to(accuracy: float) -> tuple[float, ...]:
    """A saturating curve that ends at the accuracy."""
    wobble = random.Random(accuracy)
    early = (accuracy * (1 - 0.6 * 0.6**epoch) + wobble.gauss(0, 0.002) for epoch in range(1, EPOCHS))
    return (*early, accuracy)


def make_trials() -> tuple[TrialRow, ...]:
    """Twenty trials: 14 complete with TAs, 4 of BLKD, one pruned, one failed; and one duplicate more."""
    draw = random.Random(7)
    paths: Sequence[tuple[str, ...]] = (
        (),
        ("plain4",),
        (),
        ("plain6",),
        ("plain8",),
        ("plain6", "plain4"),
        ("plain4",),
        (),
        ("plain8", "plain6", "plain4"),
        ("plain6",),
        ("plain8", "plain4"),
        ("plain4",),
        ("plain8",),
        ("plain6", "plain4"),
        (),
        ("plain4",),
        ("plain8", "plain6"),
        ("plain6",),
        ("plain8", "plain6"),
        ("plain6", "plain4"),
    )
    pairs = [(temperature, weight) for weight in (0.9, 0.5, 1.0) for temperature in (4.0, 2.0, 8.0, 16.0)]
    rows = []
    for number, tas in enumerate(paths):
        temperature, kd_weight = pairs[paths[:number].count(tas) * 5 % len(pairs)]
        chain = make_chain("plain10", *tas, "plain2", temperature=temperature, kd_weight=kd_weight)
        loss = 0.012 * abs(kd_weight - 0.9) / 0.4 + 0.004 * abs(temperature - 4.0) / 4.0
        accuracy = 0.702 + sum(GAINS[(ta,)] for ta in tas) - loss + draw.gauss(0, 0.003)
        rows.append(make_trial(number, chain, round(accuracy, 4)))
    rows[16] = replace(rows[16], state=TrialState.PRUNED, val_accuracy=None, curve=rows[16].curve[:4])
    rows[12] = replace(
        rows[12], state=TrialState.FAILED, val_accuracy=None, curve=(), failure="loss is not finite in epoch 3"
    )
    first = rows[1]
    rows.append(replace(first, number=20, duplicate_of=1))
    return tuple(rows)


def make_finals(n: int = 5) -> tuple[FinalRow, ...]:
    """Two finalists, BLKD and NOKD on `n` replicates; drawn once, so fewer replicates are a prefix."""
    rows = []
    for arm, (role, chain, level) in enumerate(ARMS):
        draw = random.Random(arm)
        for replicate in range(1, n + 1):
            test = level + draw.gauss(0, 0.003)
            rows.append(
                FinalRow(
                    round=1,
                    role=role,
                    arm="NOKD" if chain is None else chain.label,
                    chain=chain,
                    search_val_accuracy=level + 0.004,
                    replicate=replicate,
                    fingerprint=None if chain is None else fingerprints(chain, replicate)[-1],
                    val_accuracy=test + draw.gauss(0.002, 0.001),
                    test_accuracy=test,
                )
            )
    return tuple(rows)


def make_verdict(finals: Sequence[FinalRow]) -> Verdict:
    """A verdict with plain paired intervals, enough to draw."""
    arms = {row.arm: [r for r in finals if r.arm == row.arm] for row in finals}
    by_role = {rows[0].role: tests_of(rows) for rows in arms.values()}
    scores = []
    for arm, rows in arms.items():
        tests = tests_of(rows)
        role = rows[0].role
        scores.append(
            ArmScore(
                role=role,
                arm=arm,
                chain=rows[0].chain,
                n=len(rows),
                search_val_accuracy=rows[0].search_val_accuracy,
                val_accuracy=mean(row.val_accuracy or 0.0 for row in rows),
                test_accuracy=mean(tests),
                test_std=stdev(tests) if len(tests) > 1 else None,
                versus_blkd=None if role is Role.BLKD else paired(tests, by_role[Role.BLKD]),
                versus_nokd=None if role is Role.NOKD else paired(tests, by_role[Role.NOKD]),
            )
        )
    scores.sort(key=lambda score: -score.val_accuracy)
    lead = next((s for s in scores if s.role is Role.FINALIST), None)
    difference = None if lead is None else lead.versus_blkd
    separated = difference is not None and difference.low is not None and difference.low > 0
    return Verdict(
        text=(
            f"{lead.arm} beats direct distillation by {100 * difference.mean:+.1f} points, "
            f"95% CI [{100 * difference.low:.1f}, {100 * (difference.high or 0.0):.1f}], n = {lead.n} replicates"
            if lead is not None and difference is not None and difference.low is not None and separated
            else "no chain is separated from direct distillation at this budget"
        ),
        winner=lead.arm if lead is not None and separated else None,
        difference=None if difference is None else difference.mean,
        ci_low=None if difference is None else difference.low,
        ci_high=None if difference is None else difference.high,
        n=scores[0].n,
        separated=separated,
        scores=tuple(scores),
        leader=None if lead is None else lead.arm,
        race=RaceSummary(
            looks=(scores[0].n, 20),
            taken=(scores[0].n,),
            level=0.0123,
            interval_level=0.011,
            error=0.05,
            val_difference=0.006,
            val_spread=0.002,
            replicates_to_separate=None,
        ),
        notes=("the teacher is given: the interval does not cover its training",),
    )


def tests_of(rows: Sequence[FinalRow]) -> list[float]:
    return [row.test_accuracy for row in rows if row.test_accuracy is not None]


def paired(one: Sequence[float], other: Sequence[float]) -> Interval:
    differences = [a - b for a, b in zip(one, other, strict=True)]
    n = len(differences)
    half = 2.8 * stdev(differences) / n**0.5 if n > 1 else None
    middle = mean(differences)
    return Interval(
        mean=middle,
        low=None if half is None else middle - half,
        high=None if half is None else middle + half,
        n=n,
    )


TRIALS = make_trials()


def chain_of(number: int) -> ChainSpec:
    chain = TRIALS[number].chain
    assert chain is not None
    return chain


ARMS: tuple[tuple[Role, ChainSpec | None, float], ...] = (
    (Role.FINALIST, chain_of(8), 0.711),
    (Role.FINALIST, chain_of(5), 0.706),
    (Role.BLKD, chain_of(0), 0.702),
    (Role.NOKD, None, 0.655),
)


def make_view(**changes: object) -> StudyView:
    """The whole study, finals and verdict included; any field can be changed."""
    finals = make_finals()
    view = StudyView(
        study_name="plain10-plain2-cluttered-digits-1a2b3c4d",
        storage="sqlite:///tasearch-data/studies.db",
        created_at="2025-06-01T12:00:00+00:00",
        command="tasearch optimize --teacher plain10 --student plain2 --trials 20 --finalists 2",
        teacher=ModelPoint(
            name="plain10", capacity=Capacity(num_params=2_487_850, macs=71_800_000), val_accuracy=0.842
        ),
        student=ModelPoint(name="plain2", capacity=Capacity(num_params=13_082, macs=1_000_000), val_accuracy=0.655),
        ta_capacities=LADDER,
        dataset="cluttered-digits",
        num_train=8000,
        num_val=5000,
        num_classes=10,
        num_test=5000,
        epochs=EPOCHS,
        config={
            "teacher": "plain10",
            "student": "plain2",
            "max_tas": 3,
            "temperatures": [2.0, 4.0, 8.0, 16.0],
            "recipe": {"epochs": EPOCHS, "learning_rate": 0.1, "precision": "float32"},
            "timeout": None,
        },
        versions={"tasearch": "0.1.0", "torch": "2.15.0", "optuna": "5.0.0"},
        environment="cpu Intel(R) Xeon(R), 2 threads",
        num_trials_planned=NUM_TRIALS,
        trials=TRIALS,
        finals=finals,
        verdict=make_verdict(finals),
        test_opened=("2025-06-01T12:31:07+00:00",),
        stages_trained=61,
        stages_reused=24,
        stage_seconds=723.0,
        stages=make_stages(TRIALS, finals),
        importances=chain_importances(TRIALS),
        num_retries=2,
        data_hash="5" * 64,
        latency=LATENCY,
    )
    return replace(view, **changes)  # type: ignore[arg-type]


def make_view_without_finals(**changes: object) -> StudyView:
    return make_view(**{"finals": (), "verdict": None, "test_opened": (), **changes})
