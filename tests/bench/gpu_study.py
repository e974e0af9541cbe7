"""Seconds of whole studies on a GPU: the paper's as forecast, a smaller one as forecast and as it was.

    python tests/bench/gpu_study.py [--json] [--dataset folder:PATH] [--trials 24] [--epochs 10]

The paper's: resnet110 teaches resnet8, 120 trials of 160 epochs, with `--pack 1` and with the default pack. The smaller
one, resnet20 and resnet8 under the same default pack, is run to its verdict in a folder that is deleted. Both are the
product's own commands.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FINALS = ["--finalists", "1", "--replicates", "2", "--max-replicates", "2"]


def optimize(home: str, *flags: str) -> Any:
    """Return the JSON answer of `tasearch optimize`."""
    command = [sys.executable, "-m", "tasearch", "optimize", "--json", "-q", "--home", home, *flags]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dataset", default="cluttered-digits")
    parser.add_argument("--trials", default="24")
    parser.add_argument("--epochs", default="10")
    options = parser.parse_args()
    data = ["--dataset", options.dataset, "--precision", "bfloat16"]
    paper = ["--teacher", "resnet110", "--student", "resnet8", "--trials", "120", "--epochs", "160", *data]
    smaller = ["--teacher", "resnet20", "--student", "resnet8", *data, *FINALS]
    smaller += ["--trials", options.trials, "--epochs", options.epochs]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home:
        for pack in ("1", "auto"):
            forecast = optimize(home, *paper, "--dry-run", "--pack", pack)
            found[f"paper, pack {pack}"] = {
                name: forecast[name] for name in ("search_stages", "search_seconds", "finals_stages", "finals_seconds")
            }
            print(f"paper, pack {pack}: {found[f'paper, pack {pack}']}", file=sys.stderr, flush=True)
        predicted = optimize(home, *smaller, "--dry-run")["seconds"]
        started = time.perf_counter()
        optimize(home, *smaller)
        found["smaller"] = {"predicted_seconds": predicted, "seconds": time.perf_counter() - started}
    print(f"smaller: {found['smaller']}", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
