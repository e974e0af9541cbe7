"""`tasearch optimize`: the main job."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from tasearch.cli.options import configure_logging, output_options, print_json, settings_from, settings_options

if TYPE_CHECKING:
    from tasearch.worker.forecast import Forecast


@click.command("optimize")
@click.option("--study", "study_file", metavar="FILE", help="TOML study file; keys are named as the flags.")
@click.option("--dry-run", is_flag=True, help="Print the plan and its predicted time; train and create nothing.")
@settings_options()
@output_options
def command(
    study_file: str | None, dry_run: bool, as_json: bool, quiet: bool, verbose: bool, debug: bool, **flags: Any
) -> int:
    """Find the best TA chain for a teacher and a student.

    Trains what is missing, searches chains of TAs, temperatures and KD weights, re-runs the best on fresh
    replicates, opens the test set once, writes a report. The same command again goes on where it stopped.
    """
    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    settings = settings_from(flags, study_file)

    # Imported here: torch takes seconds, and a mistyped flag should be answered at once.
    from tasearch.api.running import open_session, run_session
    from tasearch.cli.display import make_display
    from tasearch.report.page import write_page
    from tasearch.report.query import load_view
    from tasearch.report.summary import to_json, to_text
    from tasearch.training.loop import InterruptedStage
    from tasearch.worker.signals import stop_on_signals

    with stop_on_signals() as stop, make_display(quiet=quiet) as display:
        session = None
        try:
            session = open_session(settings, display, stop)
            if dry_run:
                _print_forecast(session.forecast(), as_json)
                return 0
            counts = run_session(session)
        except KeyboardInterrupt:
            display.line("stopped before anything was trained; the same command begins again")
            return stop.exit_code
        except InterruptedStage:
            name = "" if session is None else f" (study {session.plan.study_name})"
            display.line(f"stopped; the same command goes on from here{name}")
            return stop.exit_code
    view = load_view(session.url, session.plan.study_name)
    page = write_page(view, session.home.report_folder(session.plan.study_name))
    if as_json:
        print_json(to_json(view, page, counts.trained, counts.reused))
    else:
        click.echo(to_text(view, page, counts.trained, counts.reused))
    return 0


def _print_forecast(found: Forecast, as_json: bool) -> None:
    from tasearch.worker.forecast import forecast_lines

    if as_json:
        print_json({**dataclasses.asdict(found), "seconds": found.seconds})
    else:
        click.echo("\n".join(forecast_lines(found)))
