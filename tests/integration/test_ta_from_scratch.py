"""A study whose TAs learn from labels alone."""

from __future__ import annotations

import json
import shlex
import sqlite3
from pathlib import Path

import pytest

from tasearch.cli.main import main
from tests.integration.conftest import Study

TAUGHT = "SELECT count(*) FROM tasearch_stages WHERE student = 'plain4' AND teacher_fingerprint IS NOT NULL"


def test_no_ta_is_taught_and_the_chain_says_so(optimize: Study, tmp_path: Path) -> None:
    optimize("--ta-from", "scratch", "--max-tas", "1", "--sampler", "tpe")
    with sqlite3.connect(tmp_path / "home" / "studies.db") as connection:
        assert connection.execute(TAUGHT).fetchall() == [(0,)]
        arms = connection.execute("SELECT DISTINCT arm FROM tasearch_finals WHERE role = 'finalist'").fetchall()
    assert [arm.startswith("plain4 from labels > plain2 (") for (arm,) in arms] == [True]


@pytest.mark.slow
def test_the_report_shows_such_tas_and_trains_their_chains_again(
    optimize: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    optimize("--ta-from", "scratch", "--max-tas", "1", "--sampler", "exhaustive", "--temperatures", "4")
    home = str(tmp_path / "home")
    assert main(["report", "pets", "--home", home, "--format", "json,html", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert [tuple(node["path"]) for node in report["paths"]["nodes"]] == [
        ("plain6",),
        ("plain6", "plain2"),
        ("plain4",),
        ("plain4", "plain2"),
    ]
    page = (tmp_path / "report.html").read_text()
    assert "plain6 \\u003e plain4" not in page
    row = next(row for row in report["ranking"] if len(row["chain"]["path"]) == 3)
    capsys.readouterr()
    assert main([*shlex.split(row["command"])[1:], "--home", str(tmp_path / "other"), "--json", "-q"]) == 0
    again = json.loads(capsys.readouterr().out)["ranking"]
    assert row["val_accuracy"] in [other["val_accuracy"] for other in again if "from labels" in other["chain"]]
