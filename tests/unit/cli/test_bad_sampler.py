"""A sampler that the space does not allow: an error before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import SMALL, Run


@pytest.mark.parametrize("sampler", ["dp", "staged"])
def test_a_study_file_asking_for_a_strategy_among_tas_where_there_are_none(
    refuse: Run, here: Path, sampler: str
) -> None:
    (here / "study.toml").write_text(f'sampler = "{sampler}"\nmax-tas = 0\n')
    answer = refuse(["optimize", "--teacher", "plain6", "--student", "plain2", *SMALL, "--study", "study.toml"])
    assert f"--sampler {sampler} searches among TAs, and this study has none" in answer.error
    assert "--sampler tpe" in answer.hint


def test_enumerating_a_space_that_nobody_could_finish(refuse_optimize: Run) -> None:
    wide = ["--temperatures", ",".join(str(value) for value in range(1, 41)), "--kd-weights", "0.1,0.5"]
    answer = refuse_optimize(["--sampler", "exhaustive", "--scope", "stage", *wide])
    assert "--sampler exhaustive: the search space has 6,480 chains, at most 2,000 are enumerated" in answer.error
    assert "--scope last" in answer.hint
