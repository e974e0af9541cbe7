"""How a call watches its actors, with a stand-in for Ray in which nothing takes time."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tasearch.config.settings import Settings
from tasearch.worker import ray_launcher
from tasearch.worker.ray_launcher import Outcome, _Crew
from tasearch.worker.signals import StopFlag


class RayError(Exception):
    """What Ray raises where an actor is gone."""


@dataclass
class Actor:
    """An actor whose `work` ends with `result`, or once it is asked to stop, or never."""

    result: Outcome | RayError | None
    heeds: bool = True
    signals: list[int | None] = field(default_factory=list)

    @property
    def work(self) -> SimpleNamespace:
        return SimpleNamespace(remote=lambda: ("result", self))

    @property
    def exchange(self) -> SimpleNamespace:
        return SimpleNamespace(remote=self._asked)

    def _asked(self, signum: int | None) -> tuple[str, Actor]:
        self.signals.append(signum)
        if signum is not None and self.heeds:
            self.result = Outcome(exit_code=128 + signum)
        return ("answer", self)


class FakeRay:
    """Hands out prepared actors."""

    exceptions = SimpleNamespace(RayError=RayError)

    def __init__(self, *actors: Actor) -> None:
        self.left = list(actors)
        self.options: dict[str, Any] = {}
        self.killed: list[Actor] = []

    def remote(self, _kind: type) -> SimpleNamespace:
        def with_options(**options: Any) -> SimpleNamespace:
            self.options = options
            return SimpleNamespace(remote=lambda *_arguments: self.left.pop(0))

        return SimpleNamespace(options=with_options)

    def wait(self, references: list[tuple[str, Actor]], timeout: float) -> tuple[list[Any], list[Any]]:
        ready = [found for found in references if found[0] == "answer" or found[1].result is not None]
        return ready, [found for found in references if found not in ready]

    def get(self, reference: tuple[str, Actor]) -> Any:
        kind, actor = reference
        if kind == "answer":
            return ["a line"]
        if isinstance(actor.result, RayError):
            raise actor.result
        return actor.result

    def kill(self, actor: Actor) -> None:
        self.killed.append(actor)


class Heard:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def crew(*actors: Actor, stop: StopFlag | None = None, **asked: Any) -> tuple[FakeRay, Heard, _Crew]:
    ray, display = FakeRay(*actors), Heard()
    settings = Settings(teacher="plain10", student="plain2", launcher="ray", **asked)
    session: Any = SimpleNamespace(display=display, stop=stop or StopFlag(), settings=settings)
    return ray, display, _Crew(ray, session, len(actors))


def test_ray_is_asked_for_what_a_worker_needs_and_to_start_it_again() -> None:
    ray, _, _ = crew(Actor(Outcome()), threads=2, gpus_per_worker=0.125)
    assert (ray.options["num_cpus"], ray.options["num_gpus"]) == (2, 0.125)
    assert ray.options["max_restarts"] > 0
    assert ray.options["max_task_retries"] == -1


def test_all_that_end_are_counted_and_their_last_lines_shown() -> None:
    _, display, watched = crew(Actor(Outcome(trained=2, said=("last words",))), Actor(Outcome(trained=1)))
    assert [outcome.trained for outcome in watched.run()] == [2, 1]
    assert display.lines == ["last words"]


def test_an_actor_without_room_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_launcher, "_PATIENCE_SECONDS", -1.0)
    waiting = Actor(None)
    ray, _, watched = crew(Actor(Outcome(trained=1)), waiting)
    assert [outcome.trained for outcome in watched.run()] == [1]
    assert waiting in ray.killed


def test_a_signal_reaches_every_actor() -> None:
    stop = StopFlag()
    stop.request(signal.SIGTERM)
    first, second = Actor(None), Actor(None)
    _, _, watched = crew(first, second, stop=stop)
    assert [outcome.exit_code for outcome in watched.run()] == [143, 143]
    assert first.signals[0] == second.signals[0] == signal.SIGTERM


def test_an_actor_that_does_not_heed_a_signal_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_launcher, "_PATIENCE_SECONDS", -1.0)
    stop = StopFlag()
    stop.request(signal.SIGTERM)
    deaf = Actor(None, heeds=False)
    ray, _, watched = crew(deaf, stop=stop)
    assert watched.run() == []
    assert ray.killed == [deaf]


def test_an_actor_that_ray_gives_up_is_told_and_the_others_go_on() -> None:
    lost = Actor(RayError("The actor died.\nIts node was lost 100 times."))
    _, display, watched = crew(lost, Actor(Outcome(trained=1)))
    assert [outcome.exit_code for outcome in watched.run()] == [1, 0]
    assert display.lines == ["a worker ended: Ray gave a worker up: Its node was lost 100 times."]


def test_what_all_workers_ended_with_is_said_once() -> None:
    _, display, watched = crew(*(Actor(Outcome(exit_code=2, message="no such folder")) for _ in range(3)))
    watched.run()
    assert display.lines == ["a worker ended: no such folder"]
