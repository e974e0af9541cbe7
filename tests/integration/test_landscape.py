"""`tasearch landscape` on a whole study, in this process."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tasearch.cli.main import main
from tests.integration.conftest import Study


def landscape(home: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    capsys.readouterr()
    small = ["--resolution", "5", "--limit", "32", "--threads", "1"]
    assert main(["landscape", "--home", str(home), *small, "--json", "-q", *flags]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_every_student_of_the_finals_has_its_plane(
    finished: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = landscape(tmp_path / "home", capsys)
    students = [(one["student"]["series"], one["student"]["replicate"]) for one in answer["surfaces"]]
    assert sorted(students) == [(series, r) for series in ("BLKD", "NOKD", "distilled TA") for r in (1, 2)]
    assert len(answer["comparisons"]) == 3
    rows = list(csv.DictReader(Path(answer["files"]["csv"]).read_text().splitlines()))
    assert len(rows) == 6 * 5 * 5
    page = Path(answer["files"]["html"]).read_text()
    assert answer["comparisons"][0]["sentence"] in page
    assert "filter-normalised" in page


def test_the_same_command_gives_the_same_numbers_and_trains_nothing(
    optimize: Study, finished: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = (landscape(tmp_path / "home", capsys) for _ in range(2))
    assert first == again
    assert optimize()["stages"]["trained"] == 0


def test_before_the_finals_the_students_of_the_search_are_drawn(
    optimize: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as broken:
        broken.setattr("tasearch.worker.finals.FinalsWorker.run", stop)
        optimize(code=1)
    answer = landscape(tmp_path / "home", capsys)
    assert {one["student"]["replicate"] for one in answer["surfaces"]} == {0}
    assert not any(comparison["separated"] for comparison in answer["comparisons"])


def test_the_report_of_the_study_shows_what_was_measured(
    finished: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = landscape(tmp_path / "home", capsys)
    out = tmp_path / "out"
    assert main(["report", "--home", str(tmp_path / "home"), "--out", str(out), "--format", "html,json,csv"]) == 0
    assert answer["comparisons"][0]["sentence"] in (out / "report.html").read_text()
    assert json.loads((out / "report.json").read_text())["landscape"]["rises"] == answer["rises"]
    assert len((out / "landscape.csv").read_text().splitlines()) == 1 + 6


def test_lost_weights_are_named(finished: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    for path in (home / "artifacts").rglob("*"):
        if path.is_file() and len(path.name) == 64:
            path.unlink()
    assert main(["landscape", "--home", str(home), "--threads", "1", "-q"]) == 1
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "text"),
    [(["--resolution", "4"], "--resolution 4: an odd number"), (["--limit", "1"], "--limit 1: at least 2 images")],
)
def test_a_plane_without_its_student_and_a_loss_without_images_are_refused(
    flags: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["landscape", *flags]) == 2
    assert text in capsys.readouterr().err
