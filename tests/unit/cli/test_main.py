"""The command line itself: help without heavy imports, exit codes, where settings come from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from tasearch import __version__
from tasearch.cli.main import COMMANDS, tasearch
from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError, NoCompletedTrialError
from tests.unit.cli.conftest import Run

OPTIMIZE = ["optimize", "--teacher", "plain6", "--student", "plain2"]


def python(code: str) -> str:
    """Run code in a fresh interpreter and return its stdout."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_entry_point_imports_nothing_heavy() -> None:
    heavy = ["torch", "pydantic", "optuna", "sqlalchemy", "rich", "numpy", "plotly"]
    code = f"import sys, tasearch.cli.main; print([name for name in {heavy} if name in sys.modules])"
    assert python(code).strip() == "[]"


def test_status_answers_without_torch() -> None:
    code = (
        "import sys; from tasearch.cli.main import main; main(['status', '--storage', 'sqlite:///absent.db']);"
        "import tasearch.report.query, tasearch.worker.snapshot; print('torch' in sys.modules)"
    )
    assert python(code).strip() == "False"


def test_help_names_every_command(run: Run) -> None:
    answer = run(["--help"])
    assert answer.code == 0
    assert all(f"{name} " in answer.out and text in answer.out for name, text in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_flag_has_help(run: Run, name: str) -> None:
    command = tasearch.get_command(click.Context(tasearch), name)
    assert command is not None
    assert command.help
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []
    answer = run([name, "--help"])
    assert answer.code == 0
    assert f"Usage: tasearch {name}" in answer.out


def test_version(run: Run) -> None:
    assert run(["--version"]).out.strip() == f"tasearch, version {__version__}"


def test_no_command_shows_the_help_and_counts_as_bad_usage(run: Run) -> None:
    answer = run([])
    assert answer.code == 2
    assert "Commands:" in answer.err


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that reach a session."""
    from tasearch.worker import session

    seen: list[Settings] = []

    def stop_here(_self: object, settings: Settings, *_rest: object, **_named: object) -> None:
        seen.append(settings)
        raise ConfigError("far enough")

    monkeypatch.setattr(session.Session, "__init__", stop_here)
    return seen


@pytest.mark.parametrize(
    ("flags", "variable", "line", "expected"),
    [
        (["--trials", "11"], "12", "trials = 13", 11),
        ([], "12", "trials = 13", 12),
        ([], None, "trials = 13", 13),
        ([], None, "", 40),
    ],
)
def test_flag_before_environment_before_study_file_before_default(
    run: Run,
    here: Path,
    resolved: list[Settings],
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    variable: str | None,
    line: str,
    expected: int,
) -> None:
    (here / "study.toml").write_text(line)
    if variable is not None:
        monkeypatch.setenv("TASEARCH_TRIALS", variable)
    run([*OPTIMIZE, "--study", "study.toml", *flags])
    assert [settings.trials for settings in resolved] == [expected]


def failing(error: BaseException) -> Any:
    def fail(*_arguments: object, **_named: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (NoCompletedTrialError("no trial completed", hint="mend it"), 3, "error: no trial completed"),
        (RuntimeError("two\nlines"), 1, "error: RuntimeError: two lines"),
    ],
)
def test_exit_codes_of_failures(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, line: str
) -> None:
    monkeypatch.setattr("tasearch.worker.session.Session.__init__", failing(error))
    answer = run(OPTIMIZE)
    assert answer.code == code
    assert answer.err.splitlines()[0] == line
    assert "Traceback" not in answer.err


def test_debug_shows_the_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasearch.worker.session.Session.__init__", failing(RuntimeError("broken")))
    assert "Traceback" in run([*OPTIMIZE, "--debug"]).err


def test_ctrl_c_before_the_work_begins_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasearch.worker.session.Session.__init__", failing(KeyboardInterrupt()))
    answer = run(OPTIMIZE)
    assert answer.code == 130
    assert "Traceback" not in answer.err
