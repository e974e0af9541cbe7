"""Databases that refuse: a wrong password, an unknown host, one that may only be read, one of a newer tasearch.

A real PostgreSQL that asks for a password. One error, one hint, nothing half-written, and no password anywhere.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import URL, create_engine, inspect, text

from tasearch.cli.main import main
from tasearch.stores.schema import VERSION_TABLE
from tests.integration.guarded_postgres import Guarded

Refusal = Callable[[list[str]], tuple[str, str]]
OPTIMIZE = ["optimize", "--teacher", "plain6", "--student", "plain2", "--limit-train", "200", "--epochs", "1"]
COMMANDS = pytest.mark.parametrize("command", [["db", "init"], OPTIMIZE], ids=["db init", "optimize"])


@pytest.fixture
def refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Refusal:
    """Run a command that must be refused as bad usage, and return its error and hint."""
    folder = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(folder)

    def run(arguments: list[str]) -> tuple[str, str]:
        capsys.readouterr()
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        error, hint = err.splitlines()
        assert list(folder.iterdir()) == []
        return error, hint

    return run


def tables(url: URL) -> set[str]:
    engine = create_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


@COMMANDS
def test_wrong_password(refused: Refusal, guarded: Guarded, command: list[str]) -> None:
    url = guarded.url.set(password="wrong-word").render_as_string(hide_password=False)
    error, hint = refused([*command, "--storage", url])
    assert 'password authentication failed for user "ada"' in error
    assert ".pgpass" in hint
    assert "wrong-word" not in error + hint


def test_no_password(refused: Refusal, guarded: Guarded) -> None:
    url = URL.create("postgresql", username="ada", database=guarded.url.database, query=guarded.url.query)
    error, hint = refused(["db", "init", "--storage", url.render_as_string()])
    assert "no password supplied" in error
    assert "PGPASSWORD" in hint


@COMMANDS
def test_unknown_host(refused: Refusal, command: list[str]) -> None:
    error, hint = refused([*command, "--storage", "postgresql://ada:secret-word@no-such-host.invalid/db"])
    assert "ada:***@no-such-host.invalid" in error
    assert "check the spelling of the host" in hint
    assert "secret-word" not in error + hint


def test_unknown_database(refused: Refusal, guarded: Guarded) -> None:
    url = guarded.url.set(database="absent").render_as_string(hide_password=False)
    error, hint = refused(["db", "init", "--storage", url])
    assert 'database "absent" does not exist' in error
    assert "createdb" in hint


@pytest.mark.parametrize(
    ("command", "prepared"),
    [(["db", "init"], False), (OPTIMIZE, False), (OPTIMIZE, True)],
    ids=["db init", "optimize", "optimize, tables there"],
)
def test_database_that_may_only_be_read(refused: Refusal, guarded: Guarded, command: list[str], prepared: bool) -> None:
    if prepared:
        assert main(["db", "init", "-q", "--storage", guarded.text]) == 0
    before = tables(guarded.url)
    options = "-c default_transaction_read_only=on"
    url = guarded.url.update_query_dict({"options": options}).render_as_string(hide_password=False)
    error, hint = refused([*command, "--storage", url])
    assert "read-only transaction" in error
    assert "that may be written" in hint
    assert tables(guarded.url) == before


def test_user_without_the_right_to_create(refused: Refusal, guarded: Guarded) -> None:
    guarded.execute("REVOKE ALL ON SCHEMA public FROM ada")
    guarded.execute("ALTER SCHEMA public OWNER TO postgres")
    error, hint = refused(["db", "init", "--storage", guarded.text])
    assert "permission denied" in error
    assert "right to create" in hint


@COMMANDS
def test_database_of_a_newer_tasearch(refused: Refusal, guarded: Guarded, command: list[str]) -> None:
    assert main(["db", "init", "-q", "--storage", guarded.text]) == 0
    guarded.execute(f"UPDATE {VERSION_TABLE} SET version_num = 'r9999'")
    error, hint = refused([*command, "--storage", guarded.text])
    assert "made by a newer tasearch (its tables are at version r9999" in error
    assert "upgrade tasearch" in hint


@COMMANDS
def test_database_of_another_version_of_optuna(refused: Refusal, guarded: Guarded, command: list[str]) -> None:
    assert main(["db", "init", "-q", "--storage", guarded.text]) == 0
    guarded.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    error, hint = refused([*command, "--storage", guarded.text])
    assert "Optuna's tables in this database are at version v99.0.0.a" in error
    assert "upgrade optuna" in hint


@COMMANDS
def test_database_of_another_application(refused: Refusal, guarded: Guarded, command: list[str]) -> None:
    guarded.execute("CREATE TABLE albums (title TEXT)")
    guarded.execute("GRANT ALL ON albums TO ada")
    error, _ = refused([*command, "--storage", guarded.text])
    assert "belongs to another application: it has tables albums" in error
    assert tables(guarded.url) == {"albums"}


def test_the_password_may_come_from_pgpass_or_the_environment(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bare = URL.create("postgresql", username="ada", database=guarded.url.database, query=guarded.url.query)
    monkeypatch.setenv("PGPASSWORD", str(guarded.url.password))
    assert main(["db", "init", "-q", "--storage", bare.render_as_string()]) == 0
    monkeypatch.delenv("PGPASSWORD")
    escaped = str(guarded.url.password).replace("\\", "\\\\").replace(":", "\\:")
    pgpass = tmp_path_factory.mktemp("keys") / "pgpass"
    pgpass.write_text(f"*:*:*:ada:{escaped}\n")
    pgpass.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(pgpass))
    monkeypatch.setenv("TASEARCH_STORAGE", bare.render_as_string())
    assert main(["db", "init", "-q"]) == 0


def test_a_dead_password_is_not_in_what_is_logged(guarded: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    from tasearch.domain.errors import StorageError
    from tasearch.stores.engine import open_engine
    from tasearch.stores.transactions import read

    engine = open_engine(guarded.url.set(password="wrong-word"))
    with caplog.at_level("DEBUG"), pytest.raises(StorageError) as caught:
        read(engine, lambda connection: connection.execute(text("SELECT 1")), patience=0.3)
    assert "trying again" in caplog.text
    assert "wrong-word" not in caplog.text + repr(caught.value) + repr(engine)
