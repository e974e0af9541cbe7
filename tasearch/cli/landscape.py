"""`tasearch landscape`: how flat the minima lie that the students of a study ended in."""

from __future__ import annotations

import os
import shlex
from typing import Any

import click

from tasearch.api.existing import choose_study, existing_url, open_existing
from tasearch.cli.options import configure_logging, location_from, output_options, print_json, settings_options
from tasearch.config.joining import joining_settings
from tasearch.domain.errors import ConfigError

_SETTINGS = ("home", "storage", "artifacts", "data_dir", "dataset", "device", "threads", "memory_gb")


@click.command("landscape")
@click.argument("study_name", required=False)
@click.option("--resolution", type=int, default=15, show_default=True, help="Points along each direction, odd.")
@click.option("--limit", type=int, default=512, show_default=True, help="Training images to average the loss over.")
@settings_options(_SETTINGS)
@output_options
def command(
    study_name: str | None,
    resolution: int,
    limit: int,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    debug: bool,
    **flags: Any,
) -> int:
    """Draw the loss around the students of a study without distillation, with it, and with a TA.

    Planes through the stored weights along random filter-normalised directions (Li et al. 2018), on training images,
    for every replicate of the finals (before them: of the search). Nothing is trained. What was found is kept with the
    study, and its report shows it from then on. Without STUDY_NAME the newest.
    """
    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    _check(resolution, limit)
    where = location_from({name: flags[name] for name in ("storage", "home")})
    url = existing_url(where)
    with open_existing(url) as records:
        row = choose_study(records, study_name)
    settings = joining_settings(row.config["settings"], {**flags, "study_name": row.study_name}, os.environ)

    from tasearch.cli.display import make_display
    from tasearch.domain.landscape import Landscape
    from tasearch.report.figure_data.landscape import landscape_info
    from tasearch.report.landscape import students_of, to_json, to_text, write_landscape
    from tasearch.report.query import load_view
    from tasearch.training.loop import InterruptedStage
    from tasearch.worker.landscape import surfaces_of
    from tasearch.worker.session import Session
    from tasearch.worker.signals import stop_on_signals

    study = load_view(url, row.study_name)
    students = students_of(study)
    with stop_on_signals() as stop, make_display(quiet=quiet) as display:
        try:
            session = Session(settings, display, stop)
            with open_existing(url) as records:
                surfaces = surfaces_of(session, records, students, resolution=resolution, num_images=limit)
        except (KeyboardInterrupt, InterruptedStage):
            display.line("stopped; nothing was written")
            return stop.exit_code
    words = ["tasearch", "landscape", row.study_name, "--resolution", str(resolution), "--limit", str(limit)]
    stored = Landscape(
        surfaces=tuple(surfaces), num_images=min(limit, study.num_train), command=shlex.join(words)
    ).to_plain()
    with open_existing(url) as records:
        records.studies.update_attrs(row.study_name, {Landscape.ATTR: stored})
    # From what is stored, so that this page and the study's report say the same to the last digit.
    view = landscape_info(study, Landscape.from_plain(stored))
    files = write_landscape(view, session.home.report_folder(row.study_name))
    if as_json:
        print_json({**to_json(view), "files": {kind: str(path) for kind, path in files.items()}})
    else:
        click.echo(to_text(view, files["html"]))
    return 0


def _check(resolution: int, limit: int) -> None:
    if resolution < 5 or resolution % 2 == 0:
        raise ConfigError(
            f"--resolution {resolution}: an odd number of points from 5 on is needed, the student among them",
            hint="use --resolution 15",
        )
    if limit < 2:
        raise ConfigError(f"--limit {limit}: at least 2 images are needed", hint="use --limit 512")
