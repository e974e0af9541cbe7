"""Read one study from its database into a view; nothing is written, no data or model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tasearch.domain.balance import imbalance
from tasearch.domain.errors import ConfigError, StorageError, nearest
from tasearch.domain.landscape import Landscape
from tasearch.domain.latency import latency_tables
from tasearch.domain.metric import ACCURACY, in_words
from tasearch.domain.result import Capacity, FinalRow, TrialRow, TrialState
from tasearch.report.view import ModelPoint, StudyView
from tasearch.report.wording import plural
from tasearch.search.finals import MODEL_REMARKS, fairness_notes, model_notes, opening_notes
from tasearch.search.importance import chain_importances
from tasearch.search.sampler import calibrates_tas
from tasearch.search.space import RECOMMENDED_KD_WEIGHT, RECOMMENDED_TEMPERATURE, SearchSpace
from tasearch.search.standing import stored_rule
from tasearch.search.storage import close_storage, open_storage
from tasearch.search.study import ChainStudy, foreign_studies, row_excerpt
from tasearch.search.trial_storage import uncollected
from tasearch.search.verdict import judge
from tasearch.stores.engine import engine_kwargs, hide_password, url_text
from tasearch.stores.reading import guard, has_optuna_tables, open_readable, readable_url, study_names
from tasearch.stores.records import Records
from tasearch.stores.stage_outcomes import StageOutcome, num_retries, stage_details, stage_outcomes
from tasearch.stores.stages import StageState
from tasearch.stores.studies import StudyRow


def load_view(url: str, study_name: str | None, *, curves: bool = True) -> StudyView:
    """Return everything a report shows of a study, by default of the newest one of the database.

    Nothing is written, and the right to write is not needed. Without `curves` only what a terminal shows is read: no
    curves of trials, no stages, no importances. Raises ConfigError where there is no such study, or one that tasearch
    did not make, and StorageError where the database cannot be read.
    """
    readable = readable_url(url)
    _refuse_foreign(readable, study_name)
    records = open_readable(readable)
    try:
        with uncollected():
            row = newest_study(records) if study_name is None else refuse_gap(find_study(records, study_name))
            return _view(records, row, readable, hide_password(url), full=curves)
    finally:
        records.close()


def newest_study(records: Records) -> StudyRow:
    """Return the search of a database that was created last. Raises StorageError where there is none."""
    studies = [study for study in records.studies.list_all() if "gap" not in study.identity]
    if not studies:
        raise StorageError("this database has no studies", hint="is --home or --storage right?")
    return studies[-1]


def refuse_gap(study: StudyRow) -> StudyRow:
    """Return the study; raises ConfigError where it is a measurement of `tasearch gap`, which has no trials."""
    if "gap" in study.identity:
        raise ConfigError(
            f"study {study.study_name!r} is a measurement of `tasearch gap`: it has no trials and no verdict",
            hint=f"its command goes on with it and writes its report: {study.config['command']}",
        )
    return study


def _refuse_foreign(url: Any, study_name: str | None) -> None:
    """Raise ConfigError where a study of this name (None: any) was made with Optuna and not by tasearch."""
    names = study_names(url)
    if study_name in names or (study_name is None and names) or not has_optuna_tables(url):
        return
    storage = open_storage(url_text(url), engine_kwargs(url), guard, excerpt=row_excerpt(curves=False), create=False)
    try:
        theirs = foreign_studies(storage, names)
    finally:
        close_storage(storage)
    meant = theirs if study_name is None else [one for one in theirs if one.study_name == study_name]
    if not meant:
        return
    one = meant[-1]
    params = f"its parameters are {', '.join(one.params)}" if one.params else "it has no trials"
    raise ConfigError(
        f"study {one.study_name!r} was made with Optuna, not by tasearch: {params}, which say nothing of chains",
        hint="look at it with `optuna-dashboard URL`; `tasearch studies` lists the studies that have a report",
    )


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
        ta_pair=tuple(identity.get("ta_pair", (RECOMMENDED_TEMPERATURE, RECOMMENDED_KD_WEIGHT))),
    )


def _trials(row: StudyRow, url: Any, *, full: bool) -> tuple[TrialRow, ...]:
    """Return the trials of a study; none where the first worker has registered it and not yet begun it."""
    if not has_optuna_tables(url):
        return ()
    storage = open_storage(url_text(url), engine_kwargs(url), guard, excerpt=row_excerpt(curves=full), create=False)
    try:
        return tuple(ChainStudy(storage, row.study_name, space_of(row.identity), create=False).rows())
    except KeyError:
        return ()
    finally:
        close_storage(storage)


def _view(records: Records, row: StudyRow, url: Any, storage: str, *, full: bool) -> StudyView:
    """`storage`: URL of the database as it is shown."""
    trials = _trials(row, url, full=full)
    finals = tuple(records.finals.rows(row.study_name))
    stages = stage_outcomes(records.engine, row.study_name)
    complete = {stage.fingerprint: stage for stage in stages if stage.state is StageState.COMPLETE}
    created_at = row.created_at.isoformat(timespec="seconds")
    created = datetime.fromisoformat(created_at)
    own = [stage for stage in complete.values() if stage.finished_at is None or stage.finished_at >= created]
    config, teacher, student = row.config, row.identity["teacher"], row.identity["student"]
    capacities = {name: Capacity(**capacity) for name, capacity in config["capacities"].items()}
    metric = row.identity.get("metric", ACCURACY)
    opened = tuple(row.attrs.get("test_opened", ()))
    verdict = judge(
        finals,
        lambda last: stored_rule(row.attrs, last),
        [
            *fairness_notes(trials, finals),
            *opening_notes(row.attrs),
            *model_notes(config.get(MODEL_REMARKS, ())),
            *([] if trials else [_NO_TRIALS]),
        ],
        measure=in_words(metric),
    )
    return StudyView(
        study_name=row.study_name,
        storage=storage,
        created_at=created_at,
        command=config["command"],
        teacher=_point(teacher, "teacher", capacities, stages),
        student=_point(student, "nokd", capacities, stages),
        ta_capacities={name: capacity for name, capacity in capacities.items() if name not in (teacher, student)},
        dataset=config["data"]["name"],
        num_train=config["data"]["num_train"],
        num_val=config["data"]["num_val"],
        num_test=config["num_test"],
        num_classes=config["data"]["num_classes"],
        given_teacher=row.identity.get("teacher_weights"),
        epochs=config["recipe"]["epochs"],
        config={
            **{name: value for name, value in config["settings"].items() if value is not None},
            **config["recipe"],
            "tas": row.identity["tas"],
            "data": config["data"],
        },
        versions=row.versions,
        threads=_threads(complete),
        environment=_environment(complete),
        num_trials_planned=config["settings"]["trials"],
        trials=trials,
        finals=finals,
        verdict=verdict,
        earlier_verdict=_earlier_verdict(row, finals, metric) if verdict is None else None,
        test_opened=opened,
        stages_trained=len(own),
        stages_reused=max(0, _asked(trials, finals) + _beside_trials(stages) - len(own)),
        scratch=_scratch(records, config.get("scratch", {})),
        failure=next(
            (stage.failure for stage in stages if stage.role in BASELINES and stage.state is StageState.FAILED), None
        ),
        stage_seconds=sum(stage.seconds or 0.0 for stage in own),
        stages=tuple(stage_details(records.engine, row.study_name)) if full else (),
        importances=chain_importances(trials) if full else (),
        num_retries=num_retries(records.engine, row.study_name) if full else 0,
        landscape=Landscape.from_plain(row.attrs[Landscape.ATTR]) if full and Landscape.ATTR in row.attrs else None,
        data_hash=config["data"]["content_hash"],
        metric=metric,
        latency=next(reversed(latency_tables(row.attrs)), None),
        data_remarks=_data_remarks(config),
        val_counts=tuple(config["class_counts"]["val"]) if "class_counts" in config else None,
    )


def _earlier_verdict(row: StudyRow, finals: Sequence[FinalRow], metric: str) -> str | None:
    """Return what the round of finals before the last one came to; None where there was none."""
    last = max((final.round for final in finals), default=0)
    earlier = [final for final in finals if final.round < last]
    found = judge(earlier, lambda number: stored_rule(row.attrs, number), measure=in_words(metric))
    return None if found is None else found.text


def _data_remarks(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what is to be said of a study's images and classes; nothing of studies from before it was recorded."""
    uneven = imbalance(config["class_names"], config["class_counts"]) if "class_counts" in config else None
    return (*config.get("data_remarks", ()), *([] if uneven is None else [uneven]))


