from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tasearch.stores.owner import current_owner
from tasearch.worker.snapshot import WORKER_TIMEOUT_SECONDS, Snapshot, duration, is_gone, panel_rows


def make_snapshot(**changes: Any) -> Snapshot:
    values: dict[str, Any] = {
        "study_name": "s",
        "phase": "search",
        "trials_done": 3,
        "trials_total": 12,
        "finals_done": 0,
        "finals_total": 20,
        "best_chain": "plain10 > plain4 > plain2 (temperature 4, KD weight 0.9)",
        "best_val_accuracy": 0.712,
        "blkd_val_accuracy": 0.70,
        "nokd_val_accuracy": 0.65,
        "stage": "plain10 > plain4",
        "epoch": 2,
        "epochs": 6,
        "stages_trained": 5,
        "stages_reused": 1,
        "elapsed_seconds": 75.0,
        "left_seconds": 3700.0,
        **changes,
    }
    return Snapshot(**values)


def test_the_panel_shows_what_a_person_waits_for() -> None:
    rows = dict(panel_rows(make_snapshot()))
    assert rows["trials"] == "3 of 12"
    assert rows["best chain"].endswith(": 71.2% val")
    assert rows["BLKD / NOKD"] == "70.0% / 65.0%"
    assert rows["now"] == "plain10 > plain4, 2 of 6 epochs done"
    assert rows["stages"] == "5 trained, 1 reused"
    assert rows["time"] == "1 min 15 s, about 1 h 01 min left"


def test_what_is_not_known_yet_is_said() -> None:
    empty = make_snapshot(best_chain=None, best_val_accuracy=None, blkd_val_accuracy=None, left_seconds=None)
    rows = dict(panel_rows(empty))
    assert rows["best chain"] == "none with a TA yet"
    assert rows["BLKD / NOKD"].startswith("not yet")
    assert "left" not in rows["time"]


def test_a_payload_of_another_version_is_read() -> None:
    snapshot = make_snapshot()
    payload = {**dataclasses.asdict(snapshot), "added_later": 1}
    assert Snapshot.from_payload(payload) == snapshot


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (7265, "2 h 01 min")])
def test_durations_read_naturally(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_worker_of_a_living_process_is_gone_only_after_a_long_silence() -> None:
    assert not is_gone(current_owner(), 1.0)
    assert is_gone(current_owner(), WORKER_TIMEOUT_SECONDS)


def test_a_worker_of_a_dead_process_is_gone_at_once() -> None:
    host = current_owner().split(":")[0]
    assert is_gone(f"{host}:4194304:1", 0.0)
