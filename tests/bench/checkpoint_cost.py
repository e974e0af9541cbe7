"""Share of a stage's time that goes into its checkpoints, at the default of one every 60 seconds.

    python tests/bench/checkpoint_cost.py [--json]

Times what a running stage does to save itself (copy, serialise, write, sync), for small and large nets.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasearch.config.settings import Settings
from tasearch.models.registry import build_model
from tasearch.stores.checkpoints import CheckpointStore
from tasearch.training.weights import Checkpoint, capture
from tests.bench.random_stages import model

MODELS = ("plain2", "plain10", "resnet8", "resnet20", "resnet110")
ROUNDS = 5


def seconds_of(name: str, folder: Path) -> float:
    """Return the median seconds of saving one checkpoint of a model under way."""
    net = build_model(model(name), seed=0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0, momentum=0.9)
    net(torch.randn(8, 3, 32, 32)).sum().backward()
    optimizer.step()
    store, taken = CheckpointStore(folder), []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        tensors = capture(net, optimizer)
        checkpoint = Checkpoint(
            epoch=1,
            step=1,
            loss_sum=1.0,
            curve=(),
            seconds=1.0,
            environments=(),
            teacher_artifact=None,
            tensors=tensors,
        )
        store.save(name, checkpoint.to_bytes())
        taken.append(time.perf_counter() - started)
    return median(taken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    arguments = parser.parse_args()
    every = float(Settings.model_fields["checkpoint_seconds"].default)
    with tempfile.TemporaryDirectory() as folder:
        seconds = {name: seconds_of(name, Path(folder)) for name in MODELS}
    if arguments.json:
        print(json.dumps([{"model": name, "seconds": s, "share": s / every} for name, s in seconds.items()], indent=2))
        return
    for name, taken in seconds.items():
        print(f"{name}: {1000 * taken:.1f} ms, {100 * taken / every:.3f}% of a stage")


if __name__ == "__main__":
    main()
