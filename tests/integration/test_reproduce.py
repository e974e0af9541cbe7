"""`tasearch reproduce`: the same bits again, what differs where not, and the study as it was."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tasearch.cli.main import main
from tasearch.worker import reproduction
from tests.beginnings import at_each_beginning
from tests.integration.conftest import Finished, Study, run_once, small_study

Reproduce = Callable[..., tuple[int, dict[str, Any], str]]
CHAINS = ("--temperatures", "4", "--kd-weights", "0.9", "--trials", "2")


@pytest.fixture(scope="module")
def two_chains(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A finished study of both chains; only to be read."""
    home = tmp_path_factory.mktemp("two") / "home"
    return run_once([*small_study(images, home), *CHAINS], home)


@pytest.fixture
def reproducible(two_chains: Finished, tmp_path: Path) -> dict[str, Any]:
    """Put that study into this test's home, and return its JSON answer."""
    return two_chains.copy(tmp_path / "home").answer


@pytest.fixture
def reproduce(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Reproduce:
    """Reproduce a trial of `pets` and return exit code, JSON and stderr."""

    def run(*flags: str) -> tuple[int, dict[str, Any], str]:
        capsys.readouterr()
        code = main(["reproduce", "pets", "--home", str(tmp_path / "home"), "--json", "-q", *flags])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else {}, err

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def dump(home: Path) -> list[str]:
    with sqlite3.connect(home / "studies.db") as connection:
        return list(connection.iterdump())


def number_of(answer: dict[str, Any], home: Path, chain: str) -> int:
    with sqlite3.connect(home / "studies.db") as connection:
        rows = connection.execute(
            "SELECT number, value_json FROM trials JOIN trial_user_attributes USING (trial_id) WHERE key = 'chain'"
        ).fetchall()
    return next(int(number) for number, text in rows if json.loads(text) == chain)


def test_a_trial_comes_out_as_the_same_bits(reproducible: dict[str, Any], tmp_path: Path, reproduce: Reproduce) -> None:
    home = tmp_path / "home"
    answer = reproducible
    number = number_of(answer, home, "plain6 > plain4 > plain2")
    code, found, _ = reproduce("--trial", str(number))
    assert (code, found["identical"], found["differences"]) == (0, True, [])
    assert found["accuracy_before"] == found["accuracy_after"]
    assert [stage["stage"].partition(",")[0] for stage in found["stages"]] == ["plain6 > plain4", "plain4 > plain2"]


def test_the_study_and_the_home_are_as_before(
    reproducible: dict[str, Any], tmp_path: Path, reproduce: Reproduce
) -> None:
    home = tmp_path / "home"
    before, files = dump(home), set(contents(home)) - {"studies.db-wal", "studies.db-shm"}
    reproduce("--trial", "0")
    assert dump(home) == before
    assert set(contents(home)) - {"studies.db-wal", "studies.db-shm"} == files


def test_every_stage_is_really_trained_again(
    reproducible: dict[str, Any], reproduce: Reproduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []

    at_each_beginning(monkeypatch, lambda spec: trained.append(spec.student.name))
    reproduce("--trial", "0")
    assert trained == ["plain2"]
    trained.clear()
    code, found, _ = reproduce("--trial", "0", "--with-teacher")
    assert trained == ["plain6", "plain2"]
    assert (code, found["identical"], len(found["stages"])) == (0, True, 2)


@pytest.mark.slow
def test_each_stage_gets_the_threads_recorded_with_it(
    optimize: Study, reproduce: Reproduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimize(*CHAINS, "--threads", "2")
    _, found, _ = reproduce("--trial", "0")
    assert [stage["environment_after"]["threads"] for stage in found["stages"]] == [2]
    assert found["identical"]


def test_a_student_of_a_cpu_is_trained_on_a_cpu_again(
    optimize: Study, reproduce: Reproduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimize(*CHAINS, "--device", "cpu")
    asked: list[str] = []

    def resolve(name: str) -> torch.device:
        asked.append(name)
        return torch.device("cpu")

    monkeypatch.setattr(reproduction, "resolve_device", resolve)
    assert reproduce("--trial", "0")[0] == 0
    assert asked == ["cpu"]


def test_other_weights_are_said_with_what_differs(
    reproducible: dict[str, Any], tmp_path: Path, reproduce: Reproduce
) -> None:
    with sqlite3.connect(tmp_path / "home" / "studies.db") as connection:
        connection.execute(
            "UPDATE tasearch_stages SET artifact_id = replace(hex(zeroblob(32)), '00', 'ab'), val_accuracy = 0.25, "
            "environment = json_set(environment, '$.instruction_set', 'AVX9') "
            "WHERE student = 'plain2' AND teacher_fingerprint IS NOT NULL"
        )
        connection.execute("UPDATE tasearch_studies SET versions = json_set(versions, '$.numpy', '0.1')")
    code, found, _ = reproduce("--trial", "0")
    assert (code, found["identical"], found["accuracy_before"]) == (0, False, 0.25)
    assert any(line.startswith("instruction set AVX9, now ") for line in found["differences"])
    assert any(line.startswith("numpy 0.1, now ") for line in found["differences"])


def test_a_stage_that_was_begun_elsewhere_is_said_to_be(
    reproducible: dict[str, Any], tmp_path: Path, reproduce: Reproduce, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(tmp_path / "home" / "studies.db") as connection:
        connection.execute(
            "UPDATE tasearch_stages SET environment = json_set(environment, '$.earlier', "
            "json_array(json_set(environment, '$.threads', 7))) WHERE student = 'plain2' AND "
            "teacher_fingerprint IS NOT NULL"
        )
    _, found, _ = reproduce("--trial", "0")
    assert [
        line.partition(" was begun in another environment than it was finished in: ")[2]
        for line in found["differences"]
    ] == ["threads 7, then 1"]
    assert found["stages"][-1]["environment_before"]["earlier"][0]["threads"] == 7
    assert main(["report", "pets", "--home", str(tmp_path / "home"), "--format", "json,md", "-q"]) == 0
    for name in ("report.json", "report.md"):
        text = (tmp_path / "home" / "reports" / "pets" / name).read_text()
        assert "begun in one environment and finished in another" in text


def test_what_is_said_to_people(
    reproducible: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["reproduce", "--trial", "0", "--home", str(tmp_path / "home"), "-q"]) == 0
    out = capsys.readouterr().out
    assert "trial 0, plain6 > plain2 (temperature 4, KD weight 0.9): the weights are the same bits" in out
    assert "(+0.0 points)" in out


def test_ctrl_c_ends_with_130_and_leaves_nothing(
    reproducible: dict[str, Any], tmp_path: Path, reproduce: Reproduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    before = {path for path in home.iterdir() if not path.name.startswith("studies.db")}

    at_each_beginning(monkeypatch, lambda _spec: os.kill(os.getpid(), signal.SIGINT))
    code, answer, _ = reproduce("--trial", "0")
    assert (code, answer) == (130, {})
    assert {path for path in home.iterdir() if not path.name.startswith("studies.db")} == before


def test_a_teacher_whose_weights_are_gone_can_be_trained_anew(
    reproducible: dict[str, Any], tmp_path: Path, reproduce: Reproduce
) -> None:
    with sqlite3.connect(tmp_path / "home" / "studies.db") as connection:
        [(teacher,)] = connection.execute("SELECT artifact_id FROM tasearch_stages WHERE student = 'plain6'").fetchall()
    next((tmp_path / "home" / "artifacts").rglob(teacher)).unlink()
    code, _, error = reproduce("--trial", "0")
    assert code == 1
    assert "the weights of plain6 from labels, replicate 0 cannot be had" in error
    assert "--with-teacher" in error
    assert reproduce("--trial", "0", "--with-teacher")[1]["identical"]


def test_a_trial_that_does_not_exist_is_refused(reproducible: dict[str, Any], reproduce: Reproduce) -> None:
    code, _, error = reproduce("--trial", "7")
    assert code == 2
    assert "--trial 7: study 'pets' has 2 trials" in error


def test_a_trial_that_failed_is_refused(reproducible: dict[str, Any], tmp_path: Path, reproduce: Reproduce) -> None:
    with sqlite3.connect(tmp_path / "home" / "studies.db") as connection:
        connection.execute("UPDATE trials SET state = 'FAIL' WHERE number = 1")
    code, _, error = reproduce("--trial", "1")
    assert code == 2
    assert "the trial is failed" in error
    assert "complete are 0" in error
