from __future__ import annotations

from pathlib import Path

import pytest

from tasearch.training.code_hash import code_hash


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for package in ("training", "models", "report"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "one.py").write_text(f"# {package}\n")
    return tmp_path


def test_the_running_code_has_a_hash_that_stays() -> None:
    assert len(code_hash()) == 64
    assert code_hash() == code_hash()


@pytest.mark.parametrize("package", ["training", "models"])
def test_a_change_of_what_is_computed_changes_it(root: Path, package: str) -> None:
    before = code_hash(root)
    (root / package / "one.py").write_text("# changed\n")
    assert code_hash(root) != before


def test_a_change_of_the_report_does_not(root: Path) -> None:
    before = code_hash(root)
    (root / "report" / "one.py").write_text("# changed\n")
    assert code_hash(root) == before


def test_a_file_that_moves_changes_it(root: Path) -> None:
    before = code_hash(root)
    (root / "models" / "one.py").rename(root / "models" / "two.py")
    assert code_hash(root) != before
