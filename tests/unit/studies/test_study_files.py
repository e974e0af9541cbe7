"""Every study of `studies/` can be run as its README says: checked by its dry run, on made-up images."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasearch.cli.main import main
from tasearch.config.resolve import read_study_file, resolve

STUDIES = sorted(path.parent for path in Path("studies").glob("*/study.toml"))
SMALL = ("--threads", "1", "--precision", "float32", "--batch-size", "8", "--replicates", "2", "--max-replicates", "2")
LARGE = ("table1-", "table2-", "table3-", "figure5-")
SECTIONS = ["## What the paper reports", "## What we measured", "## Notes"]


def command_of(folder: Path) -> list[str]:
    """Return the command of a study's README: the first one, before what was measured at other sizes."""
    line, *_ = re.findall(r"^    (tasearch .*)$", (folder / "README.md").read_text(), flags=re.MULTILINE)
    return shlex.split(line)


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Image folders of 10 and of 100 classes."""
    draws = np.random.default_rng(0)
    roots = {}
    for num_classes in (10, 100):
        roots[num_classes] = root = tmp_path_factory.mktemp(f"classes{num_classes}")
        for split, count in (("train", 4), ("test", 1)):
            for number in range(num_classes):
                folder = root / split / f"{number:03d}"
                folder.mkdir(parents=True)
                for image in range(count):
                    pixels = draws.integers(0, 256, (32, 32, 3)).astype(np.uint8)
                    Image.fromarray(pixels).save(folder / f"{image}.png")
    return roots


def test_there_is_a_study_for_every_question_of_the_paper() -> None:
    assert {folder.name for folder in STUDIES} >= {
        *(f"table1-{family}-{data}" for family in ("plain", "resnet") for data in ("cifar10", "cifar100")),
        *("table1-imagenet", "table2-ta-size-plain", "table3-ta-size-resnet", "figure5-all-paths"),
        *("figure2-growing-teacher", "figure3-growing-student", "distilled-or-scratch-ta", "tuned-pair"),
    }


@pytest.mark.parametrize("folder", STUDIES, ids=lambda folder: folder.name)
def test_the_readme_asks_names_the_command_and_has_a_place_for_what_came_out(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    assert "**Question.**" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == SECTIONS
    assert command_of(folder)[-2:] == ["--study", str(folder / "study.toml")]


@pytest.mark.parametrize(
    "folder",
    # Planning builds and times every model: seconds for those with deep ResNets or 100 classes.
    [pytest.param(one, marks=pytest.mark.slow if one.name.startswith(LARGE) else ()) for one in STUDIES],
    ids=lambda folder: folder.name,
)
def test_the_study_can_be_planned(
    folder: Path,
    stand_ins: dict[int, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # One timed run of each model is enough: the forecast itself is not looked at.
    monkeypatch.setattr("tasearch.training.timing._LEAST_SECONDS", 0.0)
    settings = resolve({}, {}, folder / "study.toml")
    num_classes = 100 if settings.dataset == "cifar100" else 10
    words = [*command_of(folder)[1:], "--dataset", f"folder:{stand_ins[num_classes]}", "--image-size", "32"]
    small = SMALL if words[0] == "optimize" else SMALL[:-2]
    capsys.readouterr()
    assert main([*words, *small, "--home", str(tmp_path / "home"), "--dry-run", "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["study_name"]
    assert set(settings.tas or ()) <= set(found.get("capacities", settings.tas or ()))


@pytest.mark.parametrize("folder", STUDIES, ids=lambda folder: folder.name)
def test_keys_are_spelled_as_the_flags(folder: Path) -> None:
    keys = re.findall(r"^([\w-]+) =", (folder / "study.toml").read_text(), flags=re.MULTILINE)
    assert all("_" not in key for key in keys)
    assert len(keys) == len(read_study_file(folder / "study.toml"))
