"""What processes do that start at once on an empty database; imported by each of them, so it stays light."""

from __future__ import annotations

import sys
import time

from tasearch.search.space import SearchSpace
from tasearch.search.storage import open_storage
from tasearch.search.study import ChainStudy
from tasearch.stores.engine import engine_kwargs, tune, url_text
from tasearch.stores.records import open_records
from tasearch.stores.transactions import create_tables
from tasearch.worker.database import prepare_database
from tests.contract.at_once import wait_for_all

_SPACE = SearchSpace(
    teacher="plain10",
    student="plain2",
    ladder=("plain4",),
    max_tas=1,
    temperatures=(4.0,),
    kd_weights=(0.9,),
    scope="last",
)


def initialise(storage_url: str, _owner: str) -> float:
    """Once all processes are up, do what `tasearch db init` does; returns seconds."""
    wait_for_all()
    begin = time.monotonic()
    prepare_database(storage_url)
    return _light(begin)


def join(storage_url: str, _owner: str) -> float:
    """Once all processes are up, open records and study as a worker does; returns seconds."""
    wait_for_all()
    begin = time.monotonic()
    records = open_records(storage_url)
    records.studies.create("race", {}, {}, {})
    storage = create_tables(lambda: open_storage(url_text(storage_url), engine_kwargs(storage_url), tune), storage_url)
    study = ChainStudy(storage, "race", _SPACE)
    study.set_attr("joined", True)
    study.close()
    records.close()
    return _light(begin)


def _light(begin: float) -> float:
    assert "torch" not in sys.modules, "a database is made ready without torch"
    return time.monotonic() - begin
