from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.live import Live

from tasearch.cli.display import LivePanel, PlainLines
from tasearch.worker.progress import Silent
from tests.unit.worker.test_snapshot import make_snapshot


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


def show(screen: io.StringIO, study_name: str) -> None:
    console = Console(file=screen, force_terminal=True, width=100)
    with Live(console=console, auto_refresh=False) as live:
        panel = LivePanel(live)
        panel.refresh(make_snapshot(study_name=study_name))
        live.refresh()
        panel.line("trained something [/b]")
        live.refresh()


@pytest.mark.parametrize("study_name", ["plain", "a[/b]", "x[red]y"])
def test_brackets_are_text_not_markup(screen: io.StringIO, study_name: str) -> None:
    show(screen, study_name)
    assert study_name in screen.getvalue()
    assert "trained something [/b]" in screen.getvalue()


def test_no_markup_is_left_on_the_screen(screen: io.StringIO) -> None:
    show(screen, "plain")
    assert "[bold]" not in screen.getvalue()


def test_plain_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    display = PlainLines()
    display.refresh(make_snapshot())
    display.line("done")
    assert capsys.readouterr() == ("", "done\n")


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    Silent().line("done")
    assert capsys.readouterr() == ("", "")
