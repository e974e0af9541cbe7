"""`tasearch gc`: lists first, removes when told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.records import open_records
from tests.unit.cli.conftest import Run

ARGUMENTS = ["gc", "--home", "home"]


@pytest.fixture
def stray(here: Path) -> Path:
    """Old weights in a home, which nothing stands on."""
    home = here / "home"
    home.mkdir()
    open_records(f"sqlite:///{home}/studies.db").close()
    artifacts = ArtifactStore(str(home / "artifacts"))
    path = Path(artifacts.path_of(artifacts.put(bytes(2_500_000))))
    os.utime(path, (0, 0))
    return path


@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
def test_without_yes_it_only_lists_and_says_how_much(run: Run, stray: Path, flags: list[str]) -> None:
    answer = run([*ARGUMENTS, *flags])
    assert answer.code == 0
    assert "2.5 MB  weights that no study needs" in answer.out
    assert "2.5 MB can be freed" in answer.out
    assert "tasearch gc --yes" in answer.out
    assert stray.exists()


def test_with_yes_it_removes(run: Run, stray: Path) -> None:
    assert "removed; 2.5 MB freed" in run([*ARGUMENTS, "--yes"]).out
    assert not stray.exists()
    assert "no space can be freed" in run([*ARGUMENTS, "--yes"]).out


@pytest.mark.parametrize(("answer", "there"), [(True, False), (False, True)])
def test_on_a_terminal_it_asks(
    run: Run, stray: Path, monkeypatch: pytest.MonkeyPatch, answer: bool, there: bool
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda *_args, **_kwargs: answer)
    run(ARGUMENTS)
    assert stray.exists() is there


def test_json_says_what_was_found_and_what_was_removed(run: Run, stray: Path) -> None:
    found = json.loads(run([*ARGUMENTS, "--json"]).out)
    assert (found["removed"], found["bytes"], found["kinds"]["artifacts"]["number"]) == (False, 2_500_000, 1)
    assert found["artifacts"] == [stray.name]
    assert stray.exists()
    removed = json.loads(run([*ARGUMENTS, "--json", "--yes"]).out)
    assert (removed["removed"], removed["bytes"]) == (True, 2_500_000)
    assert not stray.exists()


def test_dry_run_and_yes_exclude_each_other(refuse: Run, stray: Path) -> None:
    assert "--dry-run and --yes" in refuse([*ARGUMENTS, "--dry-run", "--yes"]).error


def test_a_location_of_another_database_too_is_said(run: Run, here: Path, stray: Path) -> None:
    artifacts = ArtifactStore(str(here / "home" / "artifacts"))
    artifacts.write_note("a" * 32, '{"study_name": "birds", "database": "elsewhere:/studies.db"}')
    answer = run([*ARGUMENTS, "--yes"])
    assert "also serves study 'birds' of the database elsewhere:/studies.db" in answer.out
    assert stray.exists()
    run([*ARGUMENTS, "--yes", "--forget", "birds"])
    assert not stray.exists()


def test_a_database_that_is_not_there_is_not_made(refuse: Run) -> None:
    assert "there is no database" in refuse(ARGUMENTS).error
