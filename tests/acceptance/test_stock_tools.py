"""What Optuna's own tools make of a study."""

from __future__ import annotations

import json
import socket
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.acceptance.conftest import STUDY, TRIALS, Done, Place

pytestmark = pytest.mark.slow

TOOLS = Path(sys.executable).parent


@pytest.fixture
def url(finished: Done, finished_place: Place) -> str:
    """The database of a finished study."""
    assert finished.code == 0
    return finished_place.url


def optuna_cli(place: Place, command: str, *arguments: str) -> Any:
    """Return the JSON answer of the `optuna` command line."""
    done = place.start(str(TOOLS / "optuna"), command, *arguments, "-f", "json").finish()
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_optuna_studies_lists_the_study(place: Place, url: str) -> None:
    (study,) = optuna_cli(place, "studies", "--storage", url)
    assert (study["name"], study["n_trials"]) == (STUDY, TRIALS)


def test_optuna_trials_shows_chain_pair_and_value(place: Place, url: str) -> None:
    trials = optuna_cli(place, "trials", "--storage", url, "--study-name", STUDY)
    assert [trial["number"] for trial in trials] == list(range(TRIALS))
    for trial in trials:
        assert trial["user_attrs"]["chain"] in ("plain6 > plain2", "plain6 > plain4 > plain2")
        assert trial["params"]["temperature"] in (4, 8)
        assert trial["params"]["kd_weight"] in (0.5, 0.9)
        assert 0 <= trial["value"]["val_accuracy"] <= 1


def test_optuna_best_trial_is_ours(place: Place, url: str, finished: Done) -> None:
    best = optuna_cli(place, "best-trial", "--storage", url, "--study-name", STUDY)
    assert best["value"]["val_accuracy"] == finished.answer["best"]["val_accuracy"]


def test_every_epoch_is_an_intermediate_value(url: str) -> None:
    for trial in optuna.load_study(study_name=STUDY, storage=url).trials:
        assert sorted(trial.intermediate_values) == [1, 2, 3, 4]
        assert trial.intermediate_values[4] == trial.value


def test_optuna_dashboard_serves_the_study_with_its_chains(place: Place, url: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    dashboard = place.start(str(TOOLS / "optuna-dashboard"), url, "--host", "127.0.0.1", "--port", str(port))
    studies = fetch(f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
    assert [study["study_name"] for study in studies] == [STUDY]
    study = fetch(f"http://127.0.0.1:{port}/api/studies/{studies[0]['study_id']}")
    dashboard.kill()
    chains = [attr["value"] for trial in study["trials"] for attr in trial["user_attrs"] if attr["key"] == "chain"]
    assert len(chains) == TRIALS
    assert set(chains) == {"plain6 > plain2", "plain6 > plain4 > plain2"}


def fetch(address: str) -> Any:
    """Return a JSON answer, from a server that may still be starting."""
    while True:
        try:
            with urllib.request.urlopen(address) as answer:
                return json.load(answer)
        except OSError:
            time.sleep(0.1)
