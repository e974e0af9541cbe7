"""`tasearch worker`: take part in a study that somebody has begun, from any machine."""

from __future__ import annotations

import os
from typing import Any

import click

from tasearch.api.existing import existing_url, open_existing, stored_settings
from tasearch.api.running import open_session, run_session
from tasearch.cli.options import configure_logging, location_from, output_options, print_json, settings_options
from tasearch.config.joining import OF_THE_WORKER
from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError


@click.command("worker")
@settings_options(OF_THE_WORKER)
@output_options
def command(as_json: bool, quiet: bool, verbose: bool, debug: bool, **flags: Any) -> int:
    """Join a study and work on it until it has its verdict.

    The study's configuration comes from the database, so all a worker needs is its URL, the artifacts and the data,
    which are compared by hash. Workers come and go at will: what one leaves, another goes on with.
    """
    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    settings = _settings(flags)

    # Imported here: torch takes seconds, and a mistyped name should be answered at once.
    from tasearch.cli.display import make_display
    from tasearch.training.loop import InterruptedStage
    from tasearch.worker.signals import stop_on_signals

    with stop_on_signals() as stop, make_display(quiet=quiet) as display:
        try:
            counts = run_session(open_session(settings, display, stop), joins=True)
        except (KeyboardInterrupt, InterruptedStage):
            display.line("stopped; what was under way is saved and left to the other workers")
            return stop.exit_code
    if as_json:
        print_json({"study_name": settings.study_name, "stages": {"trained": counts.trained, "reused": counts.reused}})
    else:
        click.echo(f"the study is done; trained here: {counts.trained} stages, reused: {counts.reused}")
    return 0


def _settings(flags: dict[str, Any]) -> Settings:
    where = location_from({name: flags[name] for name in ("study_name", "storage", "home")})
    if where.study_name is None:
        raise ConfigError("--study-name is missing", hint="say which study to join; `tasearch studies` lists them")
    with open_existing(existing_url(where)) as records:
        return stored_settings(records, where.study_name, flags, os.environ)
