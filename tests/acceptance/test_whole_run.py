"""A whole run from one command line, and the same command again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.acceptance.conftest import STUDY, TRIALS, Done, Place

NUMBER = (int, float)
OPTIONAL = (int, float, type(None))
ANSWER: dict[str, Any] = {
    "study_name": str,
    "storage": str,
    "metric": str,
    "trials": {"complete": int, "pruned": int, "failed": int},
    "best": {"chain": str, "temperature": NUMBER, "kd_weight": NUMBER, "val_accuracy": NUMBER},
    "baselines": {
        "nokd": {"val_accuracy": NUMBER, "test_accuracy": NUMBER},
        "blkd": {"val_accuracy": NUMBER, "test_accuracy": NUMBER, "temperature": NUMBER, "kd_weight": NUMBER},
    },
    "given_teacher": (str, type(None)),
    "stages": {"trained": int, "reused": int},
    "ranking": list,
    "verdict": {
        "text": str,
        "winner": (str, type(None)),
        "difference": NUMBER,
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "n": int,
        "separated": bool,
        "leader": str,
        "nokd": {"difference": NUMBER, "ci_low": NUMBER, "ci_high": NUMBER},
        "search_optimism": NUMBER,
        "replicates_to_separate": (int, type(None)),
        "looks": list,
        "looks_taken": list,
        "level": NUMBER,
        "dropped": dict,
        "notes": list,
    },
    "report": str,
}
RANKED = {
    "rank": int,
    "chain": str,
    "temperature": NUMBER,
    "kd_weight": NUMBER,
    "val_accuracy": NUMBER,
    "temperatures": list,
    "kd_weights": list,
    "test_accuracy": OPTIONAL,
    "difference": OPTIONAL,
    "ci_low": OPTIONAL,
    "ci_high": OPTIONAL,
}


def check(value: Any, shape: Any, where: str = "") -> None:
    """Compare keys and types, the whole way down."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), where
        assert set(value) == set(shape), where
        for name, inner in shape.items():
            check(value[name], inner, f"{where}.{name}")
    else:
        assert isinstance(value, shape), where


class TestAnswer:
    def test_stdout_is_one_json_object_of_the_promised_shape(self, finished: Done) -> None:
        check(finished.answer, ANSWER)
        for ranked in finished.answer["ranking"]:
            check(ranked, RANKED)

    def test_all_of_the_budget_is_used(self, finished: Done) -> None:
        assert finished.answer["trials"] == {"complete": TRIALS, "pruned": 0, "failed": 0}
        assert [ranked["rank"] for ranked in finished.answer["ranking"]] == list(range(1, TRIALS + 1))

    def test_direct_distillation_and_none_are_always_among_the_baselines(self, finished: Done) -> None:
        assert "plain6 > plain2" in [ranked["chain"] for ranked in finished.answer["ranking"]]
        assert 0 <= finished.answer["baselines"]["nokd"]["test_accuracy"] <= 1

    def test_the_verdict_is_measured_on_every_replicate(self, finished: Done) -> None:
        verdict = finished.answer["verdict"]
        assert verdict["n"] == 2
        assert verdict["ci_low"] <= verdict["difference"] <= verdict["ci_high"]
        assert verdict["separated"] == (verdict["winner"] is not None)

    def test_progress_is_on_stderr_only(self, finished: Done) -> None:
        assert f"study {STUDY}" in finished.err
        assert finished.answer["stages"]["trained"] == len(finished.trained) == len(set(finished.trained))
        assert "Traceback" not in finished.err
        assert "warning" not in finished.err.lower()

    def test_the_report_is_there(self, finished: Done, finished_place: Place) -> None:
        report = Path(finished.answer["report"])
        assert report.is_relative_to(finished_place.folder / "tasearch-data" / "reports")
        assert finished.answer["verdict"]["text"] in report.read_text().replace("&gt;", ">")

    def test_nothing_is_written_outside_the_home(self, finished: Done, finished_place: Place) -> None:
        assert finished.code == 0
        written = {path.name for path in finished_place.folder.iterdir() if path.suffix not in (".out", ".err")}
        assert written == {"tasearch-data"}

    def test_the_resolved_configuration_is_stored(self, finished: Done, finished_place: Place) -> None:
        assert finished.code == 0
        ((text,),) = finished_place.rows("SELECT config FROM tasearch_studies")
        settings = json.loads(text)["settings"]
        assert (settings["trials"], settings["epochs"], settings["max_tas"]) == (TRIALS, 4, 3)


