"""Whole measurements of `tasearch gap` in this process, on a small real image folder."""

from __future__ import annotations

import csv
import html
import json
import shlex
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasearch.cli.main import main
from tasearch.worker.gap import GapWorker

Gap = Callable[..., dict[str, Any]]


@pytest.fixture
def gap(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Gap:
    """Run `tasearch gap` with further flags and return its JSON answer."""
    budget = "--epochs 1 --batch-size 16 --threads 1 --replicates 2 --precision float32 --limit-train 36"
    where = ["--dataset", f"folder:{images}", "--home", str(tmp_path / "home")]

    def run(*flags: str, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        arguments = ["gap", "--teacher", "plain6", "--student", "plain2", *budget.split(), *where, "--json", "-q"]
        assert main([*arguments, *flags]) == code
        out, err = capsys.readouterr()
        return dict(json.loads(out)) if out else {"err": err}

    return run


def query(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(home / "studies.db") as connection:
        return connection.execute(sql).fetchall()


def test_growing_students_are_measured_reported_and_never_trained_twice(gap: Gap, tmp_path: Path) -> None:
    first = gap("--vary", "student")
    assert [point["model"] for point in first["points"]] == ["plain2", "plain4", "plain2", "plain4"]
    assert all(point["test"]["n"] == 2 for point in first["points"])
    assert first["stages"] == {"trained": 8 + 1, "reused": 0}  # 4 arms on 2 replicates; their teacher.
    again = gap("--vary", "student")
    assert again["stages"] == {"trained": 0, "reused": 1}
    assert again["points"] == first["points"]
    assert len(again["test_opened"]) == 1


def test_the_files_hold_what_is_printed(gap: Gap, tmp_path: Path) -> None:
    answer = gap("--vary", "teacher")
    files = {kind: Path(path) for kind, path in answer["files"].items()}
    rows = list(csv.DictReader(files["csv"].read_text().splitlines()))
    assert len(rows) == 3 * 2
    printed = {tuple(point["test_accuracies"]) for point in answer["points"]}
    assert {float(row["test_accuracy"]) for row in rows} == {value for values in printed for value in values}
    page = files["html"].read_text()
    assert all(html.escape(comparison["sentence"]) in page for comparison in answer["comparisons"])


def test_stages_are_those_of_every_other_study(gap: Gap, tmp_path: Path) -> None:
    gap("--vary", "teacher")
    before = query(tmp_path / "home", "SELECT count(*) FROM tasearch_stages")
    answer = gap("--vary", "ta")
    # NOKD, BLKD and the TA from labels on replicate 0 are there; new: the TA twice on two replicates, and its students.
    assert query(tmp_path / "home", "SELECT count(*) FROM tasearch_stages") == [(before[0][0] + 8,)]
    assert answer["stages"]["trained"] == 8
    # Every taught arm says how good its teacher is: distilled TAs and those from labels differ in that.
    assert set(answer["taught_by"]) == {point["arm"] for point in answer["points"] if point["series"] != "NOKD"}
    assert all(0 < accuracy <= 1 for accuracy in answer["taught_by"].values())


def test_more_replicates_open_the_test_set_again_and_that_is_recorded(gap: Gap) -> None:
    gap("--vary", "teacher")
    answer = gap("--vary", "teacher", "--replicates", "3")
    assert answer["replicates"] == [1, 2, 3]
    assert len(answer["test_opened"]) == 2


def test_test_stays_closed_until_every_arm_is_trained(
    gap: Gap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as broken:
        broken.setattr(GapWorker, "_open_test", stop)
        gap("--vary", "teacher", code=1)
    assert query(tmp_path / "home", "SELECT count(*) FROM tasearch_finals WHERE test_accuracy IS NOT NULL") == [(0,)]
    assert gap("--vary", "teacher")["stages"]["trained"] == 0


def test_several_pairs_are_tried_on_the_search_replicate_and_the_best_on_val_is_taken(gap: Gap, tmp_path: Path) -> None:
    answer = gap("--vary", "teacher", "--temperatures", "2,4")
    rows = query(
        tmp_path / "home",
        "SELECT json_extract(spec, '$.distillation.temperature'), val_accuracy FROM tasearch_stages "
        "WHERE replicate = 0 AND student = 'plain2' AND teacher_fingerprint = "
        "(SELECT fingerprint FROM tasearch_stages WHERE student = 'plain6')",
    )
    assert len(rows) == 2
    best = max(sorted(rows), key=lambda row: row[1])[0]
    chains = {point["model"]: point["chain"] for point in answer["points"] if point["chain"]}
    assert chains["plain6"]["temperatures"] == [best]


def test_the_command_of_the_report_measures_the_same(
    gap: Gap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = gap("--vary", "ta")
    words = shlex.split(answer["command"])
    capsys.readouterr()
    assert main([*words[1:], "--home", str(tmp_path / "home"), "--json", "-q"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["study_name"] == answer["study_name"]
    assert again["stages"]["trained"] == 0


def test_a_dry_run_creates_nothing(gap: Gap, tmp_path: Path) -> None:
    found = gap("--vary", "ta", "--dry-run")
    assert (len(found["arms"]), found["replicates"]) == (4, 2)
    assert found["seconds"] > 0
    assert not (tmp_path / "home" / "studies.db").exists()


def test_a_measurement_is_no_search_to_other_commands(
    gap: Gap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = gap("--vary", "teacher")["study_name"]
    assert main(["report", name, "--home", str(tmp_path / "home")]) == 2
    error = capsys.readouterr().err
    assert "is a measurement of `tasearch gap`" in error
    assert main(["studies", "--home", str(tmp_path / "home")]) == 0
    assert f"{name}: measured by `tasearch gap`" in capsys.readouterr().out


def test_a_study_file_for_a_search_is_refused(gap: Gap, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "study.toml"
    path.write_text("trials = 3")
    assert "`trials` in" in gap("--vary", "teacher", "--study", str(path), code=2)["err"]


def test_nothing_to_vary_is_refused(gap: Gap, capsys: pytest.CaptureFixture[str]) -> None:
    found = gap("--vary", "teacher", "--teacher", "plain4", code=2)
    assert "no model lies between plain2 and plain4" in found["err"]


@pytest.mark.slow
def test_two_workers_share_a_measurement(gap: Gap) -> None:
    answer = gap("--vary", "student", "--workers", "2")
    assert all(point["test"]["n"] == 2 for point in answer["points"])
    assert len(answer["test_opened"]) == 1
    assert answer["stages"]["trained"] == 9


def test_study_data_arms_and_budget_are_said_before_the_work(
    gap: Gap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = gap("--vary", "student", "--tas", "plain4", "--replicates", "1")
    assert main([*shlex.split(answer["command"])[1:], "--home", str(tmp_path / "home")]) == 0
    said = capsys.readouterr().err.splitlines()[:5]
    assert said[0] == f"study {answer['study_name']}"
    assert said[1].startswith("data folder:pets: 36 train")
    assert said[2:4] == [
        "arms: plain2 (NOKD), plain4 (NOKD), plain6 > plain2 (BLKD), plain6 > plain4 (BLKD)",
        "budget: 1 fresh replicates, temperature 4, KD weight 0.9, 1 epoch a stage",
    ]
    assert said[4].startswith("on cpu ")
