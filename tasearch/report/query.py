"""Read one study from its database into a view; nothing is written, no data or model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tasearch.domain.errors import ConfigError, nearest
from tasearch.domain.result import Capacity, FinalRow, TrialRow, TrialState
from tasearch.report.view import ModelPoint, StudyView
from tasearch.search.finals import fairness_notes, opening_notes
from tasearch.search.sampler import calibrates_tas
from tasearch.search.space import SearchSpace
from tasearch.search.standing import stored_rule
from tasearch.search.storage import close_storage, open_storage
from tasearch.search.study import ChainStudy, row_excerpt
from tasearch.search.trial_storage import uncollected
from tasearch.search.verdict import judge
from tasearch.stores.engine import engine_kwargs, hide_password, url_text
from tasearch.stores.records import Records, open_records
from tasearch.stores.stage_outcomes import StageOutcome, stage_outcomes
from tasearch.stores.stages import StageState
from tasearch.stores.studies import StudyRow
from tasearch.stores.transactions import create_tables


def load_view(url: str, study_name: str, *, curves: bool = True) -> StudyView:
    """Return everything a report shows of a study; without `curves` those of its trials are left out.

    Raises ConfigError where there is no such study.
    """
    records = open_records(url)
    try:
        with uncollected():
            return _view(records, find_study(records, study_name), url, curves=curves)
    finally:
        records.close()


def find_study(records: Records, study_name: str) -> StudyRow:
    """Return the record of a study. Raises ConfigError, with the nearest name, where it is unknown."""
    row = records.studies.find(study_name)
    if row is None:
        names = [study.study_name for study in records.studies.list_all()]
        raise ConfigError(
            f"no study named {study_name!r}",
            hint=nearest(study_name, names) if names else "this database has no studies; is --home or --storage right?",
        )
    return row


def space_of(identity: Mapping[str, Any]) -> SearchSpace:
    """Return the search space from a study's stored identity."""
    return SearchSpace(
        teacher=identity["teacher"],
        student=identity["student"],
        ladder=tuple(identity["tas"]),
        max_tas=identity["max_tas"],
        temperatures=tuple(identity["temperatures"]),
        kd_weights=tuple(identity["kd_weights"]),
        scope=identity["scope"],
        is_calibrated=calibrates_tas(identity["sampler"], identity["scope"]),
    )


def _view(records: Records, row: StudyRow, url: str, *, curves: bool) -> StudyView:
    excerpt = row_excerpt(curves=curves)
    storage = create_tables(lambda: open_storage(url_text(url), engine_kwargs(url), excerpt=excerpt), url)
    try:
        trials = tuple(ChainStudy(storage, row.study_name, space_of(row.identity), create=False).rows())
    except KeyError:
        # The first worker has registered the study and not yet begun it.
        trials = ()
    finally:
        close_storage(storage)
    finals = tuple(records.finals.rows(row.study_name))
    stages = stage_outcomes(records.engine, row.study_name)
    complete = {stage.fingerprint: stage for stage in stages if stage.state is StageState.COMPLETE}
    config, teacher, student = row.config, row.identity["teacher"], row.identity["student"]
    capacities = {name: Capacity(**capacity) for name, capacity in config["capacities"].items()}
    opened = tuple(row.attrs.get("test_opened", ()))
    return StudyView(
        study_name=row.study_name,
        storage=hide_password(url),
        created_at=row.created_at.isoformat(timespec="seconds"),
        command=config["command"],
        teacher=_point(teacher, "teacher", capacities, stages),
        student=_point(student, "nokd", capacities, stages),
        ta_capacities={name: capacity for name, capacity in capacities.items() if name not in (teacher, student)},
        dataset=config["data"]["name"],
        num_train=config["data"]["num_train"],
        num_val=config["data"]["num_val"],
        num_test=config["num_test"],
        epochs=config["recipe"]["epochs"],
        config={
            **{name: value for name, value in config["settings"].items() if value is not None},
            **config["recipe"],
            "tas": row.identity["tas"],
            "data": config["data"],
        },
        versions=row.versions,
        environment=_environment(complete),
        num_trials_planned=config["settings"]["trials"],
        trials=trials,
        finals=finals,
        verdict=judge(
            finals,
            lambda last: stored_rule(row.attrs, last),
            [*fairness_notes(trials, finals), *opening_notes(row.attrs)],
        ),
        test_opened=opened,
        stages_trained=len(complete),
        stages_reused=max(0, _asked(trials, finals) + _baselines(stages) - len(complete)),
        scratch=_scratch(records, config.get("scratch", {})),
        failure=next(
            (stage.failure for stage in stages if stage.role in BASELINES and stage.state is StageState.FAILED), None
        ),
        stage_seconds=sum(stage.seconds or 0.0 for stage in complete.values()),
    )


def _scratch(records: Records, fingerprints: Mapping[str, str]) -> dict[str, float]:
    """Return the val accuracy from labels of every model of a study that the store has it of."""
    rows = records.stages.find_many(fingerprints.values())
    found = {name: rows[fingerprint].val_accuracy for name, fingerprint in fingerprints.items() if fingerprint in rows}
    return {name: accuracy for name, accuracy in found.items() if accuracy is not None}


BASELINES = ("teacher", "nokd")
"""Roles of the stages that every study begins with."""


def _point(name: str, role: str, capacities: Mapping[str, Capacity], stages: Sequence[StageOutcome]) -> ModelPoint:
    accuracies = [stage.val_accuracy for stage in stages if stage.role == role]
    return ModelPoint(name=name, capacity=capacities[name], val_accuracy=accuracies[0] if accuracies else None)


def _environment(stages: Mapping[str, StageOutcome]) -> str:
    environments = {stage.environment for stage in stages.values() if stage.environment is not None}
    found = {f"{place.device}, {place.threads} threads, {place.instruction_set}" for place in environments}
    return "; ".join(sorted(found)) or "no stage yet"


def _asked(trials: Sequence[TrialRow], finals: Sequence[FinalRow]) -> int:
    """Return how many stages trials and finals asked for: each answered by training it or by one that was there."""
    complete = [row.chain for row in trials if row.state is TrialState.COMPLETE and row.duplicate_of is None]
    searched = sum(len(chain.path) - 1 for chain in complete if chain is not None)
    trained = [row for row in finals if row.val_accuracy is not None]
    finalists = sum(len(row.chain.path) - 1 if row.chain is not None else 1 for row in trained)
    return searched + finalists


def _baselines(stages: Sequence[StageOutcome]) -> int:
    """Return how many of teacher and NOKD are there."""
    return sum(stage.role in BASELINES and stage.state is StageState.COMPLETE for stage in stages)
