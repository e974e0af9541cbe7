"""Whole studies in this process, on a small real image folder."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from tasearch.cli.main import main
from tests.image_folder import make_image_folder
from tests.integration.guarded_postgres import Guarded, fresh_database, running_guarded

Study = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder of three classes."""
    return make_image_folder(tmp_path_factory.mktemp("images") / "pets")


@pytest.fixture(autouse=True)
def _few_timed_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latencies are measured with as few passes as there may be: hundreds of studies measure them."""
    monkeypatch.setattr("tasearch.training.latency._SECONDS", 0.0)


@pytest.fixture
def arguments(images: Path, tmp_path: Path) -> list[str]:
    """`tasearch optimize` with a budget of seconds, named `pets`, in a home of its own."""
    return small_study(images, tmp_path / "home")


def small_study(images: Path, home: Path) -> list[str]:
    """Return a command line with a budget of seconds, for a study named `pets`."""
    budget = "--epochs 2 --batch-size 16 --threads 1 --trials 3 --finalists 1 --replicates 2 --max-replicates 2"
    budget += " --precision float32"
    where = ["--study-name", "pets", "--dataset", f"folder:{images}", "--home", str(home)]
    return ["optimize", "--teacher", "plain6", "--student", "plain2", *budget.split(), *where, "--json", "-q"]


@dataclass(frozen=True)
class Finished:
    """A study that has its verdict."""

    home: Path
    answer: dict[str, Any]
    """What the command printed."""

    def copy(self, home: Path) -> Finished:
        """Return the same study as if it had been run in another home folder."""
        shutil.copytree(self.home, home)
        with contextlib.closing(sqlite3.connect(home / "studies.db")) as connection, connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                for _, column, kind, *_ in connection.execute(f"PRAGMA table_info({table})").fetchall():
                    if kind.startswith(("TEXT", "VARCHAR", "JSON")):
                        moved = f"UPDATE {table} SET {column} = replace({column}, ?, ?) WHERE instr({column}, ?)"
                        connection.execute(moved, (str(self.home), str(home), str(self.home)))
        answer = json.loads(json.dumps(self.answer).replace(str(self.home), str(home)))
        return Finished(home, answer)


def run_once(arguments: list[str], home: Path) -> Finished:
    """Run a study in a home folder that many tests will copy."""
    logger = logging.getLogger("tasearch")
    level = logger.level
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(arguments) == 0
    # This runs before a test's own fixture looks at the level, which `-q` has raised.
    logger.setLevel(level)
    return Finished(home, json.loads(out.getvalue()))


@pytest.fixture(scope="session")
def finished_once(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A finished study; only to be read."""
    home = tmp_path_factory.mktemp("finished") / "home"
    return run_once(small_study(images, home), home)


@pytest.fixture
def finished(finished_once: Finished, tmp_path: Path) -> dict[str, Any]:
    """Put a finished study where `arguments` would run it, and return its JSON answer."""
    return finished_once.copy(tmp_path / "home").answer


@pytest.fixture(scope="session")
def finished_home(finished_once: Finished) -> Path:
    """The home folder of a finished study; only to be read."""
    return finished_once.home


@pytest.fixture
def optimize(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Study:
    """Run the study with further flags and return its JSON answer."""

    def run(*flags: str, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert main([*arguments, *flags]) == code
        out = capsys.readouterr().out
        answer: dict[str, Any] = json.loads(out) if out else {}
        return answer

    return run


@pytest.fixture(scope="session")
def guarded_server() -> Iterator[URL]:
    """A PostgreSQL of its own that asks for a password."""
    with running_guarded() as admin:
        yield admin


@pytest.fixture
def guarded(guarded_server: URL) -> Iterator[Guarded]:
    """A fresh database in it."""
    with fresh_database(guarded_server, f"db_{secrets.token_hex(6)}") as database:
        yield database
