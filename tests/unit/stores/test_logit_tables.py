from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from tasearch.stores.logit_tables import Logits, LogitTables
from tests.suite.waiting import wait_until

TABLE_BYTES = 8000
ROOMY = 10**9


def table(fill: float = 1.0) -> Logits:
    return np.full((400, 10), fill, dtype=np.float16)


def tables_of(folder: Path, limit: int = ROOMY) -> LogitTables:
    return LogitTables(folder, limit)


def age(folder: Path) -> None:
    """Make every table look older, so that what is used from now on is told apart."""
    for path in folder.glob("*.table"):
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 10**10))


def kept(tables: LogitTables, keys: str) -> str:
    return "".join(key for key in keys if tables.get(key) is not None)


def test_absent_table_is_none(tmp_path: Path) -> None:
    assert tables_of(tmp_path / "absent").get("key") is None


def test_table_comes_back_bit_by_bit(tmp_path: Path) -> None:
    logits = np.random.default_rng(0).normal(size=(3, 7, 10)).astype(np.float16)
    logits[0, 0, :3] = [np.inf, -0.0, 6e-8]
    tables_of(tmp_path).put("teacher/0/1", logits)
    found = tables_of(tmp_path).get("teacher/0/1")
    assert found is not None
    assert (found.dtype, found.shape) == (logits.dtype, logits.shape)
    assert found.tobytes() == logits.tobytes()


def test_table_can_be_written_to(tmp_path: Path) -> None:
    tables_of(tmp_path).put("key", table())
    found = tables_of(tmp_path).get("key")
    assert found is not None
    assert found.flags.writeable


def test_keys_that_begin_alike_are_different_keys(tmp_path: Path) -> None:
    tables = tables_of(tmp_path)
    tables.put("f" * 63 + "0", table())
    assert tables.get("f" * 63 + "1") is None


def test_any_text_is_a_key(tmp_path: Path) -> None:
    tables = tables_of(tmp_path)
    tables.put("../é\n" * 200, table(2.0))
    assert tables.get("../é\n" * 200) is not None
    assert [path.parent for path in tmp_path.rglob("*.table")] == [tmp_path]


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_other_dtypes_are_refused(tmp_path: Path, dtype: type) -> None:
    with pytest.raises(ValueError, match="allowed: float16"):
        tables_of(tmp_path).put("key", np.zeros(3, dtype=dtype))


def test_negative_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allowed: 0 or more"):
        LogitTables(tmp_path, -1)


@pytest.mark.parametrize("position", [0, 100, -1])
def test_damaged_table_is_logged_and_deleted(tmp_path: Path, caplog: pytest.LogCaptureFixture, position: int) -> None:
    tables_of(tmp_path).put("key", table())
    (path,) = tmp_path.glob("*.table")
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert tables_of(tmp_path).get("key") is None
    assert "is damaged and was deleted" in caplog.text
    assert not path.exists()


def test_least_recently_used_table_goes_first(tmp_path: Path) -> None:
    tables = tables_of(tmp_path, 3 * TABLE_BYTES + 1000)
    for key in "abc":
        tables.put(key, table())
        age(tmp_path)
    assert tables.get("a") is not None
    tables.put("d", table())
    assert kept(tables, "abcd") == "acd"


def test_limit_holds(tmp_path: Path) -> None:
    limit = 5 * TABLE_BYTES
    tables = tables_of(tmp_path, limit)
    for key in range(12):
        tables.put(str(key), table())
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= limit


def test_table_above_the_limit_is_left_out_and_evicts_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tables = tables_of(tmp_path, TABLE_BYTES + 1000)
    tables.put("small", table())
    with caplog.at_level(logging.WARNING):
        tables.put("big", np.zeros((800, 10), dtype=np.float16))
    assert "exceeds the limit" in caplog.text
    assert tables.get("big") is None
    assert tables.get("small") is not None


def test_pinned_table_stays_and_the_next_oldest_goes(tmp_path: Path) -> None:
    tables = tables_of(tmp_path, 2 * TABLE_BYTES + 1000)
    for key in "ab":
        tables.put(key, table())
        age(tmp_path)
    with tables.pin("a"):
        tables_of(tmp_path, 2 * TABLE_BYTES + 1000).put("c", table())
        assert kept(tables, "abc") == "ac"


def test_table_is_evicted_after_its_last_pin(tmp_path: Path) -> None:
    tables = tables_of(tmp_path, TABLE_BYTES + 1000)
    tables.put("a", table())
    with tables.pin("a"):
        with tables.pin("a"):
            pass
        tables.put("b", table())
        assert tables.get("a") is not None
    tables.put("c", table())
    assert kept(tables, "abc") == "c"
    assert list(tmp_path.glob("*.pin")) == []


def hold_pin(folder: Path, holding: Path) -> None:
    with LogitTables(folder, ROOMY).pin("a"):
        holding.touch()
        signal.pause()


def test_pin_of_another_process_holds_until_that_process_is_killed(tmp_path: Path) -> None:
    folder, holding = tmp_path / "tables", tmp_path / "holding"
    tables = tables_of(folder, TABLE_BYTES + 1000)
    tables.put("a", table())
    process = multiprocessing.get_context("forkserver").Process(target=hold_pin, args=(folder, holding))
    process.start()
    try:
        wait_until(holding.exists)
        tables.put("b", table())
        assert tables.get("a") is not None
    finally:
        process.kill()
        process.join()
    age(folder)
    tables.put("c", table())
    assert kept(tables, "abc") == "c"
    assert list(folder.glob("*.pin")) == []


def test_folder_that_cannot_be_made_costs_only_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    tables = tables_of(tmp_path / "file")
    with caplog.at_level(logging.WARNING), tables.pin("key"):
        tables.put("key", table())
        assert tables.get("key") is None
    assert "cannot keep teacher table" in caplog.text
    assert "cannot pin teacher table" in caplog.text
