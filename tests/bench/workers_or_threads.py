"""Images per second of one process with all threads against one single-threaded process per core.

    python tests/bench/workers_or_threads.py [--json] [--rounds 3]

Warm stages (teacher logits stored) of random 32 x 32 images, as in `stage_throughput.py`. Both ways take turns; the
rates of processes that run side by side are added up. What wins is what `--workers auto` does on a CPU.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasearch.data.views import ViewSource, channel_statistics
from tasearch.training.device import configure
from tasearch.training.loop import StageData
from tests.bench.random_stages import random_split
from tests.bench.stage_throughput import CPU, DATA, stage, stage_rate

PAIRS = ("plain10 > plain2", "plain10 > plain4", "plain10 > plain8", "resnet110 > resnet8", "resnet110 > resnet20")


def rate_of(pair: str, threads: int, together: Barrier) -> float:
    """Return the images per second of one process while the others of its barrier run too."""
    configure(CPU, threads)
    train = random_split(DATA.num_train)
    statistics = channel_statistics(train)
    data = StageData(
        train=ViewSource(train, DATA, statistics, CPU),
        val=ViewSource(random_split(DATA.num_val), DATA, statistics, CPU),
    )
    table = torch.zeros(DATA.num_train, DATA.num_classes).half()
    spec = stage(pair, "float32")
    stage_rate(spec, data, lambda _: table)
    together.wait()
    return stage_rate(spec, data, lambda _: table)


def _child(pair: str, threads: int, together: Barrier, results: multiprocessing.SimpleQueue[float]) -> None:
    results.put(rate_of(pair, threads, together))


def total_rate(pair: str, processes: int, threads: int) -> float:
    """Return the images per second of some processes side by side."""
    context = multiprocessing.get_context("spawn")
    together, results = context.Barrier(processes), context.SimpleQueue()
    running = [context.Process(target=_child, args=(pair, threads, together, results)) for _ in range(processes)]
    for process in running:
        process.start()
    rates: list[float] = [results.get() for _ in running]
    for process in running:
        process.join()
    return sum(rates)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each way")
    parser.add_argument("--pairs", nargs="*", default=PAIRS, help="which pairs, as 'teacher > student'")
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    found = []
    for pair in arguments.pairs:
        rates: dict[str, list[float]] = {"one_worker": [], "worker_per_core": []}
        for _ in range(arguments.rounds):
            rates["one_worker"].append(total_rate(pair, 1, cores))
            rates["worker_per_core"].append(total_rate(pair, cores, 1))
        row = {name: median(values) for name, values in rates.items()}
        ratio = row["worker_per_core"] / row["one_worker"]
        found.append({"pair": pair, "cores": cores, **row, "ratio": ratio})
        if not arguments.json:
            print(
                f"{pair}: one worker with {cores} threads {row['one_worker']:,.0f} images/s, {cores} workers with one "
                f"{row['worker_per_core']:,.0f}: {ratio:.2f}x",
                flush=True,
            )
    if arguments.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
