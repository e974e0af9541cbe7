"""Stages that a sampler wants trained outside of trials: rungs to build on, edges to calibrate by."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator

from tasearch.chain.tasks import Delivered, Need, Task
from tasearch.domain.errors import StageFailedError
from tasearch.domain.result import StageResult
from tasearch.domain.spec import ChainSpec, StageSpec
from tasearch.search.study import ChainStudy
from tasearch.stores.stages import StageRecords, StageState
from tasearch.worker.retries import PASSING_ERRORS, is_of_the_work, reason_of
from tasearch.worker.study_plan import StudyPlan

logger = logging.getLogger(__name__)
Train = Callable[[StageSpec, str], Generator[Need, Delivered, StageResult]]
"""Gives the result of a stage for a role, after as many tries as are worth it."""


class WantedStages:
    """Hands out what the sampler wants trained; no trial can be chosen before it is there."""

    def __init__(self, study: ChainStudy, records: StageRecords, train: Train) -> None:
        self._study, self._records, self._train = study, records, train
        self._under_way: set[ChainSpec] = set()
        """Those handed out and not yet recorded."""

    def next_task(self, plan: StudyPlan) -> tuple[bool, Task | None]:
        """Return whether any stage is wanted, and a task that trains one of them and records its accuracy, if any.

        One that no other worker is on, if there is one; otherwise the first is waited for. A stage that fails is
        recorded as such and not asked for again; the task raises InterruptedStage.
        """
        if self._study.num_counted() >= plan.settings.trials:
            return False, None
        wanted = self._study.wanted_stages()
        specs = {chain: plan.stages.chain(chain)[-1] for chain in wanted if chain not in self._under_way}
        if not specs:
            return bool(wanted), None
        rows = self._records.find_many(spec.fingerprint for spec in specs.values())
        elsewhere = {name for name, row in rows.items() if row.state is StageState.RUNNING}
        free = [chain for chain, spec in specs.items() if spec.fingerprint not in elsewhere]
        chain = (free or list(specs))[0]
        return True, self._task(chain, specs[chain])

    def _task(self, chain: ChainSpec, spec: StageSpec) -> Task:
        self._under_way.add(chain)
        try:
            result = yield from self._train(spec, "rung")
            self._study.record_stage(chain, result.val_accuracy)
        except Exception as error:
            if not isinstance(error, (StageFailedError, *PASSING_ERRORS)) and not is_of_the_work(error):
                raise
            logger.debug("stage %s", spec.label, exc_info=True)
            self._study.record_stage(chain, 0.0, reason_of(error))
        finally:
            self._under_way.discard(chain)
