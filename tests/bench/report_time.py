"""How long the report of a study of many trials takes, and how large it is.

    python tests/bench/report_time.py [--json] [--trials 1000]

The study is made as by `many_trials.py`: begun by `tasearch optimize` on the embedded data at scope `stage`, then
filled with made-up trials and stages. Measured: `tasearch report` as a process by the clock and on the CPU, which is
what counts on a busy machine; the same with all formats; and in this process what reading the database and writing the
page take.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasearch.report.page import write_page
from tasearch.report.query import load_view
from tasearch.stores.engine import open_engine
from tests.bench.many_trials import STUDY, ManyTrials


def measure(trials: int, folder: Path) -> dict[str, float]:
    """Make the study and return seconds and bytes."""
    home = folder / "home"
    url = f"sqlite:///{folder / 'studies.db'}"
    study = ManyTrials(url, home, "tpe", trials, 3 * trials)
    engine = open_engine(url)
    study.seconds_to_trial(0, engine)
    study.fill(engine)
    engine.dispose()
    at = ("--home", str(home), "--storage", url, "--out", str(folder / "out"), STUDY)
    html, html_cpu = study.seconds_of("report", *at)
    everything, everything_cpu = study.seconds_of("report", "--format", "html,md,json,csv", *at)
    started = time.perf_counter()
    view = load_view(url, STUDY)
    read = time.perf_counter()
    page = write_page(view, folder / "page")
    return {
        "report_seconds": html,
        "report_cpu_seconds": html_cpu,
        "all_formats_seconds": everything,
        "all_formats_cpu_seconds": everything_cpu,
        "load_view_seconds": read - started,
        "write_page_seconds": time.perf_counter() - read,
        "page_bytes": page.stat().st_size,
        "chains": len(view.ranking),
        "stages": len(view.stages),
    }


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--trials", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = measure(options.trials, Path(temporary))
    if options.json:
        print(json.dumps({"trials": options.trials, **found}, indent=1))
        return
    for name, value in found.items():
        print(f"{name:<26}{value:14,.2f}" if name.endswith("seconds") else f"{name:<26}{value:14,.0f}")


if __name__ == "__main__":
    main()
