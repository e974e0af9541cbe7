"""`tasearch stop` and workers as processes."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.conftest import Place
from tests.suite.waiting import wait_until

pytestmark = pytest.mark.slow


def test_every_worker_of_a_study_ends_and_says_why(place: Place) -> None:
    running = [place.optimize("--epochs", "4000", "--workers", "2"), place.optimize("--epochs", "4000")]
    for one in running:
        one.wait_for("on cpu")
    wait_until(lambda: place.rows("SELECT count(*) FROM tasearch_workers") == [(3,)])
    stopped = place.tasearch("stop", "--json").finish()
    assert stopped.code == 0, stopped.err
    assert len(json.loads(stopped.out)["ended"]) == 3
    for one in running:
        done = one.finish()
        assert done.code == 143
        assert "study pets was stopped" in done.err
        assert "the same command goes on from here" in done.err
    assert place.rows("SELECT count(*) FROM tasearch_stages WHERE state = 'running'") == [(0,)]
