"""`tasearch report`: write the page of a study again, from its database alone."""

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


@click.command("report")
@click.argument("study_name", required=False)
@settings_options(LOCATION)
@output_options
def command(study_name: str | None, as_json: bool, quiet: bool, verbose: bool, debug: bool, **flags: Any) -> int:
    """Write a study's report, running or ended; without STUDY_NAME the newest of the database."""
    from tasearch.cli.existing import choose_study, existing_url, open_existing
    from tasearch.report.page import write_page
    from tasearch.report.query import load_view
    from tasearch.report.summary import to_json, to_text
    from tasearch.stores.home import Home

    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    settings = location_from(flags)
    url = existing_url(settings)
    with open_existing(url) as records:
        name = choose_study(records, study_name or settings.study_name).study_name
    view = load_view(url, name)
    page = write_page(view, Home(settings.home).report_folder(name))
    if as_json:
        print_json(to_json(view, page, view.stages_trained, view.stages_reused))
    else:
        click.echo(to_text(view, page))
    return 0
