"""Stages that a sampler wants trained outside of trials: rungs to build on, edges to calibrate by."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tasearch.domain.errors import StageFailedError
from tasearch.domain.result import StageResult
from tasearch.domain.spec import StageSpec
from tasearch.search.study import ChainStudy
from tasearch.stores.stages import StageRecords, StageState
from tasearch.worker.retries import PASSING_ERRORS, reason_of
from tasearch.worker.study_plan import StudyPlan

logger = logging.getLogger(__name__)


def train_wanted(
    study: ChainStudy, plan: StudyPlan, records: StageRecords, run: Callable[[StageSpec, str], StageResult]
) -> bool:
    """Train one stage that the sampler wants and record its accuracy; False where it wants none.

    One that no other worker is on, if there is one; otherwise the first is waited for. `run` gives the result of a
    stage, after as many tries as are worth it. Raises InterruptedStage. A stage that fails is recorded as such and not
    asked for again.
    """
    if study.num_counted() >= plan.settings.trials:
        return False
    wanted = study.wanted_stages()
    if not wanted:
        return False
    specs = {chain: plan.stages.chain(chain)[-1] for chain in wanted}
    rows = records.find_many(spec.fingerprint for spec in specs.values())
    under_way = {name for name, row in rows.items() if row.state is StageState.RUNNING}
    free = [chain for chain in wanted if specs[chain].fingerprint not in under_way]
    chain = (free or wanted)[0]
    try:
        study.record_stage(chain, run(specs[chain], "rung").val_accuracy)
    except (StageFailedError, *PASSING_ERRORS) as error:
        logger.debug("stage %s", specs[chain].label, exc_info=True)
        study.record_stage(chain, 0.0, reason_of(error))
    return True
