"""`tasearch export`: the weights of one run, in formats that need no tasearch, with a card that says what they are."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tasearch.domain.errors import ConfigError, nearest
from tasearch.domain.latency import latency_tables
from tasearch.domain.result import Interval
from tasearch.domain.spec import StageSpec
from tasearch.models.standalone import network_source
from tasearch.search.winner import Choice
from tasearch.stores.delivery import delivered
from tasearch.stores.studies import StudyRow
from tasearch.training.export import (
    EVERY_FILE,
    FILES,
    ONNX,
    SAFETENSORS,
    Check,
    Exportable,
    Sample,
    check,
    exportable,
    module_name,
    sample_of,
    write,
)
from tasearch.worker.model_card import card
from tasearch.worker.stored_study import StoredStudy, recorded_stage, weights_of

CARD, FACTS = "README.md", "model.json"
EVERY_NAME = frozenset({CARD, FACTS, *EVERY_FILE})
"""Every file that an export may consist of."""
_LIBRARIES = ("tasearch", "torch", "safetensors")


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What is to be written, and where."""

    formats: tuple[str, ...]
    """Of `training.export.FILES`."""
    folder: Path
    force: bool
    """Whether files of an earlier export may be replaced."""
    command: str
    """The command line that asks for this."""
    verdict: str | None
    """The study's sentence, where it has one."""


def export_run(study: StoredStudy, choice: Choice, request: ExportRequest) -> dict[str, Any]:
    """Write the student of a run in every format asked for and return the facts of `model.json`.

    Raises ConfigError, StorageError or ArtifactError where that cannot be done, TasearchError where a format that was
    loaded back disagrees with the network that was trained; nothing is left in the folder then.
    """
    spec = stage_of(study, choice)
    model = exportable(spec.student, weights_of(study, spec), study.dataset)
    sample = sample_of(model, study.dataset)
    with delivered(request.folder, EVERY_NAME, force=request.force) as folder:
        checks = [_written(model, format_, folder, sample) for format_ in request.formats]
        facts = _facts(study, choice, spec, model, request)
        facts["checks"] = [dataclasses.asdict(one) for one in checks]
        facts["files"] = {path.name: _file_facts(path) for path in sorted(folder.iterdir())}
        (folder / CARD).write_text(card(facts), encoding="utf-8")
        (folder / FACTS).write_text(json.dumps(facts, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return facts


def stage_of(study: StoredStudy, choice: Choice) -> StageSpec:
    """Return the stage that trained the student of a run."""
    stages = study.plan.stages
    if choice.chain is None:
        return stages.from_labels(study.plan.space.student, choice.replicate)
    return stages.chain(choice.chain, choice.replicate)[-1]


def _written(model: Exportable, format_: str, folder: Path, sample: Sample) -> Check:
    write(model, format_, folder)
    return check(format_, folder, sample)


def _facts(
    study: StoredStudy, choice: Choice, spec: StageSpec, model: Exportable, request: ExportRequest
) -> dict[str, Any]:
    row, config, data = study.row, study.row.config, spec.data
    stage = recorded_stage(study, spec)
    score = choice.score
    libraries = (*_LIBRARIES, *(("onnx", "onnxscript") if ONNX in request.formats else ()))
    return {
        "study_name": row.study_name,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": {
            "name": spec.student.name,
            **config["capacities"][spec.student.name],
            "needs": _needs(model, request),
        },
        "latency": _latency(row, spec.student.name),
        "arm": choice.arm,
        "role": None if choice.role is None else choice.role.value,
        "path": [spec.student.name] if choice.chain is None else list(choice.chain.path),
        "temperatures": [] if choice.chain is None else list(choice.chain.temperatures),
        "kd_weights": [] if choice.chain is None else list(choice.chain.kd_weights),
        "stage": {"fingerprint": stage.fingerprint, "artifact_id": stage.artifact_id, "replicate": choice.replicate},
        "metric": study.plan.stages.metric,
        "accuracy": {"val": choice.val_accuracy, "test": choice.test_accuracy},
        "finals": None
        if choice.val is None
        else {
            "n": choice.val.n,
            "val": _interval(choice.val),
            "test": _interval(choice.test),
            "versus_blkd": None if score is None else _interval(score.versus_blkd),
            "versus_nokd": None if score is None else _interval(score.versus_nokd),
        },
        "verdict": request.verdict,
        "data": {
            "name": data.name,
            "content_hash": data.content_hash,
            "test_hash": study.plan.test_hash,
            "num_train": data.num_train,
            "num_val": data.num_val,
            "num_test": config["num_test"],
        },
        "input": {
            "name": "images",
            "type": "float32",
            "shape": ["N", data.channels, data.image_size, data.image_size],
            "range": [0.0, 1.0],
        },
        "preparation": {"resized_to": data.image_size, "remarks": list(study.dataset.remarks)},
        "output": {"name": "logits", "type": "float32", "shape": ["N", data.num_classes]},
        "normalisation": {"mean": list(model.mean), "std": list(model.std), "inside": True, "given": bool(data.mean)},
        "class_names": list(study.dataset.class_names),
        "recipe": config["recipe"],
        "environment": None if stage.environment is None else dataclasses.asdict(stage.environment),
        "versions": {"trained": dict(row.versions), "exported": {name: version(name) for name in libraries}},
        "commands": {"study": config["command"], "export": request.command},
        "formats": list(request.formats),
    }


def _latency(row: StudyRow, model: str) -> dict[str, Any] | None:
    """Return what was measured of a model, in the place where that was done last."""
    tables = latency_tables(row.attrs)
    if not tables:
        return None
    place = tables[-1]
    return {
        "device": place.device,
        "threads": place.threads,
        "torch_version": place.torch_version,
        "timings": [dataclasses.asdict(timing) for timing in place.models.get(model, ())],
    }


def _needs(model: Exportable, request: ExportRequest) -> dict[str, Any]:
    """Return what has to be there to load the format safetensors, beside its files."""
    if SAFETENSORS not in request.formats:
        return {"packages": [], "own_code": None, "module": None}
    source = network_source(model.spec)
    return {
        "packages": ["torch", "safetensors", *source.packages],
        "own_code": source.own_code,
        "module": module_name(model.spec),
    }


def _interval(value: Interval | None) -> dict[str, float | int | None] | None:
    if value is None:
        return None
    return {"mean": value.mean, "ci_low": value.low, "ci_high": value.high, "n": value.n}


def _file_facts(path: Path) -> dict[str, int | str]:
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def parse_formats(text: str) -> tuple[str, ...]:
    """Return the formats of a comma list, each once, in the order of `FILES`. Raises ConfigError."""
    asked = [part.strip() for part in text.split(",") if part.strip()]
    for name in asked:
        if name not in FILES:
            raise ConfigError(f"--format: unknown format {name!r}", hint=nearest(name, list(FILES)))
    if not asked:
        raise ConfigError("--format is empty", hint=f"known: {', '.join(FILES)}")
    return tuple(name for name in FILES if name in asked)
