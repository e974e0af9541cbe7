"""A study of nets that are not ours, under a teacher that was trained elsewhere."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
import torch

from tasearch.cli.main import main
from tasearch.domain.spec import ModelSpec
from tasearch.models.registry import build_model
from tests.integration.conftest import Study


@pytest.fixture
def teacher_file(tmp_path: Path, images: Path) -> Path:
    """A teacher as somebody else saves it."""
    classes = len(list((images / "train").iterdir()))
    spec = ModelSpec(name="torchvision:squeezenet1_1", in_channels=3, image_size=32, num_classes=classes)
    state = build_model(spec, seed=1).state_dict()
    torch.save({"epoch": 1, "model": {f"module.{name}": tensor for name, tensor in state.items()}}, tmp_path / "t.pt")
    return tmp_path / "t.pt"


def test_a_given_teacher_and_own_nets_from_search_to_export(
    optimize: Study, teacher_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = optimize(
        *("--teacher", "torchvision:squeezenet1_1", "--teacher-checkpoint", str(teacher_file)),
        *("--student", "tests.nets:small", "--tas", "tests.nets:large", "--normalize", "imagenet"),
        *("--image-size", "32", "--epochs", "1", "--trials", "2", "--replicates", "1", "--max-replicates", "1"),
        *("--optimizer", "adamw", "--augment", "crop-flip", "--temperatures", "4", "--kd-weights", "0.9"),
    )
    assert "The teacher was given" in answer["given_teacher"]
    teacher_file.unlink()
    home = ["--home", str(tmp_path / "home"), "--study-name", "pets"]
    # The file is gone: the weights are with the others.
    assert main(["worker", *home, "-q"]) == 0
    capsys.readouterr()
    assert main(["reproduce", *home, "--trial", "1", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["identical"]
    assert main(["export", *home, "--format", "safetensors", "--out", str(tmp_path / "out"), "-q"]) == 0
    facts = json.loads((tmp_path / "out" / "model.json").read_text())
    assert facts["normalisation"]["mean"] == pytest.approx([0.485, 0.456, 0.406])


def test_a_net_that_sets_the_seed_is_said_to_start_alike_before_and_in_the_verdict(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nets = ("--teacher", "tests.nets:large", "--student", "tests.nets:starts_alike", "--tas", "tests.nets:medium")
    loud = [argument for argument in arguments if argument != "-q"]
    assert main([*loud, *nets, "--temperatures", "4", "--kd-weights", "0.9", "--trials", "2"]) == 0
    out, err = capsys.readouterr()
    said = "tests.nets:starts_alike: every replicate starts from the same weights"
    assert said in err.partition("training ")[0]
    assert any(note.startswith(said) for note in json.loads(out)["verdict"]["notes"])
    # Read by others, who do not have the net.
    assert main(["report", "pets", "--home", str(tmp_path / "home"), "--format", "md", "-q"]) == 0
    text = (tmp_path / "home" / "reports" / "pets" / "report.md").read_text()
    assert "every replicate starts from the same weights" in text


BREAKS = ("--teacher", "tests.nets:large", "--student", "tests.nets:small", "--tas", "tests.nets:breaks")


def test_a_net_that_raises_in_training_fails_its_trials_and_nothing_else(
    optimize: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = optimize(*BREAKS, "--sampler", "random", "--temperatures", "4", "--kd-weights", "0.9", "--trials", "2")
    assert [row["chain"].count(">") for row in answer["ranking"]] == [1]
    with sqlite3.connect(tmp_path / "home" / "studies.db") as connection:
        [(reason,)] = connection.execute(
            "SELECT value_json FROM trial_user_attributes WHERE key = 'failure'"
        ).fetchall()
    assert json.loads(reason) == "ValueError: more than two images"
    assert main(["worker", "--study-name", "pets", "--home", str(tmp_path / "home"), "-q"]) == 0


def test_a_measurement_of_the_gap_with_such_a_net_ends_and_says_which(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = "--epochs 1 --batch-size 16 --threads 1 --replicates 1 --precision float32 --limit-train 36"
    where = ["--dataset", f"folder:{images}", "--home", str(tmp_path / "home"), "-q"]
    for _ in range(2):
        assert main(["gap", "--vary", "ta", *BREAKS, *budget.split(), *where]) == 1
        error = capsys.readouterr().err
        assert "tests.nets:breaks" in error
        assert "cannot be trained: ValueError: more than two images" in error
