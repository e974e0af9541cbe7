"""Train every chain of plain10 > ... > plain2 on the embedded digits, for benches that replay a search on the table.

    python studies/plain-digits/train_table.py --home HOME [--replicates 3] [--limit-train 4000] [--epochs 2]

All 8 paths, each with every pair of the default grid, at scope chain (one pair throughout) and at scope last: TAs at
the recommended pair, and at each pair that a calibration finds on one of the replicates. On each replicate, under one
teacher. A stage that several chains share is trained once. Killed and started again it goes on where it was. Writes one
row per distinct stage to `results.csv` beside this file.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from pathlib import Path

import torch

from tasearch.chain.run import StageRunner, Stores
from tasearch.chain.stages import StagePlanner
from tasearch.data.dataset import DataRequest, Dataset
from tasearch.data.registry import load_dataset
from tasearch.domain.result import EpochResult, StageResult
from tasearch.domain.spec import ChainSpec, Recipe, StageSpec
from tasearch.search.calibration import CALIBRATION_PAIRS, Calibration
from tasearch.search.space import Pair, SearchSpace
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.checkpoints import CheckpointStore
from tasearch.stores.engine import parse_storage_url
from tasearch.stores.home import Home
from tasearch.stores.logit_tables import LogitTables
from tasearch.stores.owner import current_owner
from tasearch.stores.records import open_records
from tasearch.training.device import configure
from tasearch.training.loop import NUMERICS_VERSION

TEACHER, LADDER, STUDENT = "plain10", ("plain8", "plain6", "plain4"), "plain2"
TEMPERATURES, KD_WEIGHTS = (2.0, 4.0, 8.0, 16.0), (0.5, 0.9, 1.0)
COLUMNS = ("replicate", "path", "temperatures", "kd_weights", "val_accuracy", "epochs", "seconds")
CPU = torch.device("cpu")


class Printer:
    """Says on stderr which stage is done."""

    def __init__(self) -> None:
        self.trained = self.seconds = 0.0

    def poll(self) -> None:
        """Nothing stops this script but a signal."""

    def stage_started(self, spec: StageSpec) -> None:
        """Nothing: what ended is said."""

    def stage_waits(self, spec: StageSpec, owner: str) -> None:
        """Say for whom."""
        print(f"waiting for {owner}: {spec.label}", file=sys.stderr, flush=True)

    def epoch_done(self, spec: StageSpec, point: EpochResult) -> None:
        """Nothing: stages are short."""

    def stage_ended(self, spec: StageSpec, result: StageResult, *, reused: bool) -> None:
        """Say how good it is and how long it took."""
        if not reused:
            self.trained, self.seconds = self.trained + 1, self.seconds + result.seconds
            said = f"{spec.label}: {100 * result.val_accuracy:.1f}%, {result.seconds:.1f} s"
            print(f"{self.trained:.0f} in {self.seconds:.0f} s: {said}", file=sys.stderr, flush=True)


def space_of(scope: str) -> SearchSpace:
    """Return all chains of a scope."""
    return SearchSpace(
        teacher=TEACHER,
        student=STUDENT,
        ladder=LADDER,
        max_tas=len(LADDER),
        temperatures=TEMPERATURES,
        kd_weights=KD_WEIGHTS,
        scope=scope,
    )


def chains() -> list[ChainSpec]:
    """Return the distinct chains of both scopes, direct ones first."""
    return list(dict.fromkeys([*space_of("last").all_chains(), *space_of("chain").all_chains()]))


def calibrated_pairs(val_accuracy_of: Callable[[ChainSpec], float]) -> set[Pair]:
    """Return what calibrations with more and fewer pairs would choose for the TAs on one replicate."""
    space, best = space_of("last"), set[Pair]()
    for pairs in range(2, CALIBRATION_PAIRS + 1):
        calibration = Calibration(space, pairs)
        best.add(max(calibration.edges, key=lambda pair: val_accuracy_of(calibration.edges[pair])))
    return best


def prefixes(chain: ChainSpec) -> Iterator[ChainSpec]:
    """Yield the chains that end at each stage of a chain, the whole chain last."""
    for stages in range(1, len(chain.path)):
        yield ChainSpec(
            path=chain.path[: stages + 1],
            temperatures=chain.temperatures[:stages],
            kd_weights=chain.kd_weights[:stages],
        )


def open_runner(home: Home, dataset: Dataset) -> StageRunner:
    """Return a runner whose stores lie in `home`."""
    home.prepare()
    stores = Stores(
        stages=open_records(parse_storage_url(home.default_storage_url)).stages,
        artifacts=ArtifactStore(str(home.artifacts)),
        checkpoints=CheckpointStore(home.checkpoints),
        tables=LogitTables(home.cache, 2 * 10**9),
    )
    return StageRunner(stores, dataset, CPU, owner=current_owner(), watcher=Printer(), checkpoint_seconds=60.0)


def train(runner: StageRunner, planner: StagePlanner, replicates: int) -> Iterator[list[list[object]]]:
    """Yield the rows of each replicate, the teacher first of all and NOKD first of each, then those calibrated."""
    teacher = runner.run(planner.teacher_stage)
    rows = [_row(0, (TEACHER,), (), (), planner.teacher_stage, teacher)]
    seen: set[tuple[int, ChainSpec]] = set()

    def rows_of(chains: Iterable[ChainSpec], replicate: int) -> Iterator[list[object]]:
        for chain in chains:
            for prefix, spec in zip(prefixes(chain), planner.chain(chain, replicate), strict=True):
                if (replicate, prefix) not in seen:
                    seen.add((replicate, prefix))
                    pairs = prefix.temperatures, prefix.kd_weights
                    yield _row(replicate, prefix.path, *pairs, spec, runner.run(spec))

    for replicate in range(replicates):
        alone = planner.from_labels(STUDENT, replicate)
        rows.append(_row(replicate, (STUDENT,), (), (), alone, runner.run(alone)))
        yield [*rows, *rows_of(chains(), replicate)]
        rows = []

    def val_accuracy(edge: ChainSpec, replicate: int) -> float:
        return runner.run(planner.chain(edge, replicate)[-1]).val_accuracy

    found = [calibrated_pairs(partial(val_accuracy, replicate=replicate)) for replicate in range(replicates)]
    for replicate, pair in product(range(replicates), sorted(set.union(*found))):
        yield list(rows_of(space_of("last").at(pair).all_chains(), replicate))


def _row(
    replicate: int,
    path: tuple[str, ...],
    temperatures: tuple[float, ...],
    kd_weights: tuple[float, ...],
    spec: StageSpec,
    result: StageResult,
) -> list[object]:
    pairs = (" ".join(f"{value:g}" for value in values) for values in (temperatures, kd_weights))
    accuracy, seconds = f"{result.val_accuracy:.4f}", f"{result.seconds:.2f}"
    return [replicate, " > ".join(path), *pairs, accuracy, spec.recipe.epochs, seconds]


def main() -> None:
    """Train what is missing and write the table after each replicate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="folder of the trained stages, outside the repository")
    parser.add_argument("--replicates", type=int, default=3)
    parser.add_argument("--limit-train", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=0.03)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.csv"))
    options = parser.parse_args()
    configure(CPU, options.threads or os.cpu_count() or 1)
    home = Home(options.home)
    dataset = load_dataset(
        DataRequest(
            name="cluttered-digits",
            data_dir=home.data,
            image_size=None,
            limit_train=options.limit_train,
            augment=None,
        )
    )
    recipe = Recipe(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        schedule="cosine",
        momentum=0.9,
        weight_decay=5e-4,
        precision="float32",
    )
    planner = StagePlanner(teacher=TEACHER, data=dataset.spec, recipe=recipe, numerics_version=NUMERICS_VERSION)
    table: list[list[object]] = [list(COLUMNS)]
    for rows in train(open_runner(home, dataset), planner, options.replicates):
        table += rows
        write_table(options.out, table)


def write_table(path: Path, table: list[list[object]]) -> None:
    """Write the rows, all of them or none."""
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(table)
    unfinished.replace(path)


if __name__ == "__main__":
    main()
