"""What a study costs beside training: asking, leases, records, artifacts, the finals' rule, as a share of its time.

    python tests/bench/orchestration_share.py [--json] [--epochs 6] [--trials 12]

One worker with one thread in this process, by default on the budget of `make demo`. Training is what happens inside a
stage (with its teacher's logits and its evaluation) and the test set; all else between the first database access and
the verdict is orchestration. Measured in CPU seconds of the process, which other load does not change, and in wall
time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasearch.chain.run import StageRunner
from tasearch.config.resolve import resolve
from tasearch.training.pack import Pack
from tasearch.worker.progress import Silent
from tasearch.worker.session import Session
from tasearch.worker.signals import StopFlag

DEMO = {
    "teacher": "plain10",
    "student": "plain2",
    "limit_train": 3000,
    "epochs": 6,
    "trials": 12,
    "finalists": 2,
    "replicates": 5,
    "max_replicates": 5,
}


class Stopwatch:
    """Adds up the time inside a function, CPU and wall; calls inside one another count once."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0
        self._depth = 0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, timed."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            cpu, wall = time.process_time(), time.monotonic()
            try:
                return function(*args, **kwargs)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.cpu += time.process_time() - cpu
                    self.wall += time.monotonic() - wall

        return call


def measure(settings: dict[str, Any]) -> dict[str, float]:
    """Run one study and return its times in seconds and the share of orchestration."""
    training = Stopwatch()
    Pack.turn = training.timed(Pack.turn)  # type: ignore[method-assign]
    StageRunner.test_accuracy = training.timed(StageRunner.test_accuracy)  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as home:
        session = Session(
            resolve({**settings, "threads": 1, "workers": 1, "home": home}, {}, None), Silent(), StopFlag()
        )
        cpu, wall = time.process_time(), time.monotonic()
        counts = session.run()
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    return {
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "training_cpu_seconds": training.cpu,
        "training_wall_seconds": training.wall,
        "cpu_share": 1.0 - training.cpu / cpu,
        "wall_share": 1.0 - training.wall / wall,
        "stages": counts.trained,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--epochs", type=int, default=DEMO["epochs"])
    parser.add_argument("--trials", type=int, default=DEMO["trials"])
    options = parser.parse_args()
    found = measure({**DEMO, "epochs": options.epochs, "trials": options.trials})
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        print("\n".join(f"{name.replace('_', ' ')}: {value:.3f}" for name, value in found.items()))


if __name__ == "__main__":
    main()
