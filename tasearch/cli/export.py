"""`tasearch export`: the winner, for use without tasearch."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tasearch.cli.existing import choose_study, existing_url, named_study, open_existing
from tasearch.cli.options import configure_logging, location_from, output_options, print_json, settings_options
from tasearch.config.joining import joining_settings
from tasearch.domain.errors import ConfigError

if TYPE_CHECKING:
    from tasearch.report.view import StudyView
    from tasearch.search.winner import Choice

_SETTINGS = ("study_name", "home", "storage", "artifacts", "dataset", "data_dir", "memory_gb")


@click.command("export")
@click.argument("name", required=False, metavar="[STUDY_NAME]")
@click.option("--chain", type=click.IntRange(min=1), metavar="N", help="Chain of this rank in the report. [the winner]")
@click.option(
    "--format",
    "formats",
    default="safetensors",
    show_default=True,
    metavar="F,F,...",
    help="safetensors (with model.py), torch-export, onnx, or several of them.",
)
@click.option("--out", required=True, metavar="DIR", help="Folder of the files; new, or empty.")
@click.option("--force", is_flag=True, help="Replace the files of an earlier export in DIR.")
@settings_options(_SETTINGS)
@output_options
def command(
    name: str | None,
    chain: int | None,
    formats: str,
    out: str,
    force: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    debug: bool,
    **flags: Any,
) -> int:
    """Write the winning student with a model card, for use without tasearch; of the newest study by default.

    The winner is the arm of the finals with the best val accuracy, and of its replicates the one with the best val
    accuracy. Each format is loaded back and compared with the trained network on images of val. Normalisation is
    inside: the model takes images in [0, 1].
    """
    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    where = location_from({key: flags[key] for key in ("study_name", "storage", "home")})
    url = existing_url(where)

    # Imported here: torch takes seconds, and a mistyped place should be answered at once.
    from tasearch.cli.display import make_display
    from tasearch.report.query import load_view
    from tasearch.stores.delivery import check_destination
    from tasearch.training.device import resolve_device
    from tasearch.worker.export import ExportRequest, export_run, parse_formats
    from tasearch.worker.progress import FirstReading
    from tasearch.worker.signals import stop_on_signals
    from tasearch.worker.stored_study import open_stored_study

    asked, folder = parse_formats(formats), Path(out)
    check_destination(folder, force=force)
    with stop_on_signals() as stop, make_display(quiet=quiet) as display, open_existing(url) as records:
        try:
            row = choose_study(records, named_study(name, where))
            view = load_view(url, row.study_name, curves=False)
            choice = _chosen(view, chain)
            settings = joining_settings(
                row.config["settings"], {**flags, "study_name": row.study_name}, os.environ
            ).model_copy(update={"device": "cpu"})
            study = open_stored_study(row, records, settings, resolve_device("cpu"), FirstReading(display, stop))
            request = ExportRequest(
                formats=asked,
                folder=folder,
                force=force,
                command=_command(row.study_name, chain, asked, out),
                verdict=None if view.verdict is None else view.verdict.text,
            )
            facts = export_run(study, choice, request)
        except KeyboardInterrupt:
            display.line("stopped; nothing was exported")
            return stop.exit_code
    if as_json:
        print_json({"folder": str(folder.absolute()), **facts})
    else:
        click.echo(_said(facts, folder))
    return 0


def _chosen(view: StudyView, rank: int | None) -> Choice:
    from tasearch.search.winner import run_of_chain, winning_run

    if rank is None:
        return winning_run(view.verdict, view.finals, view.study_name)
    if rank > len(view.ranking):
        raise ConfigError(
            f"--chain {rank}: the ranking of study {view.study_name!r} has {len(view.ranking)} chains",
            hint=f"say --chain 1 to --chain {len(view.ranking)}; `tasearch report` shows them"
            if view.ranking
            else "no trial has completed yet",
        )
    found = view.ranking[rank - 1]
    return run_of_chain(found.chain, found.val_accuracy, view.verdict, view.finals)


def _command(study_name: str, chain: int | None, formats: tuple[str, ...], out: str) -> str:
    rank = () if chain is None else ("--chain", str(chain))
    return shlex.join(
        ["tasearch", "export", "--study-name", study_name, *rank, "--format", ",".join(formats), "--out", out]
    )


def _said(facts: dict[str, Any], folder: Path) -> str:
    from tasearch.domain.metric import in_words
    from tasearch.report.wording import percent, printable

    accuracy = facts["accuracy"]
    tested = "" if accuracy["test"] is None else f", test {percent(accuracy['test'])}"
    lines = [
        f"{facts['arm']}, replicate {facts['stage']['replicate']}: val {in_words(facts['metric'])} "
        f"{percent(accuracy['val'])}{tested}"
    ]
    for one in facts["checks"]:
        lines.append(
            f"{one['format']}: agrees with the trained network on {one['num_images']:,} val images (logits differ by "
            f"up to {one['max_difference']:.2g}, same class {100 * one['agreement']:.2f}%; {one['runtime']})"
        )
    lines.append(f"written to {folder}: {', '.join([*facts['files'], 'README.md', 'model.json'])}")
    return "\n".join(printable(line) for line in lines)
