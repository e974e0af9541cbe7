"""How long the pages of `tasearch dashboard` take for a study of many trials.

    python tests/bench/dashboard_pages.py [--json] [--trials 10000] [--rounds 5] [--stock] [--no-browser]

The study is made as in `many_trials.py`, in SQLite. Measured, by the clock: writing its notes and figures, and writing
them again; then, in a dashboard of its own, `first`: the whole study for the first visitor; and the slowest of some
rounds of each page's questions after that (`reload`: the whole study again; `poll`: what an open page asks all the
time; `changed`: the whole study after one more trial has ended). `browser`: from opening the study's page to its first
plot, with the time that Chromium takes to read and draw. `--stock`: the same of optuna-dashboard's own command.
Beside the clock stands what the server worked for, which other programs on the machine disturb less.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import optuna

from tasearch.api.browsing import note_study
from tasearch.search.storage import close_storage, open_storage
from tasearch.stores.engine import engine_kwargs, open_engine, tune, url_text
from tests.bench.many_trials import STUDY, ManyTrials, Spent
from tests.integration.dashboards import Served, serving, serving_stock
from tests.suite.browser import ARGUMENTS, CHROMIUM


def fetch(address: str) -> int:
    """Read an answer to its end, compressed where the server does that for browsers; return its bytes."""
    asked = urllib.request.Request(address, headers={"Accept-Encoding": "gzip, deflate"})
    with urllib.request.urlopen(asked, timeout=600) as answer:
        return len(answer.read())


class Pages:
    """The dashboard of one database."""

    def __init__(self, url: str, served: Served, spent: Spent) -> None:
        self.url, self.served, self.spent = url, served, spent
        self.bytes = 0

    @contextmanager
    def _on(self, name: str) -> Iterator[None]:
        """Note what the block takes, and what the server works meanwhile."""
        started, worked = time.perf_counter(), self._cpu_seconds()
        yield
        self.spent.note(name, time.perf_counter() - started, self._cpu_seconds() - worked)

    def _cpu_seconds(self) -> float:
        fields = (Path("/proc") / str(self.served.process.pid) / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def measure(self, rounds: int, *, with_browser: bool) -> None:
        """Ask for everything, first and then `rounds` times."""
        address = self.served.url
        with self._on("first"):
            self.bytes = fetch(f"{address}api/studies/1?after=0")
        number = self._num_trials()
        questions = {
            "page": "dashboard/studies/1",
            "script": "static/bundle.js",
            "studies": "api/studies",
            "reload": "api/studies/1?after=0",
            "poll": f"api/studies/1?after={number}",
            "importances": "api/studies/1/param_importances",
        }
        fetch(address + questions["importances"])
        for _ in range(rounds):
            # As far apart as polls are: whatever is kept for some seconds only does not count.
            time.sleep(11)
            for name, path in questions.items():
                with self._on(name):
                    fetch(address + path)
        for _ in range(rounds):
            self._end_a_trial()
            with self._on("changed"):
                fetch(address + questions["reload"])
        if with_browser:
            self._browse(f"{address}dashboard/studies/1", rounds)

    def _num_trials(self) -> int:
        return self._on_study(lambda study: len(study.get_trials(deepcopy=False)))

    def _end_a_trial(self) -> None:
        self._on_study(lambda study: study.tell(study.ask(), state=optuna.trial.TrialState.FAIL).number)

    def _on_study(self, work: Callable[[optuna.Study], int]) -> int:
        storage = open_storage(url_text(self.url), engine_kwargs(self.url), tune)
        try:
            return work(optuna.load_study(study_name=STUDY, storage=storage))
        finally:
            close_storage(storage)

    def _browse(self, address: str, rounds: int) -> None:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            for _ in range(rounds):
                with self._on("browser"):
                    page.goto(address)
                    page.locator(".js-plotly-plot .points path, .js-plotly-plot canvas").first.wait_for(
                        state="attached", timeout=600_000
                    )
            browser.close()


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stock", action="store_true", help="optuna-dashboard's own command")
    parser.add_argument("--no-browser", action="store_true")
    options = parser.parse_args()
    spent = Spent()
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary) / "home"
        home.mkdir()
        url = f"sqlite:///{home / 'studies.db'}"
        study = ManyTrials(url, home, "staged", options.trials, 3 * options.trials)
        engine = open_engine(url)
        study.seconds_to_trial(0, engine)
        study.fill(engine)
        engine.dispose()
        for name in ("write_notes", "write_again"):
            with spent.on(name):
                note_study(url, STUDY, lambda text: print(text, file=sys.stderr))
        with serving_stock(url) if options.stock else serving(home) as served:
            pages = Pages(url, served, spent)
            pages.measure(options.rounds, with_browser=not options.no_browser and CHROMIUM.exists())
    if options.json:
        times = {name: {"seconds": seconds, "cpu_seconds": cpu} for name, (seconds, cpu) in spent.slowest.items()}
        print(json.dumps({**vars(options), "bytes": pages.bytes, "slowest": times}, indent=1))
        return
    print(f"{options.trials:,} trials, {pages.bytes / 1e6:.1f} MB in the answer with all of them")
    print(f"{'the slowest':<20}{'s':>8}{'CPU s':>8}")
    for name, (seconds, cpu) in spent.slowest.items():
        print(f"{name:<20}{seconds:8.2f}" + ("" if cpu is None else f"{cpu:8.2f}"))


if __name__ == "__main__":
    main()
