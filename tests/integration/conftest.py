"""Whole studies in this process, on a small real image folder."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Iterator
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


@pytest.fixture
def arguments(images: Path, tmp_path: Path) -> list[str]:
    """`tasearch optimize` with a budget of seconds, named `pets`, in a home of its own."""
    return small_study(images, tmp_path / "home")


def small_study(images: Path, home: Path) -> list[str]:
    """Return a command line with a budget of seconds, for a study named `pets`."""
    budget = "--epochs 2 --batch-size 16 --threads 1 --trials 3 --finalists 1 --replicates 2 --max-replicates 2"
    where = ["--study-name", "pets", "--dataset", f"folder:{images}", "--home", str(home)]
    return ["optimize", "--teacher", "plain6", "--student", "plain2", *budget.split(), *where, "--json", "-q"]


@pytest.fixture(scope="session")
def finished_home(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home folder of a finished study; only to be read."""
    home = tmp_path_factory.mktemp("finished") / "home"
    logger = logging.getLogger("tasearch")
    level = logger.level
    assert main(small_study(images, home)) == 0
    # This runs before a test's own fixture looks at the level, which `-q` has raised.
    logger.setLevel(level)
    return home


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
