from __future__ import annotations

from collections.abc import Iterator

import pytest

from tasearch.stores.records import Records, open_records


@pytest.fixture
def records(storage_url: str) -> Iterator[Records]:
    opened = open_records(storage_url, patience=0.0)
    yield opened
    opened.close()