def _scratch(records: Records, fingerprints: Mapping[str, str]) -> dict[str, float]:
    """Return the val accuracy from labels of every model of a study that the store has it of."""
    rows = records.stages.find_many(fingerprints.values())
    found = {name: rows[fingerprint].val_accuracy for name, fingerprint in fingerprints.items() if fingerprint in rows}
    return {name: accuracy for name, accuracy in found.items() if accuracy is not None}


_NO_TRIALS = "the search's trials are no longer in the database: they were deleted after the finals"
BASELINES = ("teacher", "nokd")
"""Roles of the stages that every study begins with."""


def _point(name: str, role: str, capacities: Mapping[str, Capacity], stages: Sequence[StageOutcome]) -> ModelPoint:
    accuracies = [stage.val_accuracy for stage in stages if stage.role == role]
    return ModelPoint(name=name, capacity=capacities[name], val_accuracy=accuracies[0] if accuracies else None)


def _environment(stages: Mapping[str, StageOutcome]) -> str:
    ends = [stage.environment for stage in stages.values() if stage.environment is not None]
    places = {place for end in ends for place in (end, *end.earlier)}
    found = {f"{place.device}, {plural(place.threads, 'thread')}, {place.instruction_set}" for place in places}
    moved = sum(bool(end.earlier) for end in ends)
    said = f" ({plural(moved, 'stage')} begun in one environment and finished in another)" if moved else ""
    return "; ".join(sorted(found)) + said or "no stage yet"


def _threads(stages: Mapping[str, StageOutcome]) -> int | None:
    found = {place.threads for stage in stages.values() if (place := stage.environment) and place.device[:3] == "cpu"}
    return found.pop() if len(found) == 1 else None


def _asked(trials: Sequence[TrialRow], finals: Sequence[FinalRow]) -> int:
    """Return how many stages trials and finals asked for: each answered by training it or by one that was there."""
    complete = [row.chain for row in trials if row.state is TrialState.COMPLETE and row.duplicate_of is None]
    searched = sum(len(chain.path) - 1 for chain in complete if chain is not None)
    trained = [row for row in finals if row.val_accuracy is not None]
    finalists = sum(len(row.chain.path) - 1 if row.chain is not None else 1 for row in trained)
    return searched + finalists


def _beside_trials(stages: Sequence[StageOutcome]) -> int:
    """Return how many stages are there that were asked for outside of trials: teacher, NOKD, and for the sampler."""
    asked = (*BASELINES, "rung")
    return sum(stage.role in asked and stage.state is StageState.COMPLETE for stage in stages)
