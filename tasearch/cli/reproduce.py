"""`tasearch reproduce`: does a trial come out the same again?"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import click

from tasearch.api.delivering import Wanted, carry_out_reproduction
from tasearch.api.existing import existing_url, named_study, open_existing
from tasearch.cli.options import configure_logging, location_from, output_options, print_json, settings_options

if TYPE_CHECKING:
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
    from tasearch.training.loop import InterruptedStage
    from tasearch.worker.signals import stop_on_signals

    wanted = Wanted(study_name=named_study(name, where), flags=flags, environment=os.environ)
    with stop_on_signals() as stop, make_display(quiet=quiet) as display, open_existing(url) as records:
        try:
            study_name, found = carry_out_reproduction(
                records, url, wanted, display, stop, number=number, with_teacher=with_teacher
            )
        except (KeyboardInterrupt, InterruptedStage):
            display.line("stopped; nothing was compared, and nothing is left behind")
            return stop.exit_code
    if as_json:
        print_json(_answer(found, study_name, number))
    else:
        click.echo(_said(found, number))
    return 0


def _answer(found: Reproduction, study_name: str, number: int) -> dict[str, Any]:
    return {
        "study_name": study_name,
        "trial": number,
        "chain": found.chain.label,
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


def _said(found: Reproduction, number: int) -> str:
    from tasearch.domain.metric import in_words
    from tasearch.report.wording import percent, points, printable

    before, after = found.student.before.val_accuracy, found.student.after.val_accuracy
    verdict = "the weights are the same bits" if found.identical else "the weights are not the same bits"
    lines = [f"trial {number}, {found.chain.label}: {verdict}"]
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
