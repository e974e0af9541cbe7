"""`tasearch db`: the database itself."""

from __future__ import annotations

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


@click.group("db")
def command() -> None:
    """Prepare the database that the workers of a study share."""


@command.command("init")
@settings_options(LOCATION)
@output_options
def init(as_json: bool, quiet: bool, verbose: bool, debug: bool, **flags: Any) -> int:
    """Create the tables, or bring older ones up to date; again changes nothing.

    Any number of processes may do so at once. `tasearch optimize` and `tasearch worker` do it by themselves.
    """
    from tasearch.stores.engine import hide_password, parse_storage_url
    from tasearch.stores.home import Home
    from tasearch.worker.database import prepare_database

    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    settings = location_from(flags)
    home = Home(settings.home)
    if settings.storage is None:
        home.make_root()
    url = parse_storage_url(settings.storage or home.default_storage_url)
    prepare_database(url.render_as_string(hide_password=False))
    if as_json:
        print_json({"storage": hide_password(url), "ready": True})
    elif not quiet:
        click.echo(f"database {hide_password(url)} is ready")
    return 0
