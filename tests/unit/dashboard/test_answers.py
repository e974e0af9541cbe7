"""The answer with all trials of a study, put together from what optuna-dashboard said before."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from tasearch.dashboard.answers import StudyAnswers
from tasearch.dashboard.guard import Environ, StartResponse
from tasearch.search.browsing import StudyState
from tests.unit.dashboard.asking import ask

STATE = StudyState(name="study", user_attrs={}, system_attrs={}, num_trials=0, unfinished=())


class Stock:
    """Answers as optuna-dashboard does, for one study, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.trials: list[dict[str, Any]] = []
        self.attrs: dict[str, Any] = {}
        self.asked: list[int] = []
        self.now = 100.0
        self.name = "study"
        self.status = "200 OK"
        self.late = 0
        """How many of the newest trials it does not know yet."""
        self.answers = StudyAnswers(self, self.state, clock=lambda: self.now)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(self.status, [("X-From", "stock")])
        if environ["PATH_INFO"] != "/api/studies/1":
            return [b"other"]
        after = int(parse_qs(environ["QUERY_STRING"])["after"][0])
        self.asked.append(after)
        known = self.trials[: len(self.trials) - self.late]
        return [json.dumps({"name": "study", "attrs": self.attrs, "trials": known[after:]}).encode()]

    def state(self, study_id: int) -> StudyState | None:
        if study_id != 1:
            return None
        unfinished = tuple((t["trial_id"], t["state"]) for t in self.trials if t["state"] == "Running")
        return replace(
            STATE,
            name=self.name,
            system_attrs=dict(self.attrs),
            num_trials=len(self.trials),
            unfinished=unfinished,
        )

    def add(self, state: str = "Complete") -> None:
        self.trials.append({"trial_id": 50 + len(self.trials), "state": state})

    def get(self, query: str = "") -> Any:
        return ask(self.answers, "/api/studies/1", query=query).json

    def settle(self) -> None:
        """Let so much time pass that an answer holds."""
        self.now += 60
        self.get()
        self.now += 60


@pytest.fixture
def stock() -> Stock:
    found = Stock()
    for state in ("Complete", "Fail", "Pruned"):
        found.add(state)
    return found


def test_the_answer_is_optuna_dashboards(stock: Stock) -> None:
    assert stock.get() == {"name": "study", "attrs": {}, "trials": stock.trials}


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 100])
def test_a_visitor_gets_the_trials_after_those_he_has(stock: Stock, after: int) -> None:
    stock.add("Running")
    assert stock.get(f"after={after}")["trials"] == stock.trials[after:]


def test_of_an_unchanged_study_nothing_is_asked_again(stock: Stock) -> None:
    stock.get()
    stock.settle()
    stock.asked.clear()
    stock.get()
    stock.get("after=2")
    assert stock.asked == []


def test_trials_that_have_ended_are_asked_for_once(stock: Stock) -> None:
    stock.get()
    stock.add("Running")
    stock.get()
    stock.trials[3]["state"] = "Complete"
    assert stock.get()["trials"][3]["state"] == "Complete"
    stock.add()
    stock.get()
    assert stock.asked == [0, 3, 3, 4]


def test_a_running_trial_is_read_again_and_those_after_it_too(stock: Stock) -> None:
    stock.add("Running")
    stock.add("Complete")
    stock.get()
    stock.now += 3
    assert [trial["state"] for trial in stock.get()["trials"][3:]] == ["Running", "Complete"]
    assert stock.asked == [0, 3]


def test_an_answer_that_may_be_stale_is_asked_again(stock: Stock) -> None:
    """optuna-dashboard keeps trials for ten seconds, so its first answer after a change may lack the change."""
    stock.late = 1
    stock.add()
    assert len(stock.get()["trials"]) == 3
    stock.late = 0
    stock.now += 1
    assert len(stock.get()["trials"]) == 3
    stock.now += 2
    assert len(stock.get()["trials"]) == 4


def test_a_changed_note_of_a_trial_is_read_again(stock: Stock) -> None:
    stock.get()
    stock.attrs["dashboard:51:note_str:0"] = "new"
    stock.trials[1]["note"] = "new"
    assert stock.get()["trials"][1]["note"] == "new"
    assert stock.asked == [0, 1]


def test_a_changed_note_of_the_study_costs_no_trial(stock: Stock) -> None:
    stock.get()
    stock.attrs["dashboard:note_str:0"] = "new"
    assert stock.get()["attrs"] == stock.attrs
    assert stock.asked == [0, 3]


def test_a_note_that_is_gone_is_seen(stock: Stock) -> None:
    stock.attrs["dashboard:52:note_str:0"] = "old"
    stock.get()
    stock.attrs.clear()
    stock.get()
    assert stock.asked == [0, 2]


def test_another_study_under_the_same_number_is_read_from_the_start(stock: Stock) -> None:
    stock.get()
    stock.name = "another"
    stock.trials[0]["state"] = "Fail"
    assert stock.get()["trials"][0]["state"] == "Fail"
    assert stock.asked == [0, 0]


@pytest.mark.parametrize(
    ("path", "method", "query"),
    [
        ("/api/studies/2", "GET", ""),
        ("/api/studies", "GET", ""),
        ("/api/studies/1/note", "PUT", ""),
        ("/api/studies/x", "GET", ""),
    ],
)
def test_everything_else_is_handed_on(stock: Stock, path: str, method: str, query: str) -> None:
    answer = ask(stock.answers, path, method, query=query)
    assert (answer.headers["X-From"], answer.body) == ("stock", b"other")


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=1&after=2"])
def test_a_number_that_is_none_is_optuna_dashboards_to_refuse(stock: Stock, query: str) -> None:
    stock.status = "400 Bad Request"
    handed: list[str] = []

    def inner(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        handed.append(environ["QUERY_STRING"])
        start_response("400 Bad Request", [])
        return [b""]

    assert ask(StudyAnswers(inner, stock.state), "/api/studies/1", query=query).status == 400
    assert handed == [query]


def test_a_failure_is_not_kept(stock: Stock) -> None:
    stock.status = "500 Internal Server Error"
    assert ask(stock.answers, "/api/studies/1", query="after=0").status == 500
    stock.status = "200 OK"
    assert stock.get()["trials"] == stock.trials


@pytest.mark.parametrize("ended", [0, 1, 499, 500, 501, 1000, 1001, 1250])
@pytest.mark.parametrize("running", [0, 2])
def test_the_compressed_answer_is_the_same(ended: int, running: int) -> None:
    stock = Stock()
    for state in ["Complete"] * ended + ["Running"] * running:
        stock.add(state)
    answer = ask(stock.answers, "/api/studies/1", ACCEPT_ENCODING="gzip, deflate, br")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.body) == ask(stock.answers, "/api/studies/1").body
    assert stock.get()["trials"] == stock.trials


def test_the_compressed_answer_follows_changes(stock: Stock) -> None:
    for _ in range(1200):
        stock.add()
    ask(stock.answers, "/api/studies/1", ACCEPT_ENCODING="gzip")
    stock.attrs["dashboard:650:note_str:0"] = "new"
    stock.trials[600]["note"] = "new"
    stock.add()
    answer = ask(stock.answers, "/api/studies/1", ACCEPT_ENCODING="gzip")
    assert json.loads(gzip.decompress(answer.body))["trials"] == stock.trials


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "gzip; q=0.0, br", "xgzip"])
def test_a_visitor_who_takes_no_gzip_gets_none(stock: Stock, accepted: str) -> None:
    assert "Content-Encoding" not in ask(stock.answers, "/api/studies/1", ACCEPT_ENCODING=accepted).headers
