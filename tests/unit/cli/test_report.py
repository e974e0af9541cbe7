from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run


@pytest.mark.parametrize("value", ["pdf", "html,pdf", "", ",", "HTML"])
def test_an_unknown_format_is_refused_with_those_there_are(refuse: Run, value: str) -> None:
    answer = refuse(["report", "--format", value])
    assert "--format: got" in answer.error
    assert "html, md, json, csv" in answer.error


def test_two_names_are_refused(refuse: Run) -> None:
    assert "two studies are named, 'a' and 'b'" in refuse(["report", "a", "--study-name", "b"]).error


def test_an_empty_folder_name_is_refused(refuse: Run) -> None:
    assert "--out: got ''" in refuse(["report", "--out", ""]).error


def test_a_missing_database_is_named_and_not_made(refuse: Run, here: Path) -> None:
    assert "there is no database" in refuse(["report", "--out", "out"]).error
    assert list(here.iterdir()) == []
