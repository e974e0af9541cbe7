"""Workers as actors on a running Ray cluster: `tasearch optimize --launcher ray`.

Ray only places processes and starts them again elsewhere when a node dies; what they do, and that nothing is lost
meanwhile, is theirs: each is a worker like any other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import unquote, urlsplit

from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError, NoCompletedTrialError, StorageError, TasearchError
from tasearch.stores.records import has_records, open_records
from tasearch.stores.stage_outcomes import stage_outcomes
from tasearch.stores.stages import StageState
from tasearch.training.loop import InterruptedStage
from tasearch.worker.ray_settings import settings_of_actor, threads_of_actor
from tasearch.worker.session import Session, StageCounts
from tasearch.worker.signals import StopFlag
from tasearch.worker.snapshot import Snapshot

_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 30.0
"""How long an actor may be silent after the study's end, or run on after it was asked to end."""
_MOST_RESTARTS = 100
"""Of one actor: nodes come and go for days, but a worker that always crashes must not do so for ever."""

_SIGNAL = 128
"""Exit codes above it are those of a signal."""
_CONNECT_SECONDS = 10.0
_HOW_TO_START = "start one (`ray start --head`, further nodes with `ray start --address HOST:PORT`), or set RAY_ADDRESS"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a worker ended; plain values, because exceptions with arguments of their own do not survive the journey."""

    trained: int = 0
    reused: int = 0
    exit_code: int = 0
    message: str = ""
    hint: str = ""
    said: tuple[str, ...] = ()
    """Lines that nobody had asked for by then."""


class RayWorker:
    """One actor: works in one thread, and in another says how far it is and hears whether it shall stop."""

    def __init__(self, settings: Settings, said: Settings, log_level: int) -> None:
        """`said`: the settings of the call, by which the study is recorded."""
        logging.getLogger("tasearch").setLevel(log_level)
        self._settings, self._said_settings, self._stop = settings, said, StopFlag()
        self._said: SimpleQueue[str] = SimpleQueue()

    def work(self) -> Outcome:
        """Take part in the study until it is finished. Ray calls this again in a new process if this one dies."""
        outcome = self._work()
        return dataclasses.replace(outcome, said=tuple(self._unheard()))

    def exchange(self, signum: int | None) -> list[str]:
        """Return what was said since the last call; a signal's number asks for a clean end."""
        if signum is not None:
            self._stop.request(signum)
        return list(self._unheard())

    def refresh(self, snapshot: Snapshot) -> None:
        """Nothing: every worker publishes its state in the database."""

    def line(self, text: str) -> None:
        """Keep the line for whoever asks next."""
        self._said.put(text)

    def _work(self) -> Outcome:
        try:
            counts = Session(self._settings, self, self._stop, said=self._said_settings).run(announce=False)
        except InterruptedStage:
            return Outcome(exit_code=self._stop.exit_code)
        except TasearchError as error:
            return Outcome(exit_code=error.exit_code, message=error.message, hint=error.hint)
        except Exception as error:
            logging.getLogger(__name__).exception("unexpected")
            return Outcome(exit_code=1, message="".join(traceback.format_exception_only(error)).strip())
        return Outcome(trained=counts.trained, reused=counts.reused)

    def _unheard(self) -> Iterator[str]:
        with contextlib.suppress(Empty):
            while True:
                yield self._said.get_nowait()


def import_ray() -> Any:
    """Return the module `ray`. Raises ConfigError where it is not installed."""
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "--launcher ray: the package `ray` is not installed here", hint="pip install 'tasearch[ray]', on every node"
        ) from None
    return ray


def run_on_ray(session: Session) -> StageCounts:
    """Run the study of a session with workers on a running Ray cluster, and return what they did.

    `session` has the settings of `settings_of_driver`; this process starts and watches, it trains nothing. What was
    trained is counted in the database, so stages of an actor that died are in it; those that it reused are not.

    Raises ConfigError where there is no cluster or none that can hold a worker, InterruptedStage where a signal asked
    for an end, and what the workers ended with where none of them saw the study's end.
    """
    ray = import_ray()
    settings, display = session.settings, session.display
    _refuse_recorded_password(session.url)
    with _connected(ray):
        nodes = [node for node in ray.nodes() if node["Alive"]]
        _check_cluster(settings, session.url, nodes)
        session.stop.is_watched = True
        workers = settings.workers
        assert workers != "auto"
        display.line(
            f"study {session.plan.study_name}: {workers} workers as Ray actors, nodes in the cluster: {len(nodes)}, "
            f"of each worker: GPUs {settings.gpus_per_worker or 0:g}, CPU threads {threads_of_actor(settings)}"
        )
        before = _complete_stages(session)
        outcomes = _Crew(ray, session, workers).run()
    counts = _sum(outcomes, session.stop)
    return dataclasses.replace(counts, trained=len(_complete_stages(session) - before))


