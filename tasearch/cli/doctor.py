"""`tasearch doctor`: what is wrong, and how to mend it."""

from __future__ import annotations

from typing import Any

import click

from tasearch.cli.options import (
    PLACES,
    configure_logging,
    location_from,
    output_options,
    print_json,
    settings_options,
)
from tasearch.domain.finding import Health


@click.command("doctor")
@click.option("--verify", is_flag=True, help="Read every recorded artifact and compare it with its hash.")
@settings_options(PLACES)
@output_options
def command(verify: bool, as_json: bool, quiet: bool, verbose: bool, debug: bool, **flags: Any) -> int:
    """Examine database, artifacts, home folder, leases, versions and devices.

    Prints what is wrong and how to mend it; exit code 0 when all is well, 1 when something is wrong. With -q only what
    is wrong is printed.
    """
    from tasearch.report.wording import printable
    from tasearch.worker.checkup import examine

    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    found = examine(location_from(flags, PLACES), verify=verify)
    is_well = all(finding.health is not Health.WRONG for finding in found)
    if as_json:
        findings = [
            {"area": one.area, "health": one.health.value, "text": one.text, "mend": one.mend or None} for one in found
        ]
        print_json({"ok": is_well, "findings": findings})
        return 0 if is_well else 1
    for one in found:
        if one.health is Health.WRONG or not quiet:
            click.echo(printable(f"{one.health.value:<6} {one.area:<10} {one.text}"))
        if one.mend:
            click.echo(printable(f"{'':<17} mend: {one.mend}"))
    if is_well and not quiet:
        click.echo("all is well")
    return 0 if is_well else 1
