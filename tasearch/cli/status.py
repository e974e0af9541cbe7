"""`tasearch status`: where a study stands, from any shell."""

from __future__ import annotations

import dataclasses
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


@click.command("status")
@click.argument("study_name", required=False)
@settings_options(LOCATION)
@output_options
def command(study_name: str | None, as_json: bool, quiet: bool, verbose: bool, debug: bool, **flags: Any) -> int:
    """Show where a study stands, running or ended; without STUDY_NAME the newest of the database."""
    from tasearch.api.existing import choose_study, existing_page, open_to_read, readable_database
    from tasearch.api.studies import worker_states
    from tasearch.report.query import load_view
    from tasearch.report.summary import to_json, to_text
    from tasearch.report.wording import printable
    from tasearch.worker.snapshot import duration, panel_rows

    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    settings = location_from(flags)
    url = readable_database(settings)
    with open_to_read(url) as records:
        row = choose_study(records, study_name or settings.study_name)
        workers = worker_states(records, row.study_name)
    view = load_view(url, row.study_name, curves=False)
    page = existing_page(settings, row.study_name)
    if as_json:
        answer = to_json(view, page, view.stages_trained, view.stages_reused)
        answer["workers"] = [
            {
                "worker": one.worker,
                "gone": one.is_gone,
                "seconds_since_update": round(one.seconds_since_update, 1),
                **dataclasses.asdict(one.snapshot),
            }
            for one in workers
        ]
        print_json(answer)
        return 0
    for one in workers:
        age = one.seconds_since_update
        if one.is_gone:
            click.echo(f"worker {one.worker} is gone, last seen {duration(age)} ago; run the same command to go on")
            continue
        click.echo(f"worker {one.worker}, seen {age:.0f} s ago")
        for name, value in panel_rows(one.snapshot):
            click.echo(printable(f"  {name:<12} {value}"))
    if view.verdict is None and all(one.is_gone for one in workers):
        click.echo("no worker is running; the same command goes on from here")
    click.echo(to_text(view, page))
    return 0
