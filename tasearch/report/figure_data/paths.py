"""The tree of paths: which models taught which, how often, and how well that went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasearch.report.stages import SEARCH_REPLICATE, StageRecord, stage_records
from tasearch.report.view import StudyView

MOST_PATHS = 36
"""Paths to the student that are drawn at most: the best ones, which a reader can still follow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PathNode:
    """One model at the end of one path from the teacher: all stages that trained it there."""

    path: tuple[str, ...]
    stages: int
    """Stages trained, one for each sequence of pairs and each replicate."""
    runs: int
    """Completed trials and runs of the finals that pass here: the width of the branch."""
    best_val_accuracy: float | None
    """On the search replicate; None where no stage of it is there."""
    temperature: float | None
    """Of the best stage, as `kd_weight`; None for the teacher."""
    kd_weight: float | None
    standing: float | None
    """Where the best stage stands among the nodes of its model: 0 the worst, 1 the best, 0.5 the only one."""
    seconds: float
    """Training time of its stages."""

    @property
    def model(self) -> str:
        """The model that was trained."""
        return self.path[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class PathsInfo:
    """The tree of everything that was trained from the teacher down, or from a TA that learned from labels."""

    columns: tuple[str, ...]
    """Models, largest first."""
    nodes: tuple[PathNode, ...]
    """Depth first, the teacher first; larger models before smaller ones."""
    num_paths: int
    """Distinct paths to the student."""
    shown: tuple[PathNode, ...]
    """The part of `nodes` that is drawn: the best `MOST_PATHS` paths to the student and what they stand on."""


def paths_info(view: StudyView) -> PathsInfo:
    """Return the tree; without stages it is empty."""
    sizes = {name: capacity.num_params for name, capacity in view.ta_capacities.items()} | {
        view.teacher.name: view.teacher.capacity.num_params,
        view.student.name: view.student.capacity.num_params,
    }
    grouped: dict[tuple[str, ...], list[StageRecord]] = {}
    records = stage_records(view)
    # TAs from labels are taught by nobody, so that their branches begin with them.
    roots = {view.teacher.name} | {record.path[0] for record in records if record.is_complete and len(record.path) > 1}
    for record in records:
        if record.is_complete and record.path[0] in roots and set(record.path) <= set(sizes):
            grouped.setdefault(record.path, []).append(record)
    best = {path: _best(records) for path, records in grouped.items()}
    standings = _standings(best)
    nodes = tuple(
        _node(path, grouped[path], best[path], standings.get(path))
        for path in sorted(grouped, key=lambda path: [-sizes[name] for name in path])
    )
    to_student = [node for node in nodes if node.model == view.student.name]
    used = {name for node in nodes for name in node.path}
    return PathsInfo(
        columns=tuple(sorted(used, key=lambda name: -sizes[name])),
        nodes=nodes,
        num_paths=len(to_student),
        shown=_shown(nodes, to_student),
    )


def _node(
    path: tuple[str, ...], records: list[StageRecord], best: StageRecord | None, standing: float | None
) -> PathNode:
    return PathNode(
        path=path,
        stages=len(records),
        runs=sum(record.runs for record in records),
        best_val_accuracy=None if best is None else best.val_accuracy,
        temperature=None if best is None else best.temperature,
        kd_weight=None if best is None else best.kd_weight,
        standing=standing,
        seconds=sum(record.seconds or 0.0 for record in records),
    )


def _best(records: Iterable[StageRecord]) -> StageRecord | None:
    known = [record for record in records if record.replicate == SEARCH_REPLICATE and record.val_accuracy is not None]
    return max(known, key=lambda record: record.val_accuracy or 0.0, default=None)


def _standings(best: Mapping[tuple[str, ...], StageRecord | None]) -> dict[tuple[str, ...], float]:
    """Place each node between the worst and the best of its model."""
    by_model: dict[str, list[float]] = {}
    known = {path: record.val_accuracy for path, record in best.items() if record is not None}
    for path, accuracy in known.items():
        by_model.setdefault(path[-1], []).append(accuracy or 0.0)
    found = {}
    for path, accuracy in known.items():
        low, high = min(by_model[path[-1]]), max(by_model[path[-1]])
        found[path] = ((accuracy or 0.0) - low) / (high - low) if high > low else 0.5
    return found


def _shown(nodes: Iterable[PathNode], to_student: list[PathNode]) -> tuple[PathNode, ...]:
    if len(to_student) <= MOST_PATHS:
        return tuple(nodes)
    kept = sorted(to_student, key=lambda node: -(node.best_val_accuracy or 0.0))[:MOST_PATHS]
    needed = {node.path[:length] for node in kept for length in range(1, len(node.path) + 1)}
    return tuple(node for node in nodes if node.path in needed)
