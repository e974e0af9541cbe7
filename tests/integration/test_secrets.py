"""The password of a database is nowhere but where its owner put it: a whole study on a PostgreSQL that asks for one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from sqlalchemy import create_engine, inspect, text

from tasearch.cli.main import main
from tasearch.config.resolve import resolve
from tests.integration.guarded_postgres import PASSWORD, Guarded

SPELLINGS = (PASSWORD, quote(PASSWORD, safe=""), PASSWORD.replace("{", "{{").replace("}", "}}"))


def holds_password(content: str) -> bool:
    return any(spelling in content for spelling in SPELLINGS)


def everything_in(database: Guarded) -> str:
    """Return every value of every table as text."""
    engine = create_engine(database.url)
    try:
        with engine.connect() as connection:
            names = inspect(connection).get_table_names()
            return "\n".join(str(connection.execute(text(f'SELECT * FROM "{name}"')).all()) for name in names)
    finally:
        engine.dispose()


def test_no_command_shows_stores_or_logs_it(
    guarded: Guarded,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    where = ["--storage", guarded.text, "--home", str(tmp_path / "home")]
    caplog.set_level("DEBUG")
    assert main([*arguments, *where, "-v", "--debug"]) == 0
    for command in ("status", "studies", "report", "doctor", "gc", "db init"):
        for flags in ([], ["--json"]):
            assert main([*command.split(), *where, *flags, "-v", "--debug"]) in (0, 1)
    said = "".join(capsys.readouterr())
    assert "ada:***@" in said, "the URL is shown"
    assert not holds_password(said)
    assert not holds_password(caplog.text)
    assert not holds_password(everything_in(guarded))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".html" for path in files)
    for path in files:
        assert not holds_password(path.read_bytes().decode(errors="ignore")), path


def test_no_error_shows_it(
    guarded: Guarded, arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Also not with --debug, which prints the errors that an error comes from."""
    guarded.execute("ALTER SCHEMA public OWNER TO postgres")
    assert main([*arguments, "--storage", guarded.text, "--debug"]) == 2
    for url in (
        guarded.text.replace("/db_", "/absent_"),
        guarded.text.replace("postgresql+psycopg", "mysql"),
        guarded.text.replace("@", "@@", 1),
    ):
        for command in (["db", "init"], ["doctor"], ["status"]):
            main([*command, "--storage", url, "--home", str(tmp_path / "home"), "--debug"])
    said = "".join(capsys.readouterr())
    assert "Traceback" in said
    assert not holds_password(said)


def test_settings_that_are_printed_do_not_show_it() -> None:
    places = {"storage": "postgresql://a:secret-word@h/d", "artifacts": "sftp://a:secret-word@h/"}
    settings = resolve({"teacher": "plain6", "student": "plain2", **places}, {}, None)
    assert "secret-word" not in f"{settings!r} {settings}"


@pytest.mark.slow
def test_no_process_shows_it(guarded: Guarded, arguments: list[str]) -> None:
    """The processes that `--workers` starts get the URL through a pipe."""
    environment = {**os.environ, "TASEARCH_STORAGE": guarded.text, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tasearch", *arguments, "--workers", "2"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        seen: dict[int, str] = {}
        while process.poll() is None:
            seen |= processes_below(process.pid)
            time.sleep(0.05)
        assert process.returncode == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert any("multiprocessing" in line for line in seen.values()), "workers were seen"
    assert not any(holds_password(line) for line in seen.values())


def processes_below(root: int) -> dict[int, str]:
    """Return the command lines of a process and all its descendants."""
    lines = {}
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(root)
        for process in [top, *top.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                lines[process.pid] = " ".join(process.cmdline())
    return lines