@dataclass(frozen=True)
class Later:
    """Two further calls after a whole run, each on a copy of its data."""

    again: Done
    """The same command."""
    more: Done
    """Two more trials, after a user of Optuna has enqueued a chain that is known."""
    place: Place
    """Where `more` ran."""


@pytest.fixture(scope="module")
def later(finished: Done, finished_place: Place, tmp_path_factory: pytest.TempPathFactory) -> Later:
    assert finished.code == 0
    first, second = (finished_place.copy(tmp_path_factory.mktemp(name)) for name in ("again", "more"))
    study = optuna.load_study(study_name=STUDY, storage=second.url)
    study.enqueue_trial(study.trials[2].params)
    again, more = first.optimize("--json"), second.optimize("--json", trials=TRIALS + 2)
    return Later(again.finish(), more.finish(), second)


class TestAgain:
    def test_the_same_command_trains_nothing(self, later: Later) -> None:
        assert later.again.code == 0
        assert later.again.answer["stages"]["trained"] == 0
        assert later.again.trained == []

    def test_the_same_command_gives_the_same_answer(self, finished: Done, later: Later) -> None:
        assert later.again.answer["verdict"] == finished.answer["verdict"]
        assert later.again.answer["ranking"] == finished.answer["ranking"]


class TestMoreTrials:
    def test_the_study_goes_on(self, later: Later) -> None:
        assert later.more.code == 0, later.more.err
        assert later.more.answer["trials"]["complete"] == TRIALS + 2

    def test_only_new_stages_are_trained(self, finished: Done, later: Later) -> None:
        assert later.more.trained
        assert not set(later.more.trained) & set(finished.trained)

    def test_an_enqueued_chain_that_is_known_is_answered_off_the_budget(self, later: Later) -> None:
        assert later.more.code == 0
        trials = optuna.load_study(study_name=STUDY, storage=later.place.url).trials
        assert len(trials) == TRIALS + 3
        answered = trials[TRIALS]
        assert answered.user_attrs["duplicate_of"] == 2
        assert (answered.state, answered.value) == (optuna.trial.TrialState.COMPLETE, trials[2].value)
        assert answered.params == trials[2].params


class TestStatus:
    def test_after_the_end(self, finished: Done, finished_place: Place) -> None:
        status = finished_place.tasearch("status").finish()
        assert status.code == 0
        assert f"{TRIALS} complete" in status.out
        assert " ".join(finished.answer["verdict"]["text"].split()) in " ".join(status.out.split())

    def test_json_after_the_end(self, finished: Done, finished_place: Place) -> None:
        answer = finished_place.tasearch("status", "--json").finish().answer
        assert answer["workers"] == []
        assert answer["verdict"] == finished.answer["verdict"]

    def test_studies_lists_it(self, finished: Done, finished_place: Place) -> None:
        listed = finished_place.tasearch("studies", "--json").finish().answer["studies"]
        assert [study["study_name"] for study in listed] == [STUDY]
        assert listed[0]["verdict"] == finished.answer["verdict"]["text"]

    def test_report_writes_the_page_again(self, finished: Done, finished_place: Place, tmp_path: Path) -> None:
        twin = finished_place.copy(tmp_path / "twin")
        page = twin.folder / Path(finished.answer["report"]).relative_to(finished_place.folder)
        page.unlink()
        assert twin.tasearch("report", STUDY).finish().code == 0
        assert page.is_file()
