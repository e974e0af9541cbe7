"""A study whose TAs learn from labels alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.integration.conftest import Study

TAUGHT = "SELECT count(*) FROM tasearch_stages WHERE student = 'plain4' AND teacher_fingerprint IS NOT NULL"


def test_no_ta_is_taught_and_the_chain_says_so(optimize: Study, tmp_path: Path) -> None:
    optimize("--ta-from", "scratch", "--max-tas", "1", "--sampler", "tpe")
    with sqlite3.connect(tmp_path / "home" / "studies.db") as connection:
        assert connection.execute(TAUGHT).fetchall() == [(0,)]
        arms = connection.execute("SELECT DISTINCT arm FROM tasearch_finals WHERE role = 'finalist'").fetchall()
    assert [arm.startswith("plain4 from labels > plain2 (") for (arm,) in arms] == [True]
