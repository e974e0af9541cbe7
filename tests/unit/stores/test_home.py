from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasearch.domain.errors import StorageError
from tasearch.stores.engine import parse_storage_url
from tasearch.stores.home import Home, slug


def test_everything_lies_below_the_root(tmp_path: Path) -> None:
    home = Home(tmp_path / "tasearch-data")
    paths = {home.database, home.artifacts, home.reports, home.cache, home.checkpoints, home.data}
    assert {path.parent for path in paths} == {tmp_path / "tasearch-data"}
    assert {path.name for path in paths} == {"studies.db", "artifacts", "reports", "cache", "checkpoints", "data"}


def test_nothing_is_made_before_it_is_prepared(tmp_path: Path) -> None:
    Home(tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


def test_prepared_home_has_its_folders_and_nothing_else(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "home")
    home.prepare()
    home.prepare()
    assert {path.name for path in home.root.rglob("*")} == {"artifacts", "reports", "cache", "checkpoints", "data"}


@pytest.mark.parametrize("name", ["home", "my home", "été", "100%"])
def test_default_storage_is_the_database_of_the_home(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / name)
    home.prepare()
    assert parse_storage_url(home.default_storage_url).database == str(home.database)


def test_relative_home_is_where_it_was_when_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = Home(Path("tasearch-data"))
    monkeypatch.chdir("/")
    assert home.database == tmp_path / "tasearch-data" / "studies.db"


@pytest.mark.parametrize("below", ["file", "file/home"])
def test_home_below_a_file_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write in the folder") as caught:
        Home(tmp_path / below).prepare()
    assert "--home" in caught.value.hint


@pytest.mark.parametrize("root", ["/proc", "/proc/home"])
def test_home_that_may_not_be_written_is_refused(root: str) -> None:
    with pytest.raises(StorageError, match="cannot write in the folder /proc"):
        Home(Path(root)).prepare()


@pytest.mark.parametrize("root", ["/proc/home", "file/home"])
def test_a_check_refuses_what_could_not_be_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write in the folder"):
        Home(Path(root)).check_writable()


def test_a_check_makes_nothing(tmp_path: Path) -> None:
    Home(tmp_path / "a" / "home").check_writable()
    assert list(tmp_path.iterdir()) == []


def test_the_root_alone_can_be_made(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "home")
    home.make_root()
    assert home.root.is_dir()
    assert list(home.root.iterdir()) == []


def test_report_folder_is_named_after_the_study(tmp_path: Path) -> None:
    assert Home(tmp_path).report_folder("plain10-plain2-digits-0a1b2c3d") == (
        tmp_path / "reports" / "plain10-plain2-digits-0a1b2c3d"
    )


def test_names_that_differ_only_in_unsafe_characters_get_different_slugs() -> None:
    names = ["a b", "a/b", "a-b", "a  b", slug("a b")]
    assert len({slug(name) for name in names}) == len(names)
    assert slug("a b").startswith("a-b~")


def test_long_names_get_short_distinct_slugs() -> None:
    slugs = {slug("x" * 300 + end) for end in "abc"}
    assert len(slugs) == 3
    assert max(len(text) for text in slugs) <= 110


@given(st.text())
def test_slug_is_one_plain_visible_folder_name(name: str) -> None:
    text = slug(name)
    assert Path(text).name == text
    assert not text.startswith(".")
    assert text.isascii()
