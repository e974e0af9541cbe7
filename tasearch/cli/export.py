"""`tasearch export`: the winner, for use without tasearch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from tasearch.api.delivering import Wanted, carry_out_export
from tasearch.api.existing import existing_url, named_study, open_existing
from tasearch.cli.options import configure_logging, location_from, output_options, print_json, settings_options

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
    accuracy. Each format is loaded back and compared with the trained network on up to 1,000 images. Normalisation is
    inside: the model takes images in [0, 1].
    """
    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    where = location_from({key: flags[key] for key in ("study_name", "storage", "home")})
    url = existing_url(where)

    # Imported here: torch takes seconds, and a mistyped place should be answered at once.
    from tasearch.cli.display import make_display
    from tasearch.stores.delivery import check_destination
    from tasearch.worker.export import parse_formats
    from tasearch.worker.signals import stop_on_signals

    asked, folder = parse_formats(formats), Path(out)
    check_destination(folder, force=force)
    wanted = Wanted(study_name=named_study(name, where), flags=flags, environment=os.environ)
    with stop_on_signals() as stop, make_display(quiet=quiet) as display, open_existing(url) as records:
        try:
            facts = carry_out_export(
                records, url, wanted, display, stop, chain=chain, formats=asked, folder=folder, force=force
            )
        except KeyboardInterrupt:
            display.line("stopped; nothing was exported")
            return stop.exit_code
    if as_json:
        print_json({"folder": str(folder.absolute()), **facts})
    else:
        click.echo(_said(facts, folder))
    return 0


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
