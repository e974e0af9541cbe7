"""How often the verdict errs: thousands of simulated studies through the very rule that judges real ones.

    python tests/bench/verdict_simulation.py [--json] [--studies 20000] [--finalists 3] [--replicates 5]
        [--max-replicates 20] [--seed 1]

A simulated study is finalists' differences to BLKD on val and on test, normal with a standard deviation of 1 over
replicates, so true differences are in units of that deviation. Finalists are correlated with one another (they share
BLKD: 0.5), and val with test on a replicate. Measured on cluttered-digits (plain10 to plain2, 2,000 images, 6 epochs,
16 replicates, differences of three finalists to BLKD): val with test 0.50, 0.68, 0.66; finalists with one another 0.58,
0.77, 0.64. Coverage is the worst over true differences and over correlations of val with test from 0 to 0.9.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasearch.search.race import Bools, Floats, Ints, Rule, half_width, run_race, schedule

SHARED = 0.5
"""Correlation between finalists' differences to one BLKD."""
VAL_TEST = 0.6
"""Correlation of val with test differences, as measured."""
VAL_TESTS = (0.0, 0.3, VAL_TEST, 0.9)
DIFFERENCES = (0.0, 0.25, 0.5, 1.0)
_CHUNK = 5_000


@dataclass(frozen=True)
class Races:
    """What came of many studies; arrays over studies."""

    winner: Ints
    blkd_won: Bools
    replicates: Ints
    runs: Ints
    """Trained replicates of finalists."""
    covered: Bools
    """Whether the reported interval holds the true difference of the finalist that it is about."""
    error: Floats
    """Reported difference minus the true one."""
    half_width: Floats


def simulate(
    true: Sequence[float], rule: Rule, studies: int, *, seed: int, shared: float = SHARED, val_test: float = VAL_TEST
) -> Races:
    """Run studies whose finalists truly differ from BLKD by `true` standard deviations."""
    draw = np.random.default_rng(seed)
    sizes = [min(_CHUNK, studies - begun) for begun in range(0, studies, _CHUNK)]
    parts = [_chunk(np.asarray(true, dtype=float), rule, size, draw, shared, val_test) for size in sizes]
    names = Races.__dataclass_fields__
    return Races(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _chunk(true: Floats, rule: Rule, studies: int, draw: np.random.Generator, shared: float, val_test: float) -> Races:
    def noise() -> Floats:
        own = draw.standard_normal((studies, len(true), rule.looks[-1]))
        common = draw.standard_normal((studies, 1, rule.looks[-1]))
        correlated: Floats = np.sqrt(1 - shared) * own + np.sqrt(shared) * common
        return correlated

    on_val, apart = noise(), noise()
    on_test = val_test * on_val + np.sqrt(1 - val_test**2) * apart
    outcome = run_race(on_val + true[:, None], rule)
    if not outcome.over.all():
        raise AssertionError("a race with all replicates did not end")
    reported = on_test[np.arange(studies), outcome.leader]
    error, half = np.zeros((2, studies))
    for n in rule.deciding:
        there = outcome.replicates == n
        error[there] = reported[there, :n].mean(axis=1)
        half[there] = half_width(reported[there, :n], rule.interval_level)
    trained = np.where(outcome.dropped_after > 0, outcome.dropped_after, outcome.replicates[:, None])
    return Races(
        winner=outcome.winner,
        blkd_won=outcome.blkd_won,
        replicates=outcome.replicates,
        runs=trained.sum(axis=1),
        covered=np.abs(error) <= half,
        error=error,
        half_width=half,
    )


def report(finalists: int, looks: tuple[int, ...], studies: int, seed: int) -> dict[str, Any]:
    """Return every figure of the rule with these finalists and looks."""
    rule = Rule.of(finalists, looks, looks[0])
    null = {
        shared: simulate([0.0] * finalists, rule, studies, seed=seed, shared=shared)
        for shared in (0.0, 0.25, SHARED, 0.75)
    }
    one_of_them = simulate([0.5, *[0.0] * (finalists - 1)], rule, studies, seed=seed + 1)
    coverages = [
        {"difference": difference, "val_test_correlation": val_test, **_interval_of(races)}
        for difference in DIFFERENCES
        for val_test in VAL_TESTS
        for races in [simulate([difference] * finalists, rule, studies, seed=seed + 2, val_test=val_test)]
    ]
    all_good = simulate([1.0] * finalists, rule, studies, seed=seed + 3)
    one_good = simulate([1.0, *[0.0] * (finalists - 1)], rule, studies, seed=seed + 4)
    all_bad = simulate([-1.0] * finalists, rule, studies, seed=seed + 5)
    return {
        "studies": studies,
        "finalists": finalists,
        "looks": list(looks),
        "level": rule.level,
        "interval_level": rule.interval_level,
        "false_winner_rate": float((null[SHARED].winner >= 0).mean()),
        "coverage": min(entry["coverage"] for entry in coverages),
        "power": float((all_good.winner >= 0).mean()),
        "mean_n": float(all_good.replicates.mean()),
        "one_good": {
            "power": float((one_good.winner == 0).mean()),
            "mean_n": float(one_good.replicates.mean()),
            "mean_runs": float(one_good.runs.mean()),
        },
        "all_bad": {
            "blkd_won": float(all_bad.blkd_won.mean()),
            "winner": float((all_bad.winner >= 0).mean()),
            "mean_n": float(all_bad.replicates.mean()),
        },
        "false_winner_rates": {
            **{f"correlation {shared}": float((races.winner >= 0).mean()) for shared, races in null.items()},
            "one finalist 0.5 sd better": float((one_of_them.winner > 0).mean()),
        },
        "false_blkd_rate": float(null[SHARED].blkd_won.mean()),
        "coverages": coverages,
    }


def _interval_of(races: Races) -> dict[str, float]:
    return {
        "coverage": float(races.covered.mean()),
        "bias": float(races.error.mean()),
        "half_width": float(races.half_width.mean()),
        "winner": float((races.winner >= 0).mean()),
        "mean_n": float(races.replicates.mean()),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--studies", type=int, default=20_000)
    parser.add_argument("--finalists", type=int, default=3)
    parser.add_argument("--replicates", type=int, default=5)
    parser.add_argument("--max-replicates", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    found = report(chosen.finalists, schedule(chosen.replicates, chosen.max_replicates), chosen.studies, chosen.seed)
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        if name != "coverages":
            print(f"{name:<20} {value}")
    for entry in found["coverages"]:
        print("  ".join(f"{name} {value:.3f}" for name, value in entry.items()))


if __name__ == "__main__":
    main()
