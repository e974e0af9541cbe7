"""How good a chain each strategy finds for how much training, replayed on tables: nothing is trained.

    python tests/bench/search_quality.py [--json] [--table fig5] [--strategy dp] [--scope last] [--seeds 50]

Tables: `fig5`, the paper's Fig. 5; `plain-digits`, every chain of the plain ladder on the embedded digits, trained by
`studies/plain-digits/train_table.py`; `synthetic`, six TA rungs with per-stage effects fitted to plain-digits. Regret:
true mean of the best chain whose TAs have one pair between them minus that of the chain with the best observed
accuracy. Saving: stages that each distinct trial's whole chain would have taken over the distinct stages trained, rungs
and calibration outside of trials included; no chain is tried twice, so skipped duplicates are no part of it. Teacher
and NOKD are not counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean, stdev

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import optuna

from tasearch.config.settings import Settings
from tasearch.search.sampler import STRATEGIES
from tests.bench.landscapes import SCOPES, Fig5, Landscape, PlainDigits, Synthetic, fit_stages, read_table
from tests.bench.replay import Point, Replay

BUDGETS = {"fig5": (4, 8), "plain-digits": (20, 40), "synthetic": (50, 200)}
KNOWS_ITS_BUDGET = ("staged",)
"""Strategies that divide their budget: a study of 50 trials is not the beginning of one of 200."""


def landscapes(table: str) -> Callable[[int], Landscape]:
    """Return what makes the landscape of a seed."""
    if table == "fig5":
        return lambda _: Fig5()
    digits = read_table()
    if table == "plain-digits":
        return lambda seed: PlainDigits(digits, seed % digits.replicates)
    model = fit_stages(digits)
    return lambda seed: Synthetic(model, seed)


def searches(
    make: Callable[[int], Landscape], scope: str, strategy: str, budgets: tuple[int, ...], seeds: int
) -> Iterator[list[Point]]:
    """Yield the points of each seed, one for each budget."""
    told = [(budget,) for budget in budgets] if strategy in KNOWS_ITS_BUDGET else [budgets]
    for seed in range(seeds):
        landscape, points = make(seed), []
        for group in told:
            points += Replay(landscape, scope, strategy, seed=seed, trials=max(group)).run(group)
        yield points


def measure(table: str, scope: str, strategy: str, seeds: int) -> list[dict[str, object]]:
    """Return one row for each budget."""
    make = landscapes(table)
    found = list(searches(make, scope, strategy, BUDGETS[table], seeds))
    epochs, rows = make(0).epochs, []
    default = (Settings.model_fields["sampler"].default, Settings.model_fields["scope"].default)
    for points in zip(*found, strict=True):
        regrets = [point.regret for point in points]
        rows.append(
            {
                "table": table,
                "strategy": strategy,
                "scope": scope,
                "trials": points[0].trials,
                "regret": fmean(regrets),
                "regret_se": stdev(regrets) / len(regrets) ** 0.5 if len(regrets) > 1 else None,
                "stage_epochs": epochs * fmean(point.stages for point in points),
                "saving": sum(point.whole_chains for point in points) / sum(point.stages for point in points),
                "is_default": (strategy, scope) == default,
                "trials_run": fmean(point.trials_run for point in points),
                "seeds": len(points),
            }
        )
    return rows


def shown(row: dict[str, object]) -> str:
    """Return a row of the readable table; regret in points of accuracy."""
    name = f"{row['table']:<13}{row['strategy']:<11}{row['scope']:<6}"
    regret = f"{100 * float(str(row['regret'])):7.2f}"
    error = "" if row["regret_se"] is None else f"{100 * float(str(row['regret_se'])):.2f}"
    cost = f"{row['stage_epochs']:>12.0f}{row['saving']:>8.2f}"
    mark = "  default" if row["is_default"] else ""
    return f"{name}{row['trials']:>6}{row['trials_run']:>6.0f}{regret} ±{error:<5}{cost}{mark}"


HEADING = "table        strategy   scope trials   run regret ±se         epochs  saving"


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--table", action="append", choices=BUDGETS)
    parser.add_argument("--strategy", action="append", choices=STRATEGIES)
    parser.add_argument("--scope", action="append", choices=SCOPES)
    parser.add_argument("--seeds", type=int, default=50)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = []
    if not options.json:
        print(HEADING)
    for table in options.table or BUDGETS:
        for strategy in options.strategy or STRATEGIES:
            for scope in options.scope or SCOPES:
                found = measure(table, scope, strategy, options.seeds)
                rows += found
                if options.json:
                    print(f"{table} {strategy} {scope}", file=sys.stderr, flush=True)
                else:
                    print(*map(shown, found), sep="\n", flush=True)
    if options.json:
        json.dump(rows, sys.stdout, indent=1)
        print()


if __name__ == "__main__":
    main()