def _complete_stages(session: Session) -> set[str]:
    """Return the fingerprints of the study's complete stages; none where its database is not there yet."""
    try:
        if not has_records(session.url):
            return set()
        records = open_records(session.url)
    except StorageError:
        # Whoever must write to it says what is wrong.
        return set()
    try:
        stages = stage_outcomes(records.engine, session.plan.study_name)
        return {stage.fingerprint for stage in stages if stage.state is StageState.COMPLETE}
    finally:
        records.close()


class _Crew:
    """The actors of a call."""

    def __init__(self, ray: Any, session: Session, count: int) -> None:
        self._ray, self._display, self._stop = ray, session.display, session.stop
        settings = session.settings
        actor = ray.remote(RayWorker).options(
            num_cpus=threads_of_actor(settings),
            num_gpus=settings.gpus_per_worker or 0,
            max_restarts=_MOST_RESTARTS,
            max_task_retries=-1,
            # One thread works, one answers `exchange`.
            max_concurrency=2,
            scheduling_strategy="SPREAD",
        )
        level = logging.getLogger("tasearch").level
        # As arguments: they are in the memory of Ray's processes, in no process list and no log.
        actors = [actor.remote(settings_of_actor(settings), settings, level) for _ in range(count)]
        self._members = [_Member(actor, actor.work.remote(), time.monotonic()) for actor in actors]
        self._told: set[str] = set()

    def run(self) -> list[Outcome]:
        """Watch until every actor has ended, or is given up after the study's end or a signal."""
        outcomes: list[Outcome] = []
        asked_at = None
        while self._members:
            self._ray.wait([member.result for member in self._members], timeout=_POLL_SECONDS)
            now = time.monotonic()
            if self._stop.is_set and asked_at is None:
                asked_at = now
            for member in list(self._members):
                outcome = self._outcome_of(member, now)
                late = asked_at is not None and now - asked_at > _PATIENCE_SECONDS
                # The study may be finished before the cluster had room for every actor.
                silent = any(not found.exit_code for found in outcomes) and now - member.heard_at > _PATIENCE_SECONDS
                if outcome is not None:
                    outcomes.append(outcome)
                if outcome is not None or late or silent:
                    self._members.remove(member)
                    self._ray.kill(member.actor)
        return outcomes

    def _outcome_of(self, member: _Member, now: float) -> Outcome | None:
        """Show what an actor says; return how it ended, None while it works."""
        ended, _ = self._ray.wait([member.result], timeout=0)
        if ended and member.answer is not None:
            self._ray.wait([member.answer], timeout=_POLL_SECONDS)
        self._hear(member, now)
        if not ended:
            member.ask(self._stop.signum)
            return None
        try:
            outcome: Outcome = self._ray.get(member.result)
        except self._ray.exceptions.RayError as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
            outcome = Outcome(exit_code=1, message=f"Ray gave a worker up: {reason}")
        for text in outcome.said:
            self._display.line(text)
        if outcome.message and outcome.message not in self._told:
            self._told.add(outcome.message)
            self._display.line(f"a worker ended: {outcome.message}")
        return outcome

    def _hear(self, member: _Member, now: float) -> None:
        if member.answer is None or not self._ray.wait([member.answer], timeout=0)[0]:
            return
        # An actor that died has nothing to say; whether it comes back is told by its result.
        with contextlib.suppress(self._ray.exceptions.RayError):
            for text in self._ray.get(member.answer):
                self._display.line(text)
            member.heard_at = now
        member.answer = None


@dataclass(slots=True)
class _Member:
    """One actor, as this process sees it."""

    actor: Any
    result: Any
    heard_at: float
    answer: Any = None
    """Of the question under way."""

    def ask(self, signum: int | None) -> None:
        """Ask what there is to say, unless a question is under way."""
        if self.answer is None:
            self.answer = self.actor.exchange.remote(signum)


