"""Settings of the whole suite."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Machines that run the tests are slow and noisy: time is no property of the loss.
settings.register_profile("tasearch", deadline=None)
settings.load_profile("tasearch")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the person who runs the tests must not reach them."""
    for name in list(os.environ):
        if (name.startswith("TASEARCH_") and name != "TASEARCH_TEST_POSTGRES") or name == "OPTUNA_STORAGE":
            monkeypatch.delenv(name)
