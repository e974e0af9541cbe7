"""Latency of a study's models: measured once in each place, kept with the study."""

from __future__ import annotations

from typing import Any

import torch

from tasearch.domain.fingerprint import plain
from tasearch.domain.latency import ATTR, latency_tables
from tasearch.stores.records import Records
from tasearch.training.device import environment
from tasearch.training.latency import latencies
from tasearch.training.loop import InterruptedStage
from tasearch.worker.progress import Display
from tasearch.worker.signals import StopFlag
from tasearch.worker.study_plan import StudyPlan


def measure_latencies(
    records: Records, plan: StudyPlan, device: torch.device, display: Display, stop: StopFlag
) -> None:
    """Measure every model of a study on a device unless that was done in this very place, and store it as the latest.

    Call it before other workers start: they would share the cores. Raises InterruptedStage after a signal.
    """
    study = records.studies.find(plan.study_name)
    known = [] if study is None else latency_tables(study.attrs)
    place = environment(device)
    models = [plan.stages.model(name) for name in plan.capacities]
    here = (place.device, place.threads, place.torch_version)
    found = [one for one in known if one.place == here and set(one.models) >= set(plan.capacities)]
    if found and found[-1] is known[-1]:
        return

    def tick() -> None:
        if stop.is_set:
            raise InterruptedStage

    if not found:
        display.line(f"measuring latency of {len(models)} models on {place.device}, CPU threads: {place.threads}")
    table = found[-1] if found else latencies(models, device, tick)

    def edit(attrs: dict[str, Any], _now: float) -> dict[str, Any]:
        others = [plain(one) for one in latency_tables(attrs) if one.place != table.place]
        return attrs | {ATTR: [*others, plain(table)]}

    records.studies.edit_attrs(plan.study_name, edit)