@contextlib.contextmanager
def _connected(ray: Any) -> Iterator[None]:
    """Connect to the cluster that RAY_ADDRESS names, or else the one that this machine is part of."""
    _check_reachable(os.environ.get("RAY_ADDRESS") or _address_left_by_ray())
    try:
        # Output of the actors' processes stays in Ray's logs; what they do is shown by their lines.
        ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise ConfigError(
            f"--launcher ray: no running Ray cluster was found ({str(error).splitlines()[0]})", hint=_HOW_TO_START
        ) from None
    # Ray prints that a node died on stdout, which is the answer's alone.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            ray.shutdown()


def _address_left_by_ray() -> str:
    """Return where `ray start` on this machine said that its cluster is."""
    left = Path(tempfile.gettempdir(), "ray", "ray_current_cluster")
    return left.read_text(encoding="utf-8").strip() if left.is_file() else ""


def _check_reachable(address: str) -> None:
    """Raise ConfigError where nothing listens at `host:port`; Ray itself would try for many minutes."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise ConfigError(
            f"--launcher ray: no Ray cluster answers at {address}: {error.strerror or error}", hint=_HOW_TO_START
        ) from None


def _refuse_recorded_password(url: str) -> None:
    """Raise ConfigError where the database's password is in this command line, which Ray would record and show."""
    password = urlsplit(url).password
    if password and any(password in word or unquote(password) in word for word in sys.argv):
        raise ConfigError(
            "--launcher ray: Ray records the command line, and the password of --storage is in it",
            hint="keep the password in ~/.pgpass or PGPASSWORD of every node, or the URL in TASEARCH_STORAGE",
        )


def _check_cluster(settings: Settings, url: str, nodes: list[dict[str, Any]]) -> None:
    """Raise ConfigError where no node could hold a worker, or the nodes could not share the database."""
    gpus, threads = settings.gpus_per_worker, threads_of_actor(settings)
    resources = [node["Resources"] for node in nodes]
    most_gpus = max(node.get("GPU", 0.0) for node in resources)
    if gpus is None and most_gpus and settings.device != "cpu":
        raise ConfigError(
            "--launcher ray: the cluster has GPUs, and this call asks for none",
            hint="say --gpus-per-worker X, or --device cpu",
        )
    if not any(node.get("GPU", 0.0) >= (gpus or 0) and node.get("CPU", 0.0) >= threads for node in resources):
        most_cpus = max(node.get("CPU", 0.0) for node in resources)
        raise ConfigError(
            f"--launcher ray: no node has {threads} CPUs (--threads) and {gpus or 0:g} GPUs (--gpus-per-worker); "
            f"the most are {most_cpus:g} CPUs and {most_gpus:g} GPUs",
            hint="ask for less, or start nodes that have as much",
        )
    machines = {node["NodeManagerAddress"] for node in nodes}
    if len(machines) > 1 and url.startswith("sqlite"):
        raise ConfigError(
            f"--launcher ray: {len(machines)} machines cannot share a SQLite file",
            hint="use PostgreSQL: --storage postgresql+psycopg://user@host/db",
        )


def _sum(outcomes: list[Outcome], stop: StopFlag) -> StageCounts:
    """Return what the workers did; raises what they ended with where none saw the study's end."""
    done = [outcome for outcome in outcomes if not outcome.exit_code]
    signals = [outcome.exit_code - _SIGNAL for outcome in outcomes if outcome.exit_code > _SIGNAL]
    if not done and signals and not stop.is_set:
        # The study was stopped: the actors saw that, this process only hears of it.
        stop.request(signals[0])
    if not done and stop.is_set:
        raise InterruptedStage
    if not done:
        # The most telling one: a study without a completed trial before a wrong setting before a failure.
        worst = max(outcomes, key=lambda outcome: outcome.exit_code)
        kinds: dict[int, type[TasearchError]] = {2: ConfigError, 3: NoCompletedTrialError}
        raise kinds.get(worst.exit_code, TasearchError)(worst.message, hint=worst.hint)
    return StageCounts(trained=sum(found.trained for found in done), reused=sum(found.reused for found in done))
