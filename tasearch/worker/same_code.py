"""Whether the workers of a study run the same code: said when a worker starts, not when accuracies look odd."""

from __future__ import annotations

import logging

from tasearch.domain.errors import ConfigError
from tasearch.stores.records import Records
from tasearch.training.code_hash import code_hash
from tasearch.worker.snapshot import is_gone

logger = logging.getLogger(__name__)

_KEY = "code"


def check_code(records: Records, study_name: str, worker_id: str, *, joins: bool) -> None:
    """Compare the code of this process with that of the study's other workers, by its hash.

    The first worker leaves its hash. One that `joins` with other code is refused. `tasearch optimize` may go on with
    new code, after an upgrade say, while no other worker is alive: that is logged, and the study keeps the new hash.
    Raises ConfigError.
    """
    ours = code_hash()
    attrs = records.studies.edit_attrs(study_name, lambda attrs, _now: {_KEY: ours} | attrs)
    theirs = str(attrs[_KEY])
    if theirs == ours:
        return
    said = f"the code of this tasearch ({ours[:12]}) is not the one that study {study_name!r} was trained with so far"
    alive = [
        worker for worker, _, age in records.workers.all(study_name) if worker != worker_id and not is_gone(worker, age)
    ]
    if joins or alive:
        at_work = f", and worker {alive[0]} is at work with that" if alive else ""
        raise ConfigError(
            f"{said} ({theirs[:12]}){at_work}",
            hint="install the same version of tasearch on all machines, unchanged; once no worker is left, `tasearch "
            "optimize` with the study's flags goes on with new code",
        )
    logger.warning("%s (%s): from here on stages are trained by this code", said, theirs[:12])
    records.studies.update_attrs(study_name, {_KEY: ours})
