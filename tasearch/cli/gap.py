"""`tasearch gap`: a model takes every size of the ladder while the others stay."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import click

from tasearch.cli.options import configure_logging, output_options, print_json, settings_options
from tasearch.config.resolve import ENVIRONMENT_PREFIX, read_study_file, resolve
from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError
from tasearch.domain.gap import Vary

_SETTINGS = (
    *("teacher", "student", "teacher_checkpoint", "pretrained", "dataset", "data_dir", "image_size", "limit_train"),
    *("augment", "normalize", "tas"),
    *("temperatures", "kd_weights", "replicates"),
    *("recipe", "epochs", "batch_size", "optimizer", "learning_rate", "schedule", "momentum", "weight_decay"),
    *(
        "kl_reduction",
        "precision",
        "device",
        "workers",
        "gpus",
        "workers_per_gpu",
        "threads",
        "checkpoint_seconds",
        "cache_gb",
    ),
    *("memory_gb", "study_name", "home", "storage", "artifacts"),
)


@click.command("gap")
@click.option(
    "--vary",
    type=click.Choice([vary.value for vary in Vary]),
    required=True,
    help="What takes every size: the teacher, the student, or a TA (distilled and from labels).",
)
@click.option("--study", "study_file", metavar="FILE", help="TOML study file; keys are named as the flags.")
@click.option("--dry-run", is_flag=True, help="Print the plan and its predicted time; train and create nothing.")
@settings_options(_SETTINGS)
@output_options
def command(
    vary: str,
    study_file: str | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    debug: bool,
    **flags: Any,
) -> int:
    """Measure how the gap between teacher and student matters: one model takes every size from student to teacher.

    Sizes are teacher, student and --tas (by default the ladder between them). Every arm is trained on the same fresh
    replicates at temperature 4, KD weight 0.9, or, where --temperatures or --kd-weights name several, at the pair that
    is best for it on val of the search replicate. Then the test set is opened, once. The same command again goes on.
    """
    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    settings = _settings(flags, study_file)

    from tasearch.cli.display import make_display
    from tasearch.report.gap import gap_view, to_json, to_text, write_gap
    from tasearch.stores.records import open_records
    from tasearch.training.loop import InterruptedStage
    from tasearch.worker.gap import GapSession, forecast_lines
    from tasearch.worker.gpus import on_first_gpu
    from tasearch.worker.signals import stop_on_signals

    with stop_on_signals() as stop, make_display(quiet=quiet) as display:
        try:
            session = GapSession(on_first_gpu(settings), Vary(vary), display, stop)
            if dry_run:
                found = session.gap_forecast()
                if as_json:
                    print_json(dataclasses.asdict(found))
                else:
                    click.echo("\n".join(forecast_lines(found)))
                return 0
            counts = session.measure()
        except (KeyboardInterrupt, InterruptedStage):
            display.line("stopped; the same command goes on from here")
            return stop.exit_code
    records = open_records(session.url)
    try:
        view = gap_view(records, session.plan.study_name)
    finally:
        records.close()
    files = write_gap(view, session.home.report_folder(view.study_name))
    if as_json:
        written = {kind: str(path) for kind, path in files.items()}
        print_json({**to_json(view), "files": written, "stages": dataclasses.asdict(counts)})
    else:
        click.echo(to_text(view, files["html"]))
    return 0


def _settings(flags: dict[str, Any], study_file: str | None) -> Settings:
    """Return the settings; a key of the study file or a flag that this command has no use for is refused."""
    path = Path(study_file) if study_file else None
    for name in read_study_file(path) if path else ():
        if name not in _SETTINGS:
            raise ConfigError(
                f"`{name}` in {path} is for `tasearch optimize`: there is no search here",
                hint="remove it, or keep a study file for each command",
            )
    others = {ENVIRONMENT_PREFIX + name.upper() for name in Settings.model_fields if name not in _SETTINGS}
    environment = {name: value for name, value in os.environ.items() if name not in others}
    return resolve(flags, environment, path)
