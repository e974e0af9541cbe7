"""`tasearch stop`: end the workers of a study, wherever they are."""

from __future__ import annotations

from typing import Any

import click

from tasearch.cli.options import configure_logging, location_from, output_options, print_json, settings_options
from tasearch.domain.errors import TasearchError


@click.command("stop")
@click.argument("name", required=False, metavar="[STUDY_NAME]")
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until they are gone.",
)
@settings_options(("study_name", "home", "storage"))
@output_options
def command(
    name: str | None, wait_seconds: float, as_json: bool, quiet: bool, verbose: bool, debug: bool, **flags: Any
) -> int:
    """Ask every worker of a study, on any machine, to save what it does and end; of the newest study by default.

    They notice within seconds and end as after SIGTERM, with exit code 143. Workers that start later are not concerned:
    `tasearch optimize` goes on from there. Exit code 1 where some are still at work when waiting ends.
    """
    from tasearch.api.existing import existing_url, named_study, open_existing, study_at_work
    from tasearch.report.wording import plural, printable
    from tasearch.worker.stopping import stop_workers, worker_label

    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    where = location_from(flags)
    with open_existing(existing_url(where)) as records:
        study_name = study_at_work(records, named_study(name, where)).study_name
        found = stop_workers(records, study_name, wait_seconds)
    if as_json:
        print_json({"study_name": study_name, "ended": list(found.ended), "left": list(found.left)})
    elif found.ended or not found.left:
        said = f"{plural(len(found.ended), 'worker')} ended" if found.ended else "no worker was running"
        click.echo(printable(f"study {study_name}: {said}"))
    if found.left:
        raise TasearchError(
            f"study {study_name}: still at work after {wait_seconds:g} s: {', '.join(map(worker_label, found.left))}",
            hint="they end after their present step; wait longer with --wait, or end the processes themselves",
        )
    return 0
