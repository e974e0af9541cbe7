"""`tasearch db init`."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run


def tables(database: Path) -> set[str]:
    connection = sqlite3.connect(database)
    try:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    finally:
        connection.close()


def test_init_makes_optunas_tables_and_ours_in_the_home(run: Run, here: Path) -> None:
    answer = run(["db", "init", "--home", "home"])
    assert answer.code == 0, answer.err
    assert {"studies", "trials", "tasearch_studies", "tasearch_stages"} <= tables(here / "home" / "studies.db")


def test_init_says_which_database_is_ready(run: Run, here: Path) -> None:
    answer = run(["db", "init", "--storage", "sqlite:///mine.db", "--json"])
    assert json.loads(answer.out) == {"storage": "sqlite:///mine.db", "ready": True}
    assert [path.name for path in here.iterdir()] == ["mine.db"]


def test_init_again_changes_nothing(run: Run, here: Path) -> None:
    run(["db", "init", "--storage", "sqlite:///mine.db"])
    before = tables(here / "mine.db")
    assert run(["db", "init", "--storage", "sqlite:///mine.db"]).code == 0
    assert tables(here / "mine.db") == before


def test_init_needs_no_torch(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    code = (
        "import sys; from tasearch.cli.main import main;"
        f"assert main(['db', 'init', '-q', '--storage', {url!r}]) == 0; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("command", [["db", "init"], ["optimize", "--teacher", "plain6", "--student", "plain2"]])
def test_a_database_of_another_application_is_refused_and_left_alone(
    refuse: Run, here: Path, command: list[str]
) -> None:
    connection = sqlite3.connect(here / "photos.db")
    connection.execute("CREATE TABLE albums (title TEXT)")
    connection.close()
    answer = refuse([*command, "--storage", "sqlite:///photos.db"])
    assert "photos.db belongs to another application: it has tables albums" in answer.error


def test_an_unknown_subcommand_is_bad_usage(refuse: Run) -> None:
    assert "'start'" in refuse(["db", "start"]).error
