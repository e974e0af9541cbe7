"""`tasearch delete`: a study, and what nothing else needs of it."""

from __future__ import annotations

import sys
from typing import Any

import click

from tasearch.api.removing import Deletion, refuse_while_at_work
from tasearch.cli.options import (
    PLACES,
    configure_logging,
    location_from,
    output_options,
    print_json,
    settings_options,
)
from tasearch.domain.errors import ConfigError
from tasearch.report.wording import printable


@click.command("delete")
@click.argument("study_name")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@click.option("--keep-weights", is_flag=True, help="Leave the weights where they are, to `tasearch gc`.")
@settings_options(PLACES)
@output_options
def command(
    study_name: str,
    yes: bool,
    keep_weights: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    debug: bool,
    **flags: Any,
) -> int:
    """Delete a study: its trials, records, report, and the weights that no other study needs.

    Shows what goes and asks. Stages that other studies need stay with their weights, and so do all weights at a
    location that a study of another database uses too. With --json nothing is deleted without --yes.
    """
    from tasearch.api.existing import existing_url, open_existing
    from tasearch.report.query import find_study
    from tasearch.search.removal import open_trials
    from tasearch.stores.artifacts import ArtifactStore
    from tasearch.stores.home import Home

    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    settings = location_from(flags, PLACES)
    home, url = Home(settings.home), existing_url(settings)
    with open_existing(url) as records:
        study = find_study(records, study_name)
        refuse_while_at_work(records, study_name)
        artifacts = None if keep_weights else ArtifactStore(settings.artifacts or str(home.artifacts))
        with open_trials(url, study_name) as trials:
            deletion = Deletion(records, trials, artifacts, home, study)
            if not as_json:
                _show(deletion)
            agreed = yes or (not as_json and _is_agreed(study_name))
            if agreed:
                deletion.carry_out()
    if as_json:
        print_json({"deleted": agreed, **deletion.answer()})
    else:
        click.echo(printable(f"study {study_name} was deleted" if agreed else "nothing was deleted"))
    return 0


def _show(deletion: Deletion) -> None:
    """Print what would go."""
    goods, artifacts = deletion.goods, deletion.artifacts
    lines = [f"study {goods.study_name}: trials {deletion.num_trials}, runs of the finals {deletion.num_finals}"]
    kept = f"; {goods.num_kept} more stay, other studies need them" if goods.num_kept else ""
    lines.append(f"stages that nothing else needs: {len(goods.stages)}{kept}")
    if artifacts is None:
        lines.append("weights stay where they are; `tasearch gc` removes them")
    elif goods.others:
        users = ", ".join(f"{mark.study_name!r} of the database {mark.database}" for mark in goods.others)
        lines.append(f"weights at {artifacts.location} stay: it also serves study {users}")
    else:
        lines.append(f"weights at {artifacts.location}: {len(goods.artifacts)} files, {goods.bytes / 1e6:,.1f} MB")
    if goods.report is not None:
        lines.append(f"report {goods.report}")
    for line in lines:
        click.echo(printable(line))


def _is_agreed(study_name: str) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError(
            f"study {study_name!r} was not deleted: there is no terminal to ask on", hint="say --yes to delete it"
        )
    return click.confirm("delete all of this?", err=True)
