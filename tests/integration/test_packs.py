"""Whole studies in packs: nothing but time depends on how many stages train side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasearch.cli.main import main
from tasearch.stores.engine import parse_storage_url
from tasearch.stores.records import open_records
from tests.integration.conftest import Study
from tests.integration.test_samplers import trials_of

# A search that chooses by what it has seen would choose otherwise where more is under way.
EXHAUSTIVE = [
    "--sampler",
    "exhaustive",
    "--tas",
    "plain4",
    "--temperatures",
    "2,4",
    "--kd-weights",
    "0.9",
    "--precision",
    "float32",
]


def stages_of(home: Path) -> dict[str, tuple[Any, ...]]:
    """Return weights and accuracies of every stage of the study."""
    records = open_records(parse_storage_url(f"sqlite:///{home / 'studies.db'}"))
    try:
        rows = [row for row, _ in records.stages.stages_of("pets")]
        return {row.fingerprint: (row.artifact_id, row.curve, row.state) for row in rows}
    finally:
        records.close()


def test_a_study_in_packs_has_the_stages_and_the_verdict_of_one_without(optimize: Study, tmp_path: Path) -> None:
    single = optimize(*EXHAUSTIVE, "--trials", "4", "--pack", "1")
    packed = optimize(*EXHAUSTIVE, "--trials", "4", "--pack", "4", "--home", str(tmp_path / "packed"))
    assert stages_of(tmp_path / "packed") == stages_of(tmp_path / "home")
    assert packed["verdict"] == single["verdict"]
    assert packed["stages"] == single["stages"]


@pytest.mark.slow
def test_a_pack_of_one_size_gives_the_same_trials_again(optimize: Study, tmp_path: Path) -> None:
    """How stages take turns does not depend on time, so the sampler sees them end in the same order."""
    flags = ["--trials", "5", "--pack", "3", "--epochs", "1", "--precision", "float32"]
    optimize(*flags)
    optimize(*flags, "--home", str(tmp_path / "again"))
    assert trials_of(tmp_path / "home") == trials_of(tmp_path / "again")


@pytest.mark.slow
def test_a_study_may_go_on_in_a_pack_of_another_size(optimize: Study) -> None:
    optimize("--trials", "3", "--pack", "3")
    again = optimize("--trials", "3", "--pack", "2")
    assert again["stages"]["trained"] == 0


def test_images_in_files_are_not_read_for_several_stages(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--memory-gb", "0", "--pack", "2"]) == 2
    assert "--pack 2: the images stay in their files" in capsys.readouterr().err
