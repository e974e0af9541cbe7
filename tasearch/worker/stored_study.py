"""A study that is in a database, opened with its data and without changing anything of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tasearch.config.normalisation import parse_normalisation
from tasearch.config.settings import Settings
from tasearch.data.dataset import DataRequest, Dataset
from tasearch.data.registry import load_dataset
from tasearch.data.survey import OnRead
from tasearch.domain.errors import ArtifactError, ConfigError, StorageError
from tasearch.domain.spec import StageSpec
from tasearch.models.switches import switches_kept
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.home import Home
from tasearch.stores.records import Records
from tasearch.stores.shared_artifacts import place_of, token_of
from tasearch.stores.stages import StageRow, StageState
from tasearch.stores.studies import StudyRow
from tasearch.worker.identity import identity_difference, net_parts, refuse_other_code
from tasearch.worker.refusal import DataFolderGuard
from tasearch.worker.study_plan import StudyPlan, augment_of, build_plan


@dataclass(frozen=True, kw_only=True)
class StoredStudy:
    """A study with its plan and data; the data are those it was created with."""

    row: StudyRow
    plan: StudyPlan
    dataset: Dataset
    artifacts: ArtifactStore
    records: Records


def open_stored_study(
    row: StudyRow,
    records: Records,
    settings: Settings,
    device: torch.device,
    on_read: OnRead,
    objects: tuple[Any, Any] | None = None,
) -> StoredStudy:
    """Load the data of a study and check by hash that they are its own.

    `settings`: as `joining_settings` gives them; `device`: where the images will be used; `objects`: its data,
    where they were handed over in Python. Raises DataError, and
    ConfigError where something that changes a stage is not as it was.
    """
    data_dir = settings.data_dir or Home(settings.home).data
    with DataFolderGuard(data_dir).undone_if_refused():
        dataset = dataset_of(data_request(settings, data_dir, device, objects), on_read)
        plan = build_plan(settings, dataset)
        _refuse_others(row, plan)
    return StoredStudy(
        row=row,
        plan=plan.with_precision(row.config["recipe"]["precision"]),
        dataset=dataset,
        artifacts=ArtifactStore(settings.artifacts or str(Home(settings.home).artifacts)),
        records=records,
    )


def data_request(
    settings: Settings, data_dir: Path, device: torch.device, objects: tuple[Any, Any] | None = None
) -> DataRequest:
    """Return the data that settings ask for, to be used on a device; `objects`: handed over in Python."""
    return DataRequest(
        name=settings.dataset,
        data_dir=data_dir,
        image_size=settings.image_size,
        limit_train=settings.limit_train,
        augment=augment_of(settings),
        normalisation=None if settings.normalize is None else parse_normalisation(settings.normalize),
        memory_bytes=None if settings.memory_gb is None else int(settings.memory_gb * 1e9),
        device=device,
        objects=objects,
    )


def dataset_of(request: DataRequest, on_read: OnRead) -> Dataset:
    """Load data; what a user's callable sets for the whole process is put back. Raises DataError, InterruptedStage."""
    with switches_kept(f"--dataset {request.name}"):
        return load_dataset(request, on_read=on_read)


def recorded_stage(study: StoredStudy, spec: StageSpec) -> StageRow:
    """Return the record of a stage that is complete. Raises StorageError where the database has it no more."""
    row = study.records.stages.find(spec.fingerprint)
    if row is None or row.state is not StageState.COMPLETE or row.artifact_id is None:
        raise StorageError(
            f"stage {spec.label} is not complete in this database (any more)",
            hint="`tasearch doctor` says what is wrong with the weights of a study",
        )
    return row


def weights_of(study: StoredStudy, spec: StageSpec) -> bytes:
    """Return the weights of a stage that is complete, checked by hash. Raises StorageError, ArtifactError."""
    artifact_id = recorded_stage(study, spec).artifact_id
    assert artifact_id is not None
    try:
        return study.artifacts.get(artifact_id)
    except ArtifactError as error:
        kept = (
            ""
            if token_of(study.row.attrs) is None
            else f"; the study's workers kept them at {place_of(study.row.attrs)}"
        )
        raise ArtifactError(
            f"the weights of {spec.label} cannot be had: {error.message}",
            hint=f"say with --artifacts where the weights are, or put the file back there{kept}",
        ) from error


def _refuse_others(row: StudyRow, plan: StudyPlan) -> None:
    """Raise ConfigError where the data here, or this version's way to train, are not those of the study."""
    refuse_other_code(row.study_name, row.identity, plan.identity, net_parts(row.config, plan.stages))
    difference = identity_difference(row.identity, plan.identity)
    if not difference:
        return
    data = row.config["data"]
    if all(line.startswith("data.") for line in difference):
        raise ConfigError(
            f"these are not the data of study {row.study_name!r}: {'; '.join(difference)}",
            hint=f"say with --dataset or --data-dir where its data are: {data['name']}, {data['num_train']:,} training "
            f"and {data['num_val']:,} val images",
        )
    raise ConfigError(
        f"study {row.study_name!r} cannot be opened as it was created: {'; '.join(difference)}",
        hint=f"use the version of tasearch that created it ({row.versions.get('tasearch', 'not recorded')})",
    )
