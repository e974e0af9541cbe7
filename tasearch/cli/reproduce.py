"""`tasearch reproduce`: does a trial come out the same again?"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import click

from tasearch.cli.existing import choose_study, existing_url, named_study, open_existing
from tasearch.cli.options import configure_logging, location_from, output_options, print_json, settings_options
from tasearch.config.joining import joining_settings
from tasearch.domain.errors import ConfigError
from tasearch.domain.result import TrialState

if TYPE_CHECKING:
    from tasearch.domain.spec import ChainSpec
    from tasearch.report.view import StudyView
    from tasearch.worker.reproduction import Reproduction

_SETTINGS = (
    *("study_name", "home", "storage", "artifacts", "dataset", "data_dir"),
    *("device", "memory_gb", "cache_gb"),
)


@click.command("reproduce")
@click.argument("name", required=False, metavar="[STUDY_NAME]")
@click.option("--trial", "number", type=click.IntRange(min=0), required=True, metavar="N", help="Number of the trial.")
@click.option("--with-teacher", is_flag=True, help="Train the teacher anew too.")
@settings_options(_SETTINGS)
@output_options
def command(
    name: str | None,
    number: int,
    with_teacher: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    debug: bool,
    **flags: Any,
) -> int:
    """Train a trial's stages again from the stored configuration and compare; of the newest study by default.

    Says whether the weights are the same bits, which is promised for the same device, threads, instruction set and
    version of torch, and the student's val accuracy then and now. Each stage gets the threads that are recorded with
    it, and --device auto is the kind of device that the student was trained on. The study is not changed; all is done
    in a temporary folder below --home. Exit code 0 whenever it was carried out.
    """
    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    where = location_from({key: flags[key] for key in ("study_name", "storage", "home")})
    url = existing_url(where)

    # Imported here: torch takes seconds, and a mistyped place should be answered at once.
    from tasearch.cli.display import make_display
    from tasearch.report.query import load_view
    from tasearch.stores.home import Home
    from tasearch.training.device import resolve_device
    from tasearch.training.loop import InterruptedStage
    from tasearch.worker.progress import FirstReading
    from tasearch.worker.reproduction import RepeatWatcher, reproduce
    from tasearch.worker.signals import stop_on_signals
    from tasearch.worker.stored_study import open_stored_study

    with stop_on_signals() as stop, make_display(quiet=quiet) as display, open_existing(url) as records:
        try:
            row = choose_study(records, named_study(name, where))
            chain = _chain_of(load_view(url, row.study_name, curves=False), number)
            settings = joining_settings(row.config["settings"], {**flags, "study_name": row.study_name}, os.environ)
            device = resolve_device(settings.device)
            study = open_stored_study(row, records, settings, device, FirstReading(display, stop))
            stop.is_watched = True
            found = reproduce(
                study,
                chain,
                device=None if settings.device == "auto" else device,
                home=Home(settings.home),
                cache_bytes=int(settings.cache_gb * 1e9),
                watcher=RepeatWatcher(display, stop),
                with_teacher=with_teacher,
            )
        except (KeyboardInterrupt, InterruptedStage):
            display.line("stopped; nothing was compared, and nothing is left behind")
            return stop.exit_code
    if as_json:
        print_json(_answer(found, row.study_name, number, chain))
    else:
        click.echo(_said(found, number, chain))
    return 0


def _chain_of(view: StudyView, number: int) -> ChainSpec:
    """Return the chain of a trial that completed. Raises ConfigError."""
    trial = next((row for row in view.trials if row.number == number), None)
    if trial is None:
        raise ConfigError(
            f"--trial {number}: study {view.study_name!r} has {len(view.trials)} trials",
            hint=f"say --trial 0 to --trial {len(view.trials) - 1}" if view.trials else "no trial has begun yet",
        )
    if trial.state is not TrialState.COMPLETE or trial.chain is None:
        complete = [row.number for row in view.trials if row.state is TrialState.COMPLETE]
        raise ConfigError(
            f"--trial {number}: the trial is {trial.state}, only one that is complete can be compared with",
            hint=f"complete are {', '.join(map(str, complete[:10]))}{', ...' if complete[10:] else ''}"
            if complete
            else "no trial has completed yet",
        )
    return trial.chain


def _answer(found: Reproduction, study_name: str, number: int, chain: ChainSpec) -> dict[str, Any]:
    return {
        "study_name": study_name,
        "trial": number,
        "chain": chain.label,
        "metric": found.metric,
        "identical": found.identical,
        "accuracy_before": found.student.before.val_accuracy,
        "accuracy_after": found.student.after.val_accuracy,
        "stages": [
            {
                "stage": stage.label,
                "identical": stage.identical,
                "artifact_before": stage.before.artifact_id,
                "artifact_after": stage.after.artifact_id,
                "accuracy_before": stage.before.val_accuracy,
                "accuracy_after": stage.after.val_accuracy,
                "environment_before": dataclasses.asdict(stage.before.environment),
                "environment_after": dataclasses.asdict(stage.after.environment),
            }
            for stage in found.stages
        ],
        "differences": list(found.differences),
    }


def _said(found: Reproduction, number: int, chain: ChainSpec) -> str:
    from tasearch.domain.metric import in_words
    from tasearch.report.wording import percent, points, printable

    before, after = found.student.before.val_accuracy, found.student.after.val_accuracy
    verdict = "the weights are the same bits" if found.identical else "the weights are not the same bits"
    lines = [f"trial {number}, {chain.label}: {verdict}"]
    measure = in_words(found.metric)
    lines.append(f"val {measure} then {percent(before)}, now {percent(after)} ({points(after - before)} points)")
    for stage in found.stages:
        same = "same bits" if stage.identical else "other bits"
        now, then = percent(stage.after.val_accuracy), percent(stage.before.val_accuracy)
        lines.append(f"  {stage.label}: {same}, val {measure} {then} then, {now} now")
    if found.differences:
        lines += ["what differs from then:", *(f"  {line}" for line in found.differences)]
    elif not found.identical:
        lines.append("device, threads, instruction set and versions are those of then: this should not be")
    return "\n".join(printable(line) for line in lines)
