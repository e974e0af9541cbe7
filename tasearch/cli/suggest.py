"""`tasearch suggest`: the TA that the paper's heuristic names."""

from __future__ import annotations

from typing import Any

import click

from tasearch.cli.options import configure_logging, output_options, print_json, settings_from, settings_options

_SETTINGS = (
    *("teacher", "student", "teacher_checkpoint", "pretrained", "dataset", "data_dir", "image_size", "limit_train"),
    *("augment", "normalize", "metric", "tas"),
    *("recipe", "epochs", "batch_size", "optimizer", "learning_rate", "schedule", "momentum", "weight_decay"),
    *("precision",),
    *("device", "threads", "checkpoint_seconds", "home", "storage", "artifacts"),
)


@click.command("suggest")
@settings_options(_SETTINGS)
@output_options
def command(as_json: bool, quiet: bool, verbose: bool, debug: bool, **flags: Any) -> int:
    """Name the TA whose accuracy from labels is nearest the mean of teacher's and student's.

    That is the heuristic of Mirzadeh et al. (2020). Models that the store has are not trained again, and what is
    trained here serves later studies.
    """
    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    settings = settings_from(flags)

    from tasearch.cli.display import make_display
    from tasearch.domain.metric import in_words
    from tasearch.training.loop import InterruptedStage
    from tasearch.worker.session import Session
    from tasearch.worker.signals import stop_on_signals

    with stop_on_signals() as stop, make_display(quiet=quiet) as display:
        try:
            found = Session(settings, display, stop).suggest()
        except (KeyboardInterrupt, InterruptedStage):
            display.line("stopped; the same command goes on from here")
            return stop.exit_code
    if as_json:
        print_json(
            {
                "teacher": found.teacher,
                "student": found.student,
                "metric": settings.metric,
                "ta": found.midpoint.ta,
                "target_val_accuracy": found.midpoint.target,
                "val_accuracies": dict(found.val_accuracies),
                "num_params": {name: size.num_params for name, size in found.capacities.items()},
                "stages": {"trained": found.trained, "reused": found.reused},
            }
        )
        return 0
    click.echo(
        f"{found.midpoint.ta}: {100 * found.midpoint.val_accuracy:.1f}% val {in_words(settings.metric)} from labels, "
        f"nearest the mean of {found.teacher} and {found.student}, {100 * found.midpoint.target:.1f}%"
    )
    for name, value in found.val_accuracies.items():
        click.echo(f"  {name:<12} {found.capacities[name].num_params:>12,} parameters  {100 * value:5.1f}%")
    click.echo("A rule of thumb on one replicate; `tasearch optimize` measures.")
    return 0
