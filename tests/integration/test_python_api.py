"""Studies from Python: the README's example, and what a finished study says."""

from __future__ import annotations

import re
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

import tasearch
from tasearch.domain.errors import ConfigError, DataError, StorageError
from tasearch.models.switches import switches_kept

README = Path(__file__).parents[2] / "README.md"


def example() -> str:
    section = README.read_text(encoding="utf-8").partition("\n## From Python\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return str(code)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What the example leaves in its names and in its folder, run as a file would be, in another thread."""
    folder = tmp_path_factory.mktemp("example")
    names: dict[str, Any] = {"__name__": "__main__"}
    code = compile(example(), "README.md", "exec")
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        thread = threading.Thread(target=exec, args=(code, names))
        thread.start()
        thread.join()
    assert torch.get_num_threads() == before
    return names, folder


def test_the_example_of_the_readme_runs(ran: tuple[dict[str, Any], Path]) -> None:
    names, folder = ran
    results = names["results"]
    assert isinstance(results, tasearch.StudyResults)
    assert results.verdict is not None
    assert results.metric == "balanced-accuracy"
    assert {model.model for model in results.models} >= {"plain6", "plain2"}
    assert all(model.latency_1 and model.latency_64 for model in results.models)
    assert results.report is not None
    assert results.report.is_file()
    assert (folder / "student" / "model.safetensors").is_file()


def test_data_that_were_handed_over_are_asked_for_again(
    ran: tuple[dict[str, Any], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names, folder = ran
    monkeypatch.chdir(folder)
    with pytest.raises(DataError, match="handed over as Python objects"):
        tasearch.export_student(names["results"].study_name, out=tmp_path / "out")


def test_other_data_than_the_study_s_are_refused(
    ran: tuple[dict[str, Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    names, folder = ran
    monkeypatch.chdir(folder)
    train, test = names["config"].objects
    train.labels[0] = (train.labels[0] + 1) % 3
    try:
        with pytest.raises(ConfigError, match=r"these are not the data of study .*data\.content_hash"):
            tasearch.reproduce_trial(0, names["results"].study_name, dataset=(train, test))
        with pytest.raises(ConfigError, match=r"exists with another configuration: data\.content_hash"):
            tasearch.join_study(names["results"].study_name, dataset=(train, test))
    finally:
        train.labels[0] = (train.labels[0] - 1) % 3


def test_a_trial_is_reproduced_with_the_data_handed_over(
    ran: tuple[dict[str, Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    names, folder = ran
    monkeypatch.chdir(folder)
    found = tasearch.reproduce_trial(0, names["results"].study_name, dataset=names["config"].objects)
    assert found.identical
    assert found.student.before.val_accuracy == found.student.after.val_accuracy


def test_a_study_has_the_same_stages_whatever_its_caller_has_set(
    ran: tuple[dict[str, Any], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names, folder = ran
    monkeypatch.chdir(tmp_path)
    with switches_kept():
        torch.set_default_dtype(torch.float64)
        torch.set_float32_matmul_precision("medium")
        torch.set_num_threads(2)
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
        with torch.inference_mode(), torch.autocast("cpu"), torch.device("meta"):
            tasearch.optimize(names["config"])
            assert torch.is_inference_mode_enabled()
            assert torch.get_default_device().type == "meta"
        assert (torch.get_default_dtype(), torch.get_num_threads()) == (torch.float64, 2)
    assert _stages(tmp_path) == _stages(folder)


def _stages(folder: Path) -> dict[str, str]:
    with sqlite3.connect(folder / "tasearch-data" / "studies.db") as connection:
        return dict(connection.execute("SELECT fingerprint, artifact_id FROM tasearch_stages").fetchall())


def test_a_finished_study_is_read_as_records(finished_home: Path) -> None:
    results = tasearch.load_study("pets", home=finished_home)
    assert results.verdict is not None
    assert results.headline == results.verdict.text
    assert [chain.rank for chain in results.ranking] == list(range(1, len(results.ranking) + 1))
    assert {score.role.value for score in results.finals} >= {"blkd", "nokd"}
    assert (results.metric, results.winner is not None) == ("accuracy", results.verdict.winner is not None)


def test_studies_are_listed_with_their_verdicts(finished_home: Path) -> None:
    (study,) = tasearch.list_studies(home=finished_home)
    assert (study.study_name, study.teacher, study.student, study.is_gap) == ("pets", "plain6", "plain2", False)
    assert study.verdict == tasearch.load_study(home=finished_home).headline


def test_a_finished_study_has_no_workers(finished_home: Path) -> None:
    assert tasearch.study_status("pets", home=finished_home).workers == ()
    assert tasearch.stop_study("pets", home=finished_home, wait_seconds=0).ended == ()


def test_reports_are_written_in_the_formats_asked_for(finished_home: Path, tmp_path: Path) -> None:
    files = tasearch.write_report("pets", home=finished_home, out=tmp_path, formats=("md", "json"))
    assert [file.name for file in files] == ["report.md", "report.json"]
    with pytest.raises(ConfigError, match="unknown format 'pdf'"):
        tasearch.write_report("pets", home=finished_home, out=tmp_path, formats=("pdf",))


def test_a_deleted_study_is_gone(finished_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished_home, home)
    deleted = tasearch.delete_study("pets", home=home)
    assert deleted.num_stages > 0
    assert tasearch.list_studies(home=home) == ()
    with pytest.raises(StorageError, match="no studies"):
        tasearch.load_study(home=home)


def test_a_worker_is_not_told_what_the_study_is(finished_home: Path) -> None:
    with pytest.raises(ConfigError, match="`trials` is no setting of a worker"):
        tasearch.join_study("pets", home=finished_home, trials=9)


def test_nothing_is_made_where_no_database_is(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        tasearch.load_study(home=tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
