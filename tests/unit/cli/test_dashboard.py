"""`tasearch dashboard`: what is refused before anything is served."""

from __future__ import annotations

import io
import socket
import sqlite3
from pathlib import Path

import pytest

from tasearch.config.resolve import DASHBOARD_PASSWORD, resolve
from tasearch.dashboard.app import open_dashboard
from tasearch.stores.records import open_records
from tests.unit.cli.conftest import Run
from tests.unit.cli.test_main import python


@pytest.fixture
def database(here: Path) -> str:
    """A database with tasearch's tables, in the home folder."""
    (here / "tasearch-data").mkdir()
    url = f"sqlite:///{here / 'tasearch-data' / 'studies.db'}"
    open_records(url).close()
    return url


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_machines_are_answered_only_with_a_password(refuse: Run, database: str, host: str) -> None:
    answer = refuse(["dashboard", "--host", host, "--port", "0"])
    assert f"--host {host} can be reached from other machines" in answer.error
    assert "--auth USER" in answer.hint


@pytest.mark.parametrize("value", [None, ""])
def test_a_user_without_a_password_is_refused(
    refuse: Run, database: str, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    if value is not None:
        monkeypatch.setenv(DASHBOARD_PASSWORD, value)
    answer = refuse(["dashboard", "--auth", "ada", "--port", "0"])
    assert "takes a password" in answer.error
    assert DASHBOARD_PASSWORD in answer.hint


@pytest.mark.parametrize("user", ["", "a:b"])
def test_a_name_that_is_none_is_refused(refuse: Run, database: str, monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    monkeypatch.setenv(DASHBOARD_PASSWORD, "sesame")
    assert "no user name" in refuse(["dashboard", "--auth", user, "--port", "0"]).error


def test_no_flag_takes_a_password(refuse: Run, database: str) -> None:
    assert "no option '--password'" in refuse(["dashboard", "--password", "sesame"]).error


def test_a_port_in_use_is_refused(refuse: Run, database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"--port {port} is in use" in refuse(["dashboard", "--port", str(port)]).error


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_a_port_that_is_none_is_refused(refuse: Run, database: str, port: str) -> None:
    assert "'--port'" in refuse(["dashboard", "--port", port]).error


def test_an_absent_database_is_refused_and_not_made(refuse: Run) -> None:
    assert "there is no database" in refuse(["dashboard", "--port", "0"]).error


def test_a_database_of_something_else_is_refused_and_left_as_it_is(refuse: Run, here: Path) -> None:
    with sqlite3.connect(here / "other.db") as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    answer = refuse(["dashboard", "--storage", f"sqlite:///{here / 'other.db'}", "--port", "0"])
    assert "no studies of tasearch" in answer.error


def test_the_password_is_no_setting_and_disturbs_no_other_command() -> None:
    environment = {DASHBOARD_PASSWORD: "sesame"}
    settings = resolve({"teacher": "plain6", "student": "plain2"}, environment, None)
    assert "sesame" not in repr(settings)


def test_help_needs_no_optuna() -> None:
    heavy = ["torch", "optuna", "optuna_dashboard", "sqlalchemy", "plotly", "waitress"]
    code = (
        "import sys; from tasearch.cli.main import main; main(['dashboard', '--help']);"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert python(code).splitlines()[-1] == "[]"


def test_the_prompt_is_asked_on_a_terminal(run: Run, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []
    logins: list[bool] = []

    def prompt(text: str, *, hide_input: bool, err: bool) -> str:
        asked.append((text, hide_input and err))
        return "sesame"

    def serve(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def watched(*args: object, **kwargs: object) -> object:
        logins.append(kwargs["login"].accepts("Basic YWRhOnNlc2FtZQ=="))  # type: ignore[attr-defined]
        return open_dashboard(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("click.prompt", prompt)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("tasearch.dashboard.server.serve", serve)
    monkeypatch.setattr("tasearch.dashboard.app.open_dashboard", watched)
    assert run(["dashboard", "--auth", "ada", "--port", "0"]).code == 130
    assert (asked, logins) == ([("password for ada", True)], [True])
