"""`tasearch export` on a whole study: which run, what is written, what is refused."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasearch.cli.main import main
from tasearch.training import export
from tests.image_folder import CLASSES, make_image_folder
from tests.integration.conftest import Study

Run = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Export to `out` and return exit code, JSON and stderr."""

    def run(*flags: str) -> tuple[int, dict[str, Any], str]:
        capsys.readouterr()
        where = ["--home", str(tmp_path / "home"), "--out", str(tmp_path / "out")]
        code = main(["export", *where, "--json", "-q", *flags])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else {}, err

    return run


def query(tmp_path: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(tmp_path / "home" / "studies.db") as connection:
        return connection.execute(sql).fetchall()


def artifact_path(tmp_path: Path, artifact_id: str) -> Path:
    return tmp_path / "home" / "artifacts" / artifact_id[:2] / artifact_id[2:4] / artifact_id


def test_the_winner_leaves_in_every_format(finished: dict[str, Any], tmp_path: Path, run: Run) -> None:
    code, facts, _ = run("--format", "onnx,safetensors,torch-export")
    assert code == 0
    out = tmp_path / "out"
    names = {"README.md", "model.json", "model.safetensors", "model.py", "model.pt2", "model.onnx"}
    assert {path.name for path in out.iterdir()} == names
    best = query(
        tmp_path,
        "SELECT arm FROM tasearch_finals GROUP BY arm ORDER BY avg(val_accuracy) DESC, arm LIMIT 1",
    )
    means = dict(query(tmp_path, "SELECT arm, avg(val_accuracy) FROM tasearch_finals GROUP BY arm"))
    assert means[facts["arm"]] == pytest.approx(means[best[0][0]])
    [(val, test, fingerprint)] = query(
        tmp_path,
        f"SELECT val_accuracy, test_accuracy, fingerprint FROM tasearch_finals WHERE arm = '{facts['arm']}' "
        "ORDER BY val_accuracy DESC, replicate LIMIT 1",
    )
    assert facts["accuracy"] == {"val": val, "test": test}
    assert facts["stage"]["fingerprint"] == fingerprint
    assert [one["agreement"] for one in facts["checks"]] == [1.0, 1.0, 1.0]
    assert json.loads((out / "model.json").read_text()) == {k: v for k, v in facts.items() if k != "folder"}
    card = (out / "README.md").read_text()
    assert all(f"| {index} | {name} |" in card for index, name in enumerate(CLASSES))
    assert facts["commands"]["study"] in card


@pytest.mark.slow
def test_the_loading_examples_of_the_card_run_without_tasearch(
    finished: dict[str, Any], tmp_path: Path, run: Run
) -> None:
    run("--format", "safetensors,torch-export,onnx")
    examples = (tmp_path / "out" / "README.md").read_text().split("```python\n")[1:]
    loading = [example for example in examples if "def prepared" not in example]
    assert (len(loading), len(examples)) == (3, 4)
    for example in loading:
        code = (
            "import sys; sys.modules['tasearch'] = None\n"
            + example.partition("```")[0]
            + "\nassert logits.shape == (1, 3)"
        )
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "out", check=True, env=environment)


def test_a_chain_of_the_ranking_outside_the_finals_is_that_of_the_search(
    optimize: Study, tmp_path: Path, run: Run
) -> None:
    ranking = optimize("--trials", "4")["ranking"]
    [rank, *_] = [entry["rank"] for entry in ranking if entry["test_accuracy"] is None]
    code, facts, _ = run("--chain", str(rank))
    assert code == 0
    assert (facts["finals"], facts["accuracy"]["test"], facts["stage"]["replicate"]) == (None, None, 0)
    assert " > ".join(facts["path"]) == ranking[rank - 1]["chain"]
    assert "It took no part in the finals" in (tmp_path / "out" / "README.md").read_text()


def test_without_finals_only_a_chain_can_be_named(
    finished: dict[str, Any], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(tmp_path / "home" / "studies.db") as connection:
        connection.execute("DELETE FROM tasearch_finals")
    code, _, error = run()
    assert code == 2
    assert "has no verdict, so there is no winner" in error
    assert "--chain N" in error
    assert run("--chain", "1")[0] == 0


def test_a_rank_that_does_not_exist_is_refused(finished: dict[str, Any], run: Run) -> None:
    code, _, error = run("--chain", "99")
    assert code == 2
    assert "--chain 99: the ranking of study 'pets' has 3 chains" in error


def test_a_format_that_disagrees_is_an_error_and_nothing_is_left(
    finished: dict[str, Any], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    before = set(tmp_path.rglob("*"))
    code, _, error = run("--format", "safetensors")
    assert code == 1
    assert "is not the one that was trained" in error
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_weights_that_cannot_be_had_are_named(finished: dict[str, Any], tmp_path: Path, run: Run, damage: str) -> None:
    _, facts, _ = run()
    path = artifact_path(tmp_path, facts["stage"]["artifact_id"])
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"something else")
    code, _, error = run("--force")
    assert code == 1
    assert f"is {damage}" in error
    assert "--artifacts" in error


def test_a_folder_with_files_is_only_used_by_force(finished: dict[str, Any], tmp_path: Path, run: Run) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep me")
    (tmp_path / "out" / "model.onnx").write_text("of an earlier export")
    code, _, error = run()
    assert code == 2
    assert "the folder is not empty" in error
    assert run("--force")[0] == 0
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"mine.txt", "README.md", "model.json", "model.safetensors", "model.py"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []


def test_other_data_are_refused(finished: dict[str, Any], tmp_path: Path, run: Run) -> None:
    others = make_image_folder(tmp_path / "others" / "pets", seed=1)
    code, _, error = run("--dataset", f"folder:{others}")
    assert code == 2
    assert "these are not the data of study 'pets': data.content_hash" in error


def test_another_test_set_is_refused(finished: dict[str, Any], tmp_path: Path, run: Run) -> None:
    others = make_image_folder(tmp_path / "others" / "pets")
    first, second = sorted((others / "test").rglob("*.png"))[:2]
    second.write_bytes(first.read_bytes())
    code, _, error = run("--dataset", f"folder:{others}")
    assert code == 2
    assert "these are not the data of study 'pets': data.test_hash" in error


def test_images_that_have_moved_are_the_same_data(finished: dict[str, Any], tmp_path: Path, run: Run) -> None:
    moved = make_image_folder(tmp_path / "moved" / "elsewhere")
    assert run("--dataset", f"folder:{moved}")[0] == 0


@pytest.mark.slow
def test_a_study_that_streams_its_images_exports_the_same_weights(
    finished: dict[str, Any], tmp_path: Path, run: Run
) -> None:
    _, in_memory, _ = run()
    _, from_files, _ = run("--force", "--memory-gb", "0")
    assert from_files["files"] == in_memory["files"]


def test_an_unknown_format_is_refused(finished: dict[str, Any], run: Run) -> None:
    code, _, error = run("--format", "onx")
    assert code == 2
    assert "unknown format 'onx'" in error
    assert "did you mean `onnx`" in error
