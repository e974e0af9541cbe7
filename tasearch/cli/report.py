"""`tasearch report`: write the report of a study from its database alone, changing nothing there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tasearch.cli.options import (
    LOCATION,
    configure_logging,
    location_from,
    output_options,
    print_json,
    settings_options,
)
from tasearch.domain.errors import ConfigError, nearest

FORMATS = ("html", "md", "json", "csv")


@click.command("report")
@click.argument("study_name", metavar="[STUDY_NAME]", required=False)
@click.option("--study-name", "named", metavar="NAME", help="The same as STUDY_NAME. [newest study]")
@click.option("--out", metavar="DIR", help="Folder to write to. [HOME/reports/<study>]")
@click.option(
    "--format", "formats", metavar="F,F,...", default="html", help="Of html, md, json and csv, comma separated. [html]"
)
@settings_options(LOCATION)
@output_options
def command(
    study_name: str | None,
    named: str | None,
    out: str | None,
    formats: str,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    debug: bool,
    **flags: Any,
) -> int:
    """Write a study's report, running or ended; without STUDY_NAME the newest of the database.

    The database is only read: no table is made or changed, and the right to write to it is not needed.
    """
    chosen = _formats(formats)
    if study_name is not None and named is not None and study_name != named:
        raise ConfigError(f"two studies are named, {study_name!r} and {named!r}", hint="name one of them")
    if out == "":
        raise ConfigError("--out: got '', which names no folder", hint="say --out DIR")

    from tasearch.api.existing import readable_database
    from tasearch.report.files import write_report
    from tasearch.report.query import load_view
    from tasearch.report.summary import to_json, to_text
    from tasearch.stores.home import Home

    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    settings = location_from(flags)
    view = load_view(readable_database(settings), study_name or named or settings.study_name)
    folder = Home(settings.home).report_folder(view.study_name) if out is None else Path(out)
    files = write_report(view, folder, chosen)
    page = files[0]
    if as_json:
        answer = to_json(view, page, view.stages_trained, view.stages_reused)
        print_json({**answer, "files": [str(path) for path in files]})
    else:
        click.echo(to_text(view, page))
        for path in files[1:]:
            click.echo(f"        {path}")
    return 0


def _formats(text: str) -> list[str]:
    """Return the formats that are asked for, each once. Raises ConfigError."""
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise ConfigError(
            f"--format: got {(unknown or [text])[0]!r}, allowed are {', '.join(FORMATS)}",
            hint=nearest(unknown[0], list(FORMATS)) if unknown else "say e.g. --format html,csv",
        )
    return names
