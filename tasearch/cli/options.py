"""Flags made from the settings, so that a flag, an environment variable and a study-file key cannot drift apart."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from tasearch.config.resolve import ENVIRONMENT_PREFIX, flag_of, resolve
from tasearch.config.settings import Settings
from tasearch.models.names import check_names

LOCATION = ("home", "storage")
PLACES = (*LOCATION, "artifacts")


def settings_options(names: Iterable[str] = Settings.model_fields) -> Callable[[Any], Any]:
    """Return a decorator that adds the flags of these settings; values are checked later, all in one place."""

    def decorate(function: Any) -> Any:
        for name in reversed(list(names)):
            field = Settings.model_fields[name]
            text = field.description or ""
            if not field.is_required() and field.default is not None:
                text += f" [{_shown(field.default)}]"
            function = click.option(flag_of(name), name, metavar=_metavar(name), help=text)(function)
        return function

    return decorate


def output_options(function: Any) -> Any:
    """Add `--json`, `-q`, `-v` and `--debug`."""
    for decorate in (
        click.option("--debug", is_flag=True, help="Show tracebacks and debug messages."),
        click.option("-v", "--verbose", is_flag=True, help="Say more."),
        click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
    ):
        function = decorate(function)
    return function


def settings_from(flags: dict[str, Any], study_file: str | None = None) -> Settings:
    """Return the settings of a command line and this process's environment. Raises ConfigError, ModelError."""
    settings = resolve(flags, os.environ, Path(study_file) if study_file else None)
    # Here and not where they are built: torch, which takes seconds, is not imported yet.
    check_names((settings.teacher, settings.student, *(settings.tas or ())))
    return settings


def location_from(flags: dict[str, Any], names: Iterable[str] = LOCATION) -> Settings:
    """Return the settings of a command that only needs to know some places, and which study is meant."""
    wanted = {*names, "study_name"}
    others = {ENVIRONMENT_PREFIX + name.upper() for name in Settings.model_fields if name not in wanted}
    environment = {name: value for name, value in os.environ.items() if name not in others}
    return resolve({"teacher": "-", "student": "-", **flags}, environment, None)


def configure_logging(*, verbose: bool, quiet: bool, debug: bool) -> None:
    """Send warnings to stderr, more with -v and --debug, only errors with -q."""
    level = logging.DEBUG if debug else logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    logging.getLogger("tasearch").setLevel(level)


def print_json(answer: Any) -> None:
    """Print one JSON value on stdout."""
    click.echo(json.dumps(answer, indent=2, allow_nan=False))


def _metavar(name: str) -> str:
    return {
        "study_name": "NAME",
        "home": "DIR",
        "data_dir": "DIR",
        "storage": "URL",
        "artifacts": "URL",
        "tas": "A,B,...",
        "teacher_checkpoint": "FILE",
        "pretrained": "WHO,...",
        "normalize": "MEANS/STDS",
        "temperatures": "T,T,...",
        "kd_weights": "W,W,...",
        "gpus": "N,N,...",
        "workers_per_gpu": "K",
        "gpus_per_worker": "X",
    }.get(name, name.upper().rpartition("_")[2])


def _shown(value: Any) -> str:
    return ",".join(f"{item:g}" for item in value) if isinstance(value, tuple) else str(value)
