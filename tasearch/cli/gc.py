"""`tasearch gc`: free the space of what no study needs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from tasearch.cli.options import (
    PLACES,
    configure_logging,
    location_from,
    output_options,
    print_json,
    settings_options,
)
from tasearch.domain.errors import ConfigError

if TYPE_CHECKING:
    from tasearch.stores.garbage import Garbage

_WORDS = {
    "stages": "records of stages that no study needs",
    "artifacts": "weights that no study needs",
    "left_overs": "rests of uploads that were cut off",
    "checkpoints": "checkpoints of stages that have ended",
    "tables": "stored teacher logits that nobody has used for an hour (computed again when needed)",
    "temporary": "half-written files of killed processes",
    "marks": "marks of studies that are gone",
}


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only list what would be removed; also the default without a terminal.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@click.option("--forget", multiple=True, metavar="NAME", help="A study of another database here that is gone.")
@settings_options(PLACES)
@output_options
def command(
    dry_run: bool,
    yes: bool,
    forget: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    verbose: bool,
    debug: bool,
    **flags: Any,
) -> int:
    """Remove what no study of a database needs any more: weights, checkpoints, stored logits, half-written files.

    Lists first. Studies keep everything that they, their finals and their reports stand on; what living workers use and
    whatever is younger than an hour stays. Stages of `tasearch suggest` that no study has asked for go.
    """
    from tasearch.api.existing import existing_url, open_existing
    from tasearch.stores.artifacts import ArtifactStore
    from tasearch.stores.garbage import find_garbage, remove_garbage
    from tasearch.stores.home import Home

    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    if dry_run and yes:
        raise ConfigError("--dry-run and --yes exclude each other", hint="give one of them")
    settings = location_from(flags, PLACES)
    home = Home(settings.home)
    with open_existing(existing_url(settings)) as records:
        artifacts = ArtifactStore(settings.artifacts or str(home.artifacts))
        found = find_garbage(records, artifacts, home, forget=forget)
        if not as_json:
            _list(found, artifacts.location)
        something = any(number for number, _ in found.kinds.values())
        removed = something and (yes or _is_agreed(dry_run or as_json))
        if removed:
            found = remove_garbage(records, artifacts, home, found)
    if as_json:
        print_json(_answer(found, removed))
    elif removed:
        click.echo(f"removed; {_megabytes(found.bytes)} freed")
    elif something:
        click.echo("nothing was removed; `tasearch gc --yes` removes it")
    return 0


def _is_agreed(only_list: bool) -> bool:
    return not only_list and sys.stdin.isatty() and click.confirm("remove these?", err=True)


def _list(found: Garbage, location: str) -> None:
    for mark in found.others:
        click.echo(
            f"{location} also serves study {mark.study_name!r} of the database {mark.database}: its weights are not "
            f"looked at. Is it gone? Then say --forget {mark.study_name!r}"
        )
    for kind, (number, size) in found.kinds.items():
        if number:
            click.echo(f"{number:>8,}  {_megabytes(size):>12}  {_WORDS[kind]}")
    click.echo(f"{_megabytes(found.bytes)} can be freed" if found.bytes else "no space can be freed")


def _answer(found: Garbage, removed: bool) -> dict[str, Any]:
    return {
        "removed": removed,
        "bytes": found.bytes,
        "kinds": {kind: {"number": number, "bytes": size} for kind, (number, size) in found.kinds.items()},
        "artifacts": [file.artifact_id for file in found.artifacts],
        "other_users": [{"study_name": mark.study_name, "database": mark.database} for mark in found.others],
    }


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
