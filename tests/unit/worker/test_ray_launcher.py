"""What is decided around Ray; Ray itself is met in `tests/acceptance/test_ray.py`."""

from __future__ import annotations

import signal
import sys
from typing import Any

import pytest

from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError, NoCompletedTrialError, StorageError, TasearchError
from tasearch.training.loop import InterruptedStage
from tasearch.worker import ray_launcher
from tasearch.worker.ray_launcher import Outcome, RayWorker, _check_cluster, _refuse_recorded_password, _sum
from tasearch.worker.session import StageCounts
from tasearch.worker.signals import StopFlag

SQLITE, POSTGRES = "sqlite:////srv/studies.db", "postgresql+psycopg://user@host/db"


def settings(**changes: object) -> Settings:
    return Settings(teacher="plain10", student="plain2", launcher="ray", **changes)  # type: ignore[arg-type]


def node(cpus: float = 4, gpus: float = 0, address: str = "10.0.0.1") -> dict[str, Any]:
    return {"Resources": {"CPU": cpus, **({"GPU": gpus} if gpus else {})}, "NodeManagerAddress": address}


@pytest.mark.parametrize(
    ("asked", "url", "nodes"),
    [
        ({}, SQLITE, [node(), node()]),
        ({"gpus_per_worker": 0.125}, POSTGRES, [node(), node(gpus=1, address="10.0.0.2")]),
        ({"device": "cpu"}, POSTGRES, [node(gpus=1)]),
        ({"threads": 4}, SQLITE, [node()]),
    ],
)
def test_a_cluster_that_can_hold_the_workers(asked: dict[str, object], url: str, nodes: list[dict[str, Any]]) -> None:
    _check_cluster(settings(**asked), url, nodes)


@pytest.mark.parametrize(
    ("asked", "nodes", "said"),
    [
        ({"threads": 5}, [node(), node()], r"no node has 5 CPUs \(--threads\) and 0 GPUs .* most are 4 CPUs"),
        ({"gpus_per_worker": 0.5}, [node()], r"no node has 1 CPUs .* and 0.5 GPUs"),
        # Neither node has both.
        ({"gpus_per_worker": 1, "threads": 4}, [node(), node(cpus=2, gpus=1)], "no node has 4 CPUs"),
        ({}, [node(gpus=1)], "the cluster has GPUs, and this call asks for none"),
        ({}, [node(), node(address="10.0.0.2")], "2 machines cannot share a SQLite file"),
    ],
)
def test_a_cluster_that_cannot_is_refused(asked: dict[str, object], nodes: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _check_cluster(settings(**asked), SQLITE, nodes)


@pytest.mark.parametrize("typed", ["p%40ss", "p@ss"])
def test_a_password_that_ray_would_record_is_refused(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    monkeypatch.setattr(sys, "argv", ["tasearch", "--storage", f"postgresql://user:{typed}@host/db"])
    with pytest.raises(ConfigError, match="Ray records the command line") as caught:
        _refuse_recorded_password("postgresql+psycopg://user:p%40ss@host/db")
    assert typed not in caught.value.message + caught.value.hint


def test_a_password_from_the_environment_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tasearch", "optimize"])
    _refuse_recorded_password("postgresql+psycopg://user:secret@host/db")


def test_counts_of_all_who_saw_the_end_are_added_up() -> None:
    ended = [Outcome(trained=3, reused=1), Outcome(exit_code=1, message="out of memory"), Outcome(trained=2)]
    assert _sum(ended, StopFlag()) == StageCounts(trained=5, reused=1)


@pytest.mark.parametrize(
    ("codes", "kind"), [((1, 3), NoCompletedTrialError), ((2, 1), ConfigError), ((1, 1), TasearchError)]
)
def test_where_nobody_saw_the_end_the_most_telling_error_is_raised(
    codes: tuple[int, int], kind: type[TasearchError]
) -> None:
    with pytest.raises(kind, match=f"code {max(codes)}") as caught:
        _sum([Outcome(exit_code=code, message=f"code {code}", hint="mend it") for code in codes], StopFlag())
    assert (caught.type, caught.value.hint) == (kind, "mend it")


def test_a_signal_ends_the_call_as_it_ends_any() -> None:
    stop = StopFlag()
    stop.request(signal.SIGTERM)
    with pytest.raises(InterruptedStage):
        _sum([Outcome(exit_code=143)], stop)


def test_actors_that_a_stopped_study_ended_end_the_call_as_a_signal_does() -> None:
    stop = StopFlag()
    with pytest.raises(InterruptedStage):
        _sum([Outcome(exit_code=143)], stop)
    assert stop.exit_code == 143


class Ends:
    """A session that says something and ends as it is told."""

    end: BaseException | None = None

    def __init__(self, _settings: Settings, display: Any, stop: StopFlag, *, said: Settings) -> None:
        self.display, self.stop = display, stop

    def run(self, *, announce: bool) -> StageCounts:
        self.display.line("trained one")
        if self.stop.is_set:
            raise InterruptedStage
        if self.end is not None:
            raise self.end
        return StageCounts(trained=1, reused=0)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> RayWorker:
    monkeypatch.setattr(ray_launcher, "Session", Ends)
    return RayWorker(settings(), settings(), 0)


def test_a_worker_tells_what_it_did_and_said(worker: RayWorker) -> None:
    assert worker.work() == Outcome(trained=1, said=("trained one",))
    assert worker.exchange(None) == []


def test_lines_are_told_once(worker: RayWorker) -> None:
    worker.line("one")
    worker.line("two")
    assert (worker.exchange(None), worker.exchange(None)) == (["one", "two"], [])


def test_a_worker_hears_a_signal(worker: RayWorker) -> None:
    worker.exchange(signal.SIGTERM)
    assert worker.work().exit_code == 143


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [(StorageError("gone", hint="look"), 2, "gone"), (ValueError("odd"), 1, "ValueError: odd")],
    ids=str,
)
def test_a_worker_tells_its_error_in_plain_words(
    worker: RayWorker, monkeypatch: pytest.MonkeyPatch, end: Exception, code: int, message: str
) -> None:
    monkeypatch.setattr(Ends, "end", end)
    outcome = worker.work()
    assert (outcome.exit_code, outcome.message) == (code, message)
