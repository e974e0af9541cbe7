"""Run studies: what `tasearch optimize` and `tasearch worker` do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasearch.api.config import Pair, StudyConfig
from tasearch.api.existing import existing_url, named_where, open_existing, stored_settings
from tasearch.config.joining import OF_THE_WORKER
from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError, NoCompletedTrialError, StageFailedError, nearest

if TYPE_CHECKING:
    from tasearch.api.guest import Say
    from tasearch.api.results import StudyResults
    from tasearch.worker.forecast import Forecast
    from tasearch.worker.progress import Display
    from tasearch.worker.session import Session, StageCounts
    from tasearch.worker.signals import StopFlag


def optimize(config: StudyConfig, *, say: Say | None = None) -> StudyResults:
    """Run a study to its verdict, from wherever it stands, write its report and return its results.

    `say`: told what was finished, one line at a time. Ctrl-C in the main thread saves what is under way and raises
    KeyboardInterrupt; in another thread signals are left alone. With `workers` above 1 further processes are started,
    which import the calling module: guard it with `if __name__ == "__main__":`.

    Raises a TasearchError: UsageError (ConfigError, ModelError, DataError, StorageError) before anything is trained,
    NoCompletedTrialError, StoppedError, or what failed.
    """
    _refuse_objects_elsewhere(config)
    from tasearch.api.guest import as_guest, display_of
    from tasearch.api.results import results_of
    from tasearch.report.page import write_page
    from tasearch.report.query import load_view

    with as_guest() as stop:
        session = open_session(config.settings(), display_of(say), stop, config.objects)
        run_session(session)
    view = load_view(session.url, session.plan.study_name)
    return results_of(view, write_page(view, session.home.report_folder(session.plan.study_name)))


def forecast(config: StudyConfig) -> Forecast:
    """Return what `optimize` would do and how long that would take (`--dry-run`); nothing is created or trained."""
    _refuse_objects_elsewhere(config)
    from tasearch.api.guest import as_guest, display_of

    with as_guest() as stop:
        return open_session(config.settings(), display_of(None), stop, config.objects).forecast()


def join_study(
    study_name: str,
    *,
    home: Path | str = "tasearch-data",
    storage: str | None = None,
    dataset: str | Pair | None = None,
    say: Say | None = None,
    **of_the_worker: Any,
) -> StageCounts:
    """Take part in a study until it has its verdict (`tasearch worker`) and return how many stages were trained here.

    `dataset`: where the study's data are here, or its datasets where they were handed over; compared by hash.
    `of_the_worker`: artifacts, data_dir, device, threads, cache_gb, memory_gb, checkpoint_seconds. Raises
    TasearchError as `optimize` does.
    """
    for name in of_the_worker:
        if name not in OF_THE_WORKER:
            raise ConfigError(f"`{name}` is no setting of a worker", hint=nearest(name, list(OF_THE_WORKER)))
    from tasearch.api.guest import as_guest, display_of

    where = named_where(home, storage, study_name)
    flags, objects = data_flags({**of_the_worker, "home": home, "storage": storage}, dataset)
    with open_existing(existing_url(where)) as records:
        settings = stored_settings(records, study_name, flags, {})
    _refuse_elsewhere([settings.dataset], settings)
    with as_guest() as stop:
        session = open_session(settings, display_of(say), stop, objects)
        return run_session(session, joins=True)


def open_session(settings: Settings, display: Display, stop: StopFlag, objects: Pair | None = None) -> Session:
    """Return the session of a call, everything checked. Raises UsageError, InterruptedStage, KeyboardInterrupt."""
    from tasearch.worker.gpus import on_first_gpu
    from tasearch.worker.ray_launcher import import_ray
    from tasearch.worker.ray_settings import settings_of_driver
    from tasearch.worker.session import Session

    if settings.launcher == "ray":
        # Before data are read: it may be missing.
        import_ray()
        return Session(settings_of_driver(settings), display, stop, objects=objects)
    return Session(on_first_gpu(settings), display, stop, objects=objects)


def run_session(session: Session, *, joins: bool = False) -> StageCounts:
    """Run the study of a session, here or on Ray, and write the notes for the dashboard, whatever its end.

    Raises NoCompletedTrialError, StageFailedError, InterruptedStage.
    """
    from tasearch.api.browsing import note_study
    from tasearch.worker.ray_launcher import run_on_ray

    noting = partial(note_study, session.url, session.plan.study_name, session.display.line)
    try:
        on_ray = session.settings.launcher == "ray"
        counts = run_on_ray(session) if on_ray else session.run(joins=joins, search_ended=noting)
    except (NoCompletedTrialError, StageFailedError):
        # Why each of its trials failed, or what they all stand on, is worth looking at.
        noting()
        raise
    noting()
    return counts


def data_flags(flags: Mapping[str, Any], dataset: str | Pair | None) -> tuple[dict[str, Any], Pair | None]:
    """Return flags with the name of the data, and the datasets themselves where they are objects."""
    if isinstance(dataset, tuple):
        from tasearch.data.given import objects_name

        return {**flags, "dataset": objects_name(dataset)}, dataset
    return {**flags, "dataset": dataset}, None


def _refuse_objects_elsewhere(config: StudyConfig) -> None:
    """Raise ConfigError where other processes would need objects of this one."""
    _refuse_elsewhere([config.teacher, config.student, *(config.tas or ()), config.dataset], config)


def _refuse_elsewhere(names: Iterable[str], settings: Settings) -> None:
    objects = [name for name in names if name.startswith("object:")]
    if objects and (settings.workers != 1 or settings.launcher != "local"):
        raise ConfigError(
            f"{objects[0]} is an object of this process, which other workers do not have",
            hint="use workers=1, or name it as MODULE:NAME, which every process finds",
        )
