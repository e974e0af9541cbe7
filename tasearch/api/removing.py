"""End the workers of a study, and remove studies: what `tasearch stop` and `tasearch delete` do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasearch.api.existing import existing_url, named_where, open_existing, study_at_work
from tasearch.domain.errors import ConfigError

if TYPE_CHECKING:
    from tasearch.search.removal import StoredTrials
    from tasearch.stores.artifacts import ArtifactStore
    from tasearch.stores.home import Home
    from tasearch.stores.records import Records
    from tasearch.stores.studies import StudyRow
    from tasearch.stores.study_removal import StudyGoods
    from tasearch.worker.stopping import StopOutcome

HOME = Path("tasearch-data")


@dataclass(frozen=True, kw_only=True, slots=True)
class Deleted:
    """What went with a study."""

    study_name: str
    num_trials: int
    num_finals: int
    num_stages: int
    num_stages_kept: int
    """Of the study, which others need."""
    num_weights: int
    weight_bytes: int


def stop_study(
    study_name: str | None = None,
    *,
    wait_seconds: float = 60.0,
    home: Path | str = HOME,
    storage: str | None = None,
) -> StopOutcome:
    """Ask every worker of a study, on any machine, to save what it does and end; of the newest one without a name.

    Returns who ended, and who was still at work when waiting ended. Raises StorageError, ConfigError.
    """
    from tasearch.worker.stopping import stop_workers

    with open_existing(existing_url(named_where(home, storage, study_name))) as records:
        return stop_workers(records, study_at_work(records, study_name).study_name, wait_seconds)


def delete_study(
    study_name: str,
    *,
    keep_weights: bool = False,
    home: Path | str = HOME,
    storage: str | None = None,
    artifacts: str | None = None,
) -> Deleted:
    """Remove a study with its trials, records and report, and the weights that no other study needs, without asking.

    Raises ConfigError where there is no such study or workers are at it, StorageError.
    """
    from tasearch.report.query import find_study
    from tasearch.search.removal import open_trials
    from tasearch.stores.artifacts import ArtifactStore
    from tasearch.stores.home import Home

    where = named_where(home, storage, study_name)
    url = existing_url(where)
    with open_existing(url) as records:
        study = find_study(records, study_name)
        refuse_while_at_work(records, study_name)
        own = Home(where.home)
        store = None if keep_weights else ArtifactStore(artifacts or str(own.artifacts))
        with open_trials(url, study_name) as trials:
            deletion = Deletion(records, trials, store, own, study)
            deletion.carry_out()
    goods = deletion.goods
    return Deleted(
        study_name=study_name,
        num_trials=deletion.num_trials,
        num_finals=deletion.num_finals,
        num_stages=len(goods.stages),
        num_stages_kept=goods.num_kept,
        num_weights=len(goods.artifacts),
        weight_bytes=goods.bytes,
    )


class Deletion:
    """What goes with a study, and its going."""

    def __init__(
        self, records: Records, trials: StoredTrials, artifacts: ArtifactStore | None, home: Home, study: StudyRow
    ) -> None:
        """`artifacts`: None leaves the weights where they are."""
        from tasearch.stores.study_removal import find_goods

        self._records, self._trials, self.artifacts, self._home = records, trials, artifacts, home
        self.goods: StudyGoods = find_goods(records, artifacts, home, study)
        self.num_trials = trials.count()
        self.num_finals = len(records.finals.rows(study.study_name))

    def carry_out(self) -> None:
        """Delete it."""
        from tasearch.stores.study_removal import remove_goods

        self._trials.delete()
        self.goods = remove_goods(self._records, self.artifacts, self._home, self.goods)

    def answer(self) -> dict[str, Any]:
        """Return it as JSON types."""
        goods = self.goods
        return {
            "study_name": goods.study_name,
            "trials": self.num_trials,
            "finals": self.num_finals,
            "stages": {"removed": len(goods.stages), "kept": goods.num_kept},
            "weights": {"number": len(goods.artifacts), "bytes": goods.bytes},
            "report": None if goods.report is None else str(goods.report),
            "other_users": [{"study_name": mark.study_name, "database": mark.database} for mark in goods.others],
        }


def refuse_while_at_work(records: Records, study_name: str) -> None:
    """Raise ConfigError where workers are at a study."""
    from tasearch.worker.stopping import live_workers, worker_label

    found = [f"{worker_label(one)}, seen {age:.0f} s ago" for one, age in live_workers(records, study_name).items()]
    if found:
        raise ConfigError(
            f"study {study_name!r} is being worked on: {'; '.join(found)}",
            hint="`tasearch stop` ends its workers; one killed on another machine is forgotten after a minute",
        )
