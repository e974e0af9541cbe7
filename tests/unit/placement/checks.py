"""What every file under `docker/` is held to: its commands can be parsed, its variables are settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from tasearch.cli.main import tasearch
from tasearch.config.resolve import resolve
from tasearch.config.settings import Settings

FILES = Path(__file__).parents[3] / "docker"
_NEEDED = {"teacher": "plain10", "student": "plain2"}


def program(name: str) -> str:
    """Return the path of a program that a Python package brought into this environment."""
    return str(Path(sys.executable).parent / name)


def check_command(words: Sequence[str], environment: Mapping[str, str]) -> None:
    """Raise where `tasearch WORDS` names a command or flag that does not exist, or a value or variable is refused."""
    command: click.Command = tasearch
    words = list(words)
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None
        command = found
    given = command.make_context(command.name, words).params
    flags = {name: value for name, value in given.items() if name in Settings.model_fields}
    ours = {name: value for name, value in environment.items() if name.startswith("TASEARCH_")}
    resolve({**_NEEDED, **flags}, ours, None)
