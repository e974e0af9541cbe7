"""`tasearch studies`: what a database holds."""

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


@click.command("studies")
@settings_options(LOCATION)
@output_options
def command(as_json: bool, quiet: bool, verbose: bool, debug: bool, **flags: Any) -> int:
    """List the studies of a database, oldest first."""
    from tasearch.api.existing import open_to_read, readable_database
    from tasearch.api.studies import study_summaries
    from tasearch.report.wording import printable

    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    with open_to_read(readable_database(location_from(flags))) as records:
        rows = study_summaries(records)
    if as_json:
        print_json(
            {
                "studies": [
                    {
                        "study_name": row.study_name,
                        "created_at": row.created_at.isoformat(timespec="seconds"),
                        "teacher": row.teacher,
                        "student": row.student,
                        "dataset": row.dataset,
                        "verdict": row.verdict,
                    }
                    for row in rows
                ]
            }
        )
        return 0
    for row in rows:
        verdict = row.verdict or ("measured by `tasearch gap`" if row.is_gap else "no verdict yet")
        click.echo(printable(f"{row.created_at:%Y-%m-%d %H:%M}  {row.study_name}: {verdict}"))
    if not rows:
        click.echo("no studies")
    return 0
