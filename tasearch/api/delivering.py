"""The winner out of the door, and a trial trained again: what `tasearch export` and `tasearch reproduce` do."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasearch.api.config import Pair
from tasearch.api.existing import choose_study, existing_url, named_where, open_existing, stored_settings
from tasearch.api.running import data_flags
from tasearch.domain.errors import ConfigError
from tasearch.domain.result import TrialState

if TYPE_CHECKING:
    from tasearch.api.guest import Say
    from tasearch.domain.spec import ChainSpec
    from tasearch.report.view import StudyView
    from tasearch.search.winner import Choice
    from tasearch.stores.records import Records
    from tasearch.worker.progress import Display
    from tasearch.worker.reproduction import Reproduction
    from tasearch.worker.signals import StopFlag

HOME = Path("tasearch-data")


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A student that was written for use without tasearch."""

    folder: Path
    files: tuple[Path, ...]
    """Of the formats, and beside them the model card `README.md` and `model.json`."""
    facts: Mapping[str, Any]
    """What `model.json` holds: chain, accuracies with intervals, latency, data, normalisation, class names, checks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What an export or a reproduction is asked for."""

    study_name: str | None
    """None: the newest one."""
    flags: Mapping[str, Any]
    """Settings of whoever asks, as `joining_settings` takes them."""
    environment: Mapping[str, str]
    objects: Pair | None = None
    """The study's datasets, where they were handed over in Python."""


def export_student(
    study_name: str | None = None,
    *,
    out: Path | str,
    chain: int | None = None,
    formats: str | Sequence[str] = ("safetensors",),
    force: bool = False,
    home: Path | str = HOME,
    storage: str | None = None,
    artifacts: str | None = None,
    dataset: str | Pair | None = None,
) -> Exported:
    """Write the winning student of a study, or that of the chain of a rank, into a folder, with a model card.

    `formats`: of safetensors, torch-export and onnx, one or several. `dataset`: where the study's data are here, or its
    datasets where they were handed over. Raises ConfigError, StorageError, DataError, ArtifactError, and TasearchError
    where a format that was loaded back disagrees with the network; nothing is left in the folder then.
    """
    from tasearch.api.guest import as_guest, display_of
    from tasearch.stores.delivery import check_destination
    from tasearch.worker.export import parse_formats

    asked = parse_formats(formats if isinstance(formats, str) else ",".join(formats))
    folder = Path(out)
    check_destination(folder, force=force)
    flags, objects = data_flags({"home": home, "storage": storage, "artifacts": artifacts}, dataset)
    wanted = Wanted(study_name=study_name, flags=flags, environment={}, objects=objects)
    url = existing_url(named_where(home, storage, study_name))
    with as_guest() as stop, open_existing(url) as records:
        facts = carry_out_export(
            records, url, wanted, display_of(None), stop, chain=chain, formats=asked, folder=folder, force=force
        )
    files = tuple(folder / name for name in [*facts["files"], "README.md", "model.json"])
    return Exported(folder=folder, files=files, facts=facts)


def carry_out_export(
    records: Records,
    url: str,
    wanted: Wanted,
    display: Display,
    stop: StopFlag,
    *,
    chain: int | None,
    formats: tuple[str, ...],
    folder: Path,
    force: bool,
) -> dict[str, Any]:
    """Export from a database that is open and return the facts of `model.json`. Raises as `export_student`."""
    from tasearch.report.query import load_view
    from tasearch.training.device import resolve_device
    from tasearch.worker.export import ExportRequest, export_run
    from tasearch.worker.progress import FirstReading
    from tasearch.worker.stored_study import open_stored_study

    row = choose_study(records, wanted.study_name)
    view = load_view(url, row.study_name, curves=False)
    choice = _chosen(view, chain)
    settings = stored_settings(records, row.study_name, wanted.flags, wanted.environment)
    study = open_stored_study(
        row,
        records,
        settings.model_copy(update={"device": "cpu"}),
        resolve_device("cpu"),
        FirstReading(display, stop),
        wanted.objects,
    )
    request = ExportRequest(
        formats=formats,
        folder=folder,
        force=force,
        command=_export_command(row.study_name, chain, formats, folder),
        verdict=None if view.verdict is None else view.verdict.text,
    )
    return export_run(study, choice, request)


def reproduce_trial(
    trial: int,
    study_name: str | None = None,
    *,
    with_teacher: bool = False,
    home: Path | str = HOME,
    storage: str | None = None,
    artifacts: str | None = None,
    dataset: str | Pair | None = None,
    device: str | None = None,
    say: Say | None = None,
) -> Reproduction:
    """Train the stages of a trial again, apart from the study, and return how they compare.

    Without a name the study is the newest one. `dataset` as for `export_student`. Raises ConfigError, StorageError,
    DataError, ArtifactError, StageFailedError.
    """
    from tasearch.api.guest import as_guest, display_of

    flags, objects = data_flags({"home": home, "storage": storage, "artifacts": artifacts, "device": device}, dataset)
    wanted = Wanted(study_name=study_name, flags=flags, environment={}, objects=objects)
    url = existing_url(named_where(home, storage, study_name))
    with as_guest() as stop, open_existing(url) as records:
        _, found = carry_out_reproduction(
            records, url, wanted, display_of(say), stop, number=trial, with_teacher=with_teacher
        )
    return found


def carry_out_reproduction(
    records: Records,
    url: str,
    wanted: Wanted,
    display: Display,
    stop: StopFlag,
    *,
    number: int,
    with_teacher: bool,
) -> tuple[str, Reproduction]:
    """Reproduce from a database that is open; returns the study's name too. Raises as `reproduce_trial`."""
    from tasearch.report.query import load_view
    from tasearch.stores.home import Home
    from tasearch.training.device import resolve_device
    from tasearch.worker.progress import FirstReading
    from tasearch.worker.reproduction import RepeatWatcher, reproduce
    from tasearch.worker.stored_study import open_stored_study

    row = choose_study(records, wanted.study_name)
    chain = _chain_of(load_view(url, row.study_name, curves=False), number)
    settings = stored_settings(records, row.study_name, wanted.flags, wanted.environment)
    device = resolve_device(settings.device)
    study = open_stored_study(row, records, settings, device, FirstReading(display, stop), wanted.objects)
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
    return row.study_name, found


def _chosen(view: StudyView, rank: int | None) -> Choice:
    from tasearch.search.winner import run_of_chain, winning_run

    if rank is None:
        return winning_run(view.verdict, view.finals, view.study_name)
    if not 0 < rank <= len(view.ranking):
        raise ConfigError(
            f"--chain {rank}: the ranking of study {view.study_name!r} has {len(view.ranking)} chains",
            hint=f"say --chain 1 to --chain {len(view.ranking)}; `tasearch report` shows them"
            if view.ranking
            else "no trial has completed yet",
        )
    found = view.ranking[rank - 1]
    return run_of_chain(found.chain, found.val_accuracy, view.verdict, view.finals)


def _export_command(study_name: str, chain: int | None, formats: tuple[str, ...], folder: Path) -> str:
    rank = () if chain is None else ("--chain", str(chain))
    return shlex.join(
        ["tasearch", "export", "--study-name", study_name, *rank, "--format", ",".join(formats), "--out", str(folder)]
    )


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
