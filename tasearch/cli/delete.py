"""`tasearch delete`: a study, and what nothing else needs of it."""

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
from tasearch.report.wording import printable

if TYPE_CHECKING:
    from tasearch.search.removal import StoredTrials
    from tasearch.stores.artifacts import ArtifactStore
    from tasearch.stores.home import Home
    from tasearch.stores.records import Records
    from tasearch.stores.studies import StudyRow


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
    from tasearch.cli.existing import existing_url, open_existing
    from tasearch.report.query import find_study
    from tasearch.search.removal import open_trials
    from tasearch.stores.artifacts import ArtifactStore
    from tasearch.stores.home import Home

    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    settings = location_from(flags, PLACES)
    home, url = Home(settings.home), existing_url(settings)
    with open_existing(url) as records:
        study = find_study(records, study_name)
        _refuse_while_at_work(records, study_name)
        artifacts = None if keep_weights else ArtifactStore(settings.artifacts or str(home.artifacts))
        with open_trials(url, study_name) as trials:
            deletion = _Deletion(records, trials, artifacts, home, study)
            if not as_json:
                deletion.show()
            agreed = yes or (not as_json and _is_agreed(study_name))
            if agreed:
                deletion.carry_out()
    if as_json:
        print_json({"deleted": agreed, **deletion.answer()})
    else:
        click.echo(printable(f"study {study_name} was deleted" if agreed else "nothing was deleted"))
    return 0


class _Deletion:
    """What goes with a study."""

    def __init__(
        self, records: Records, trials: StoredTrials, artifacts: ArtifactStore | None, home: Home, study: StudyRow
    ) -> None:
        from tasearch.stores.study_removal import find_goods

        self._records, self._stored_trials, self._artifacts, self._home = records, trials, artifacts, home
        self._goods = find_goods(records, artifacts, home, study)
        self._trials = trials.count()
        self._finals = len(records.finals.rows(study.study_name))

    def show(self) -> None:
        """Print it."""
        goods = self._goods
        lines = [f"study {goods.study_name}: trials {self._trials}, runs of the finals {self._finals}"]
        kept = f"; {goods.num_kept} more stay, other studies need them" if goods.num_kept else ""
        lines.append(f"stages that nothing else needs: {len(goods.stages)}{kept}")
        if self._artifacts is None:
            lines.append("weights stay where they are; `tasearch gc` removes them")
        elif goods.others:
            users = ", ".join(f"{mark.study_name!r} of the database {mark.database}" for mark in goods.others)
            lines.append(f"weights at {self._artifacts.location} stay: it also serves study {users}")
        else:
            lines.append(
                f"weights at {self._artifacts.location}: {len(goods.artifacts)} files, {goods.bytes / 1e6:,.1f} MB"
            )
        if goods.report is not None:
            lines.append(f"report {goods.report}")
        for line in lines:
            click.echo(printable(line))

    def carry_out(self) -> None:
        """Delete it."""
        from tasearch.stores.study_removal import remove_goods

        self._stored_trials.delete()
        self._goods = remove_goods(self._records, self._artifacts, self._home, self._goods)

    def answer(self) -> dict[str, Any]:
        """Return it as JSON types."""
        goods = self._goods
        return {
            "study_name": goods.study_name,
            "trials": self._trials,
            "finals": self._finals,
            "stages": {"removed": len(goods.stages), "kept": goods.num_kept},
            "weights": {"number": len(goods.artifacts), "bytes": goods.bytes},
            "report": None if goods.report is None else str(goods.report),
            "other_users": [{"study_name": mark.study_name, "database": mark.database} for mark in goods.others],
        }


def _refuse_while_at_work(records: Records, study_name: str) -> None:
    from tasearch.worker.stopping import live_workers, worker_label

    found = [f"{worker_label(one)}, seen {age:.0f} s ago" for one, age in live_workers(records, study_name).items()]
    if found:
        raise ConfigError(
            f"study {study_name!r} is being worked on: {'; '.join(found)}",
            hint="`tasearch stop` ends its workers; one killed on another machine is forgotten after a minute",
        )


def _is_agreed(study_name: str) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError(
            f"study {study_name!r} was not deleted: there is no terminal to ask on", hint="say --yes to delete it"
        )
    return click.confirm("delete all of this?", err=True)
